"""What one format writes it reads again, and the door finds the right reader."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.data.formats.catalogue import FORMATS, detect_format, lost_fields, open_dataset, splits, write_datasets
from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AnnotationError, OutputError
from allsight.scene import Masks, Scene, Vocabulary

from ..conftest import CLASSES, save_picture

DETECTION = ("voc", "coco", "yolo")
TOLERANCE = {"voc": 0.0, "coco": 2e-3, "yolo": 1e-4}

_side = st.floats(0.05, 1)
_place = st.floats(0, 1)
boxes_of_one_picture = st.lists(st.tuples(st.integers(0, 2), _place, _place, _side, _side), max_size=6)


def dataset_of(home: Path, pictures: list[list[tuple[float, ...]]]) -> Dataset:
    examples = []
    for i, rows in enumerate(pictures):
        path = save_picture(home / f"folder {i}" / "same name ü.png", seed=i)
        table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
        width, height = table[:, 3] * 64, table[:, 4] * 48
        x, y = table[:, 1] * (64 - width), table[:, 2] * (48 - height)
        boxes = torch.stack([x, y, x + width, y + height], dim=1).float()
        scene = Scene((48, 64), boxes=boxes, labels=table[:, 0].long(), object_classes=CLASSES)
        examples.append(Example(path, scene))
    return Dataset(tuple(examples), CLASSES, name="made", split="train")


@given(st.lists(boxes_of_one_picture, min_size=1, max_size=3), st.sampled_from(DETECTION), st.sampled_from(DETECTION))
@settings(max_examples=25, deadline=None)
def test_boxes_survive_two_conversions(pictures: list[list[tuple[float, ...]]], first: str, second: str) -> None:
    with TemporaryDirectory() as folder:
        made = dataset_of(Path(folder, "made"), pictures)
        write_datasets({"train": made, "val": made.subset([0])}, Path(folder, "one"), first)
        one = open_dataset(Path(folder, "one"), "train")
        write_datasets({"train": one}, Path(folder, "two"), second)
        two = open_dataset(Path(folder, "two"), "train", second)
        assert splits(Path(folder, "one")) == ["train", "val"]
        assert detect_format(Path(folder, "two")) == second
        tolerance = TOLERANCE[first] + TOLERANCE[second]
        by_pixels = {e.picture().numpy().tobytes(): e.scene for e in two}
        assert len(by_pixels) == len(made)
        for example in made:
            again = by_pixels[example.picture().numpy().tobytes()]
            assert again.names() == example.scene.names()
            assert torch.allclose(again.boxes, example.scene.boxes, rtol=0, atol=tolerance)
        assert two.object_classes is not None
        assert two.object_classes.names == CLASSES.names
        assert not two.problems


@pytest.mark.parametrize("form", ["coco", "yolo"])
def test_outlines_survive(form: str, make_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    made = make_dataset([(0, 8, 8, 24, 32)], [])
    outlines: list[tuple[object, ...]] = [([[8.0, 8.0, 24.0, 8.0, 24.0, 32.0]],), ()]
    examples = tuple(Example(e.path, e.annotation, o) for e, o in zip(made, outlines, strict=True))
    made = Dataset(examples, made.object_classes, name="made", split="train")
    write_datasets({"train": made}, tmp_path / "new", form)
    again = open_dataset(tmp_path / "new")
    assert again[0].outlines is not None
    assert again[0].outlines[0][0] == pytest.approx([8, 8, 24, 8, 24, 32], abs=1e-6)
    assert torch.equal(again[0].scene.masks.dense(), made[0].scene.masks.dense())
    assert lost_fields(made, "voc") == ["masks"]


@given(st.lists(st.text(max_size=8), min_size=1, max_size=3, unique=True), st.sampled_from((*DETECTION, "folders")))
@settings(max_examples=80, deadline=None)
def test_names_of_classes_are_read_back_or_refused(names: list[str], form: str) -> None:
    with TemporaryDirectory() as folder:
        classes = Vocabulary(tuple(names))
        path, label = save_picture(Path(folder, "a.png")), torch.arange(len(names))
        box = torch.tensor([[1.0, 2, 30, 40]]).repeat(len(names), 1)
        scene = Scene((48, 64), boxes=box, labels=label, object_classes=classes)
        made = Dataset((Example(path, scene),), classes, name="made", split="train")
        if form == "folders":
            tags = [Scene((48, 64), tags=torch.eye(len(names))[i], tag_classes=classes) for i in label.tolist()]
            examples = tuple(Example(path, each) for each in tags)
            made = Dataset(examples, tag_classes=classes, name="made", split="train")
        try:
            write_datasets({"train": made}, Path(folder, "new"), form)
        except AnnotationError:
            assert not Path(folder, "new").exists()
            return
        again = open_dataset(Path(folder, "new"))
        read = again.tag_classes if form == "folders" else again.object_classes
        assert read is not None
        assert sorted(read.names) == sorted(names) if form == "folders" else read.names == tuple(names)
        if form != "folders":
            assert again[0].scene.names() == names


def tagged(home: Path, split: str) -> Dataset:
    classes = Vocabulary(("a b", "é"))
    examples = []
    for i, label in enumerate([1, 0, 1]):
        path = save_picture(home / f"{split}{i}.png", 32, 32, seed=i)
        scene = Scene((32, 32), tags=torch.eye(2)[label], tag_classes=classes)
        examples.append(Example(path, scene))
    return Dataset(tuple(examples), tag_classes=classes, name="made", split=split)


@pytest.mark.parametrize(("form", "back"), [("folders", "arrays"), ("arrays", "folders")])
def test_tags_survive_two_conversions(form: str, back: str, tmp_path: Path) -> None:
    made = {split: tagged(tmp_path / "made", split) for split in ("train", "val")}
    write_datasets(made, tmp_path / "one", form)
    write_datasets({s: open_dataset(tmp_path / "one", s) for s in splits(tmp_path / "one")}, tmp_path / "two", back)
    assert detect_format(tmp_path / "two") == back
    for split, dataset in made.items():
        again = open_dataset(tmp_path / "two", split)
        truth = {e.picture().numpy().tobytes(): e.scene.tags.tolist() for e in dataset}
        assert {e.picture().numpy().tobytes(): e.scene.tags.tolist() for e in again} == truth
        assert again.tag_classes == dataset.tag_classes
    assert len(open_dataset(tmp_path / "one")) == 6


@pytest.mark.parametrize("form", [name for name, form in FORMATS.items() if form.write is not None])
def test_nothing_is_overwritten_and_nothing_is_left_of_a_failure(
    form: str, make_dataset: Callable[..., Dataset], tmp_path: Path
) -> None:
    made = make_dataset([(0, 8, 8, 24, 32)]) if form in DETECTION else tagged(tmp_path / "made", "train")
    if form == "regions":
        regions = torch.zeros((32, 32), dtype=torch.int64)
        painted = (replace(e, annotation=e.annotation.with_(regions=regions, tags=None)) for e in made)
        made = replace(made, examples=tuple(painted), tag_classes=None, region_classes=CLASSES)
    if form == "instances":
        drawn = Masks.from_dense(torch.ones(1, 32, 32, dtype=torch.bool))
        scene = Scene((32, 32), drawn.boxes(), torch.tensor([0]), masks=drawn)
        outlined = (replace(e, annotation=scene) for e in made)
        made = replace(made, examples=tuple(outlined), tag_classes=None, object_classes=Vocabulary(("cell",)))
    root = tmp_path / "new"
    write_datasets({"train": made}, root, form)
    assert detect_format(root) == form
    before = sorted(root.rglob("*"))
    with pytest.raises(OutputError, match="exists already"):
        write_datasets({"train": made}, root, form)
    write_datasets({"train": made}, root, form, force=True)
    assert sorted(root.rglob("*")) == before
    if form != "arrays":
        made[0].path.unlink()
        with pytest.raises(OutputError) as caught:
            write_datasets({"train": made}, root, form, force=True)
        assert "\n" not in str(caught.value)
        assert sorted(root.rglob("*")) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_is_read_only_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="idx can be read but not written"):
        write_datasets({"train": tagged(tmp_path / "made", "train")}, tmp_path / "new", "idx")
    assert not (tmp_path / "new").exists()


def test_force_replaces_data_sets_only(make_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    made = {"train": make_dataset([(0, 8, 8, 24, 32)])}
    for place in (tmp_path / "desk" / "dear.txt", tmp_path / "letter.txt"):
        place.parent.mkdir(exist_ok=True)
        place.write_text("dear")
    for root in (tmp_path / "desk", tmp_path / "letter.txt"):
        with pytest.raises(OutputError, match="is no data set, so not even --force replaces it"):
            write_datasets(made, root, "voc", force=True)
    assert (tmp_path / "desk" / "dear.txt").read_text() == (tmp_path / "letter.txt").read_text() == "dear"
    (tmp_path / "empty").mkdir()
    write_datasets(made, tmp_path / "empty", "voc", force=True)
    write_datasets(made, tmp_path / "empty", "coco", force=True)
    assert detect_format(tmp_path / "empty") == "coco"


def test_not_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "missing", tmp_path / "notes.txt"):
        with pytest.raises(AnnotationError, match=str(path)) as caught:
            open_dataset(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(AnnotationError, match="no format"):
        open_dataset(tmp_path, format="tfrecord")


def test_doors_of_the_real_data(shared_data: Path) -> None:
    truth = {
        "bccd": ("voc", ["train", "val"], 292),
        "coco256": ("yolo", ["train", "val"], 256),
        "coco256/object_detection": ("yolo", ["train", "val"], 256),
        "coco256/instance_segmentation/config.yaml": ("yolo", ["train", "val"], 200),
        "coco_mini": ("coco", ["train2017"], 80),
        "nuclei": ("instances", [""], 330),
        "camvid": ("regions", ["train", "val"], 468),
        "coco256/semantic_segmentation": ("regions", ["train", "val"], 200),
        "coco256/panoptic_segmentation": ("regions", ["train", "val"], 200),
        "caltech7": ("folders", [""], 762),
        "cifar100_subset": ("arrays", ["train_80_per_class"], 8000),
    }
    for name, (form, names, count) in truth.items():
        path = shared_data / name
        assert (detect_format(path), splits(path), len(open_dataset(path))) == (form, names, count)
    assert len(open_dataset(shared_data / "coco_mini", "train")) == 80
    assert (detect_format(shared_data / "mnist"), splits(shared_data / "mnist")) == ("idx", ["test", "train"])
    with pytest.raises(AnnotationError, match="no split 'test'"):
        open_dataset(shared_data / "bccd", "test")


def test_stopped_between_old_and_new_the_old_data_set_is_back(
    make_dataset: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, root = {"train": make_dataset([(0, 8, 8, 24, 32)])}, tmp_path / "set"
    write_datasets(made, root, "voc")
    before = sorted(root.rglob("*"))
    rename = os.replace

    def stopped(source: Path, target: Path) -> None:
        if Path(source).name == "new":
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_datasets(made, root, "coco", force=True)
    assert sorted(root.rglob("*")) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
