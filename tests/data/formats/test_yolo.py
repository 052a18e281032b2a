"""YOLO text files are read in all their layouts, and one bad line never spoils the rest."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from allsight.data.formats.catalogue import open_dataset
from allsight.data.formats.yolo import read_yolo, yolo_splits
from allsight.errors import AnnotationError

from ..conftest import save_picture

YAML = "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"


def make(root: Path, labels: dict[str, str], yaml: str = YAML) -> Path:
    root.mkdir(exist_ok=True)
    (root / "data.yaml").write_text(yaml)
    for name, text in labels.items():
        save_picture(root / "images" / "train" / f"{name}.jpg")
        (root / "labels" / "train").mkdir(parents=True, exist_ok=True)
        (root / "labels" / "train" / f"{name}.txt").write_text(text)
    return root


def test_by_hand(tmp_path: Path) -> None:
    make(tmp_path, {"a": "1 0.5 0.5 0.25 0.5\n\n0 0.5 0.5 1 1\n", "b": ""})
    save_picture(tmp_path / "images" / "train" / "c.jpg")
    dataset = read_yolo(tmp_path, "train")
    assert yolo_splits(tmp_path) == ["train", "val"]
    assert dataset[0].scene.boxes.tolist() == [[24, 12, 40, 36], [0, 0, 64, 48]]
    assert dataset[0].scene.names() == ["dog", "cat"]
    assert dataset[0].scene.masks is None
    assert [len(example.scene.boxes) for example in dataset] == [2, 0, 0]
    assert not dataset.problems


def test_outlines(tmp_path: Path) -> None:
    make(tmp_path, {"a": "0 0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5\n"})
    scene = read_yolo(tmp_path)[0].scene
    assert scene.boxes.tolist() == [[16, 12, 32, 24]]
    assert scene.masks is not None
    assert scene.masks.boxes().tolist() == [[16, 12, 32, 24]]
    assert scene.masks.area().tolist() == [16 * 12]


def test_numbered_names_and_missing_labels(tmp_path: Path) -> None:
    yaml = "train: images/train\nskip_if_label_file_missing: true\nnames:\n  3: cat\n  9: dog\n"
    make(tmp_path, {"a": "9 0.5 0.5 0.5 0.5\n"}, yaml)
    save_picture(tmp_path / "images" / "train" / "not labelled.jpg")
    dataset = read_yolo(tmp_path)
    assert dataset[0].scene.names() == ["dog"]
    assert [(p.kind, p.severity) for p in dataset.problems] == [("not annotated", "warning")]


def test_list_of_pictures_and_labels_beside_pictures(tmp_path: Path) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 1 1\n"}, YAML.replace("images/train", "list.txt"))
    (tmp_path / "list.txt").write_text("./images/train/a.jpg\n")
    assert len(read_yolo(tmp_path)[0].scene) == 1
    (tmp_path / "flat").mkdir()
    save_picture(tmp_path / "flat" / "pictures" / "a.jpg")
    (tmp_path / "flat" / "pictures" / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "flat" / "data.yml").write_text("train: pictures\nnames: [cat]\n")
    assert len(read_yolo(tmp_path / "flat")[0].scene) == 1


def test_bad_lines(tmp_path: Path) -> None:
    lines = {
        "broken annotation": ["0 0.5 0.5 1", "hello", "0 a b c d", "0 0.1 0.2 0.3 0.4 0.5", "nan 0.5 0.5 0.1 0.1"],
        "not a number": ["0 nan 0.5 0.5 0.5", "0 0.5 0.5 inf 0.5", "0 nan 0.5 0.5 0.5 0.1 0.1"],
        "no area": ["0 0.5 0.5 0 0.5"],
        "unknown class": ["2 0.5 0.5 0.1 0.1", "-1 0.5 0.5 0.1 0.1"],
        "outside": ["0 2 2 0.1 0.1", "0 0 0.5 0.5 0.5"],
        "swapped corners": ["0 0.5 0.5 -0.25 0.5"],
    }
    text = "\n".join(line for cases in lines.values() for line in cases)
    make(tmp_path, {"a": text + "\n0 0.5 0.5 1 1", "b": "0 0.5 0.5 1 1"})
    dataset = read_yolo(tmp_path)
    assert dataset[0].scene.boxes.tolist() == [[0, 12, 16, 36], [24, 12, 40, 36], [0, 0, 64, 48]]
    assert len(dataset[1].scene) == 1
    assert Counter(p.kind for p in dataset.problems) == {kind: len(cases) for kind, cases in lines.items()}


def test_bad_files(tmp_path: Path) -> None:
    make(tmp_path, {"a": "", "b": "", "c": ""})
    (tmp_path / "labels" / "train" / "a.txt").write_bytes(b"\xff\xfe\x00\x81")
    (tmp_path / "images" / "train" / "b.jpg").write_bytes(b"no picture")
    (tmp_path / "labels" / "train" / "d.txt").write_text("0 0.5 0.5 1 1")
    dataset = read_yolo(tmp_path)
    assert [example.name for example in dataset] == ["c"]
    assert sorted(p.kind for p in dataset.problems) == ["broken annotation", "missing picture", "unreadable picture"]


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("a: [", "not valid YAML"),
        ("- 1", "does not map"),
        ("train: images/train\nnames: 3", "no list of classes"),
        ("train: images/elsewhere\nnames: [a]", "not there"),
        ("names: [a]", "no split"),
        ("train: images/train\nnames: [a, a]", "twice"),
    ],
)
def test_bad_configurations(yaml: str, said: str, tmp_path: Path) -> None:
    make(tmp_path, {"a": ""}, yaml)
    with pytest.raises(AnnotationError, match=said) as caught:
        read_yolo(tmp_path / "data.yaml")
    assert "\n" not in str(caught.value)


def test_coco256(shared_data: Path) -> None:
    """Two label files of train have no picture here, two pictures have no label file."""
    train, val = (read_yolo(shared_data / "coco256", split) for split in ("train", "val"))
    assert (len(train), len(val)) == (128, 128)
    assert [p.kind for p in (*train.problems, *val.problems)] == ["missing picture"] * 2
    alone = {Path(p.path) for p in train.problems}
    assert {path.stem for path in alone} == {"000000000656", "000000000659"}
    for split, dataset in (("train2017", train), ("val2017", val)):
        files = set((shared_data / "coco256" / "object_detection" / "labels" / split).glob("*.txt")) - alone
        lines = sum(len(path.read_text().splitlines()) for path in files)
        assert sum(len(example.scene) for example in dataset) == lines


def test_coco256_outlines_lie_in_the_boxes_of_the_other_file(shared_data: Path) -> None:
    """Boxes and polygons of the same photographs were written independently."""
    boxes = {e.name: e.scene for e in read_yolo(shared_data / "coco256" / "object_detection", "train")}
    outlines = read_yolo(shared_data / "coco256" / "instance_segmentation", "train")
    assert len(outlines) == 100
    close = total = 0
    for example in outlines:
        scene, other = example.scene, boxes[example.name]
        assert scene.masks is not None
        assert (scene.masks.area() <= scene.size[0] * scene.size[1]).all()
        total += len(scene)
        if len(other.boxes):
            close += int((torch.cdist(scene.boxes, other.boxes, p=torch.inf).amin(1) < 5).sum())
    assert close > 0.9 * total


@pytest.mark.parametrize(
    ("yaml", "told"),
    [
        ("train: [images\nnames: {", "is not valid YAML"),
        ("- cat\n- dog\n", "does not map names to values"),
        ("names: [cat]\n", "has no split"),
        ("train: images/train\n", "`names` is no list of classes"),
        ("train: images/train\nnames: [cat, cat]\n", "the name 'cat' stands twice"),
    ],
)
def test_a_broken_description_is_no_folder_per_class(yaml: str, told: str, tmp_path: Path) -> None:
    make(tmp_path, {"a": "0 0.5 0.5 0.5 0.5\n"}, yaml)
    with pytest.raises(AnnotationError, match=f"data.yaml: .*{told}"):
        open_dataset(tmp_path)
