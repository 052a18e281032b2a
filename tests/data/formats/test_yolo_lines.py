"""What the columns of YOLO's lines mean is told by all lines of a split together."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.data.formats.catalogue import open_dataset, open_splits
from allsight.data.formats.yolo import read_yolo
from allsight.data.formats.yolo_lines import layout_of, read_line
from allsight.data.formats.yolo_write import one_ring

from ..conftest import save_picture

SIZE = (48, 64)
BOX = (0.4, 0.3, 0.7, 0.6)


def lines(*texts: str) -> list[tuple[list[str], tuple[int, int]]]:
    return [(text.split(), SIZE) for text in texts]


def turned_box(degrees: float) -> str:
    """Return four corners of a box that is turned on a picture of 64 x 48."""
    angle = math.radians(degrees)
    corners = [(-10, -5), (10, -5), (10, 5), (-10, 5)]
    turned = [
        (32 + x * math.cos(angle) - y * math.sin(angle), 24 + x * math.sin(angle) + y * math.cos(angle))
        for x, y in corners
    ]
    return "0 " + " ".join(f"{x / 64:.6f} {y / 48:.6f}" for x, y in turned)


@pytest.mark.parametrize(
    ("texts", "layout"),
    [
        (["0 .5 .5 .2 .2"], "plain"),
        (["0 .5 .5 .2 .2 0.9", "1 .4 .5 .2 .2 0.25"], "scored"),
        (["0 .5 .5 .2 .2 12", "1 .4 .5 .2 .2 3"], "scored"),
        (["0 .5 .5 .2 .2 0.9 4", "1 .4 .5 .2 .2 0.25 1"], "scored"),
        (["0 .5 .5 .2 .2", "1 .4 .5 .2 .2 0.25 17"], "scored"),
        (["0 .5 .5 .2 .2 0.9 1"], "unclear"),
        (["0 .5 .5 .2 .2 0.9 .7"], "plain"),
        (["0 .5 .5 .2 .2", "0 .1 .1 .5 .1 .9"], "plain"),
        ([turned_box(30), turned_box(5)], "oriented"),
        ([turned_box(0)], "plain"),
        ([turned_box(30), "0 .1 .1 .5 .1 .5 .9 .3 .5"], "plain"),
        (["0 .5 .5 .2 .2 .5 .5 2 .6 .6 0 .6 .6 1"], "pose"),
        ([], "plain"),
    ],
)
def test_layouts(texts: list[str], layout: str) -> None:
    assert layout_of(lines(*texts)) == layout


@pytest.mark.parametrize(
    "text", ["1.7 .5 .5 .2 .2", "cat .5 .5 .2 .2", "0 .5 .5 .2", "inf .5 .5 .2 .2", "1e300 .5 .5 .2 .2", "0 .5 x .2 .2"]
)
def test_what_is_no_line_is_said(text: str) -> None:
    assert isinstance(read_line(text.split(), "plain", None), str)


def test_a_line_of_each_kind() -> None:
    words = "2.0 0.55 0.45 0.3 0.3"
    for layout, more in (("plain", ""), ("scored", " 0.9"), ("scored", " 0.9 7")):
        line = read_line((words + more).split(), layout, None)
        assert not isinstance(line, str)
        assert (line.number, line.ring) == (2, None)
        assert line.box == pytest.approx(BOX)
    posed = read_line((words + " .1 .2 .3 .4").split(), "plain", (2, 2))
    assert not isinstance(posed, str)
    assert posed.keypoints == (0.1, 0.2, 2.0, 0.3, 0.4, 2.0)
    assert posed.box == pytest.approx(BOX)
    assert isinstance(read_line((words + " .1 .2 .3").split(), "plain", (2, 2)), str)


def make(root: Path, text: str, yaml: str = "train: images/train\nnames: [cat, dog]\n", name: str = "a") -> Path:
    save_picture(root / "images" / "train" / f"{name}.jpg")
    label = root / "labels" / "train" / f"{name}.txt"
    label.parent.mkdir(parents=True, exist_ok=True)
    label.write_text(text)
    (root / "data.yaml").write_text(yaml)
    return root


def test_oriented_boxes_are_read_as_the_boxes_around_them(tmp_path: Path) -> None:
    dataset = read_yolo(make(tmp_path, turned_box(90) + "\n" + turned_box(45)))
    scene = dataset[0].scene
    half = (10 + 5) / math.sqrt(2)
    assert torch.allclose(scene.boxes[0], torch.tensor([27.0, 14, 37, 34]), atol=1e-3)
    assert torch.allclose(scene.boxes[1], torch.tensor([32 - half, 24 - half, 32 + half, 24 + half]), atol=1e-3)
    assert scene.masks is None
    assert [p.kind for p in dataset.problems] == ["other columns"]


@pytest.mark.parametrize("shape", ["[17]", "[0, 2]", "[4, 5]", "x", "[a, b]", "[4, 100000000]"])
def test_a_broken_shape_of_key_points(shape: str, tmp_path: Path) -> None:
    from allsight.errors import AnnotationError

    make(tmp_path, "0 .5 .5 .2 .2", f"train: images/train\nnames: [cat]\nkpt_shape: {shape}\n")
    with pytest.raises(AnnotationError, match="kpt_shape"):
        read_yolo(tmp_path)


def test_roboflow_means_its_own_folder(tmp_path: Path) -> None:
    for home, label in ((tmp_path / "mine", "0"), (tmp_path, "1")):
        save_picture(home / "train" / "images" / f"{label}.jpg")
        (home / "train" / "labels").mkdir()
        (home / "train" / "labels" / f"{label}.txt").write_text(f"{label} .5 .5 .2 .2")
    yaml = tmp_path / "mine" / "data.yaml"
    yaml.write_text("train: ../train/images\nval: ../valid/images\nnames: [cat, dog]\n")
    dataset = open_dataset(tmp_path / "mine")
    assert [example.scene.names() for example in dataset] == [["cat"]]
    assert [p.kind for p in dataset.problems] == ["missing split"]
    # Without one of its own, a neighbour's pictures are not taken for it.
    (tmp_path / "mine" / "train").rename(tmp_path / "mine" / "other")
    from allsight.errors import AnnotationError

    with pytest.raises(AnnotationError, match="lie outside of"):
        open_dataset(tmp_path / "mine")
    assert [example.name for example in open_dataset(yaml)] == ["1"]


def test_lists_with_double_lines_and_label_files_in_capitals(tmp_path: Path) -> None:
    make(tmp_path, "0 .5 .5 .2 .2", "train: list.txt\nnames: [cat]\n")
    (tmp_path / "labels" / "train" / "a.txt").rename(tmp_path / "labels" / "train" / "a.TXT")
    (tmp_path / "list.txt").write_text("\ufeff./images/train/a.jpg\r\n./images/train/a.jpg\r\n", encoding="utf-8")
    dataset = open_dataset(tmp_path)
    assert [len(example.scene) for example in dataset] == [1]
    assert [p.kind for p in dataset.problems] == ["listed twice"]


def test_val_that_is_train_judges_nothing(tmp_path: Path) -> None:
    make(tmp_path, "0 .5 .5 .2 .2", "train: images/train\nval: images/train\nnames: [cat]\n")
    parts = open_splits(tmp_path)
    assert list(parts) == ["train"]
    assert ["every picture of val is in train as well" in p.message for p in parts["train"].problems] == [True]


rings = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=3, max_size=6)


@given(st.lists(rings, min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_several_rings_become_one_of_the_same_signed_area(parts: list[list[tuple[int, int]]]) -> None:
    def area(ring: list[float]) -> float:
        xs, ys = ring[::2], ring[1::2]
        return sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs))) / 2

    flat = [[float(v) for point in part for v in point] for part in parts]
    assert area(one_ring(flat)) == pytest.approx(sum(map(area, flat)), abs=1e-9)
