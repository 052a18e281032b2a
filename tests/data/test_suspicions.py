"""What looks wrong though it can be read is said, and what only looks alike is not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allsight.data.doctor import check
from allsight.data.formats.catalogue import open_splits
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.reading import HEIF, find_pictures, picture_size, read_picture
from allsight.data.suspicions import double_boxes, one_letter_apart, similar_names
from allsight.errors import PictureError
from allsight.scene import Scene, Vocabulary

from .conftest import CLASSES, save_picture

MadeDataset = Callable[..., Dataset]


def test_double_boxes_by_hand(make_dataset: MadeDataset) -> None:
    rows = [
        (0, 3, 5, 40, 40),
        (0, 3, 5, 40, 40),
        (1, 3, 5, 40, 40),
        (1, 3, 5, 40, 40.5),
        (2, 3, 5, 40, 40),
        (2, 20, 5, 60, 40),
    ]
    (example,) = make_dataset(rows)
    assert [p.kind for p in double_boxes(example)] == ["double box", "nearly double box"]
    crowd = torch.tensor([True, False, False, True, False, False])
    assert double_boxes(replace(example, annotation=example.annotation.with_(crowd=crowd))) == []
    assert double_boxes(make_dataset([])[0]) == []


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("cat", "Cat", True),
        ("traffic light", "traffic_light", True),
        ("person", "persn", True),
        ("nucleus", "nuclaus", True),
        ("cells", "cellls", True),
        ("cat", "car", False),
        ("class 1", "class 2", False),
        ("horse", "mouse", False),
        ("person", "persons of", False),
    ],
)
def test_similar_names(first: str, second: str, alike: bool) -> None:
    assert bool(similar_names(Vocabulary((first, second)), "set")) == alike
    assert one_letter_apart(first, second) == one_letter_apart(second, first)


def test_coco_and_voc_have_no_similar_names(shared_data: Path) -> None:
    for name in ("coco256", "coco_mini", "bccd"):
        for dataset in open_splits(shared_data / name).values():
            assert dataset.object_classes is not None
            assert similar_names(dataset.object_classes, name) == []


def test_copies_within_a_split_and_dark_pictures_are_named(make_dataset: MadeDataset, tmp_path: Path) -> None:
    made = make_dataset([(0, 3, 5, 40, 40)], [(0, 3, 5, 40, 40)])
    copy, dark = tmp_path / "copy.png", tmp_path / "dark.png"
    copy.write_bytes(made[0].path.read_bytes())
    Image.fromarray((np.arange(64 * 48).reshape(48, 64) % 4096).astype(np.uint16)).save(dark)
    examples = (*made, replace(made[0], path=copy), replace(made[0], path=dark))
    report = check({"train": replace(made, examples=examples)})
    found = {p.kind: p for p in report.problems}
    assert Path(found["duplicate"].path) == copy
    assert "both in train" in found["duplicate"].message
    assert "1 of 4 pictures of train are nearly black" in found["nearly black"].message


def test_every_split_is_looked_at(make_dataset: MadeDataset) -> None:
    made = make_dataset([(0, 3, 5, 40, 40), (1, 3, 5, 40, 40)], [(0, 3, 5, 40, 40)], [])
    parts = {"train": made.subset([0]), "val": made.subset([1]), "test": made.subset([2])}
    said = [p.message for p in check(parts).problems]
    assert "train has no example of traffic light; the model cannot learn them" in said
    assert any(line.startswith("val has no example of dog, so that") for line in said)
    assert any(line.startswith("test has no label at all in 1 pictures") for line in said)
    assert not any("val has no example of" in line and "traffic light" in line for line in said)


def test_pixels_that_are_not_annotated_are_named(tmp_path: Path) -> None:
    for split in ("train", "val"):
        save_picture(tmp_path / "images" / split / "a.jpg")
        bits = np.zeros((48, 64), dtype=np.uint8)
        bits[:12] = 255
        (tmp_path / "masks" / split).mkdir(parents=True)
        Image.fromarray(bits).save(tmp_path / "masks" / split / "a.png")
    text = "".join(f"{s}: {{images: images/{s}, masks: masks/{s}}}\n" for s in ("train", "val"))
    (tmp_path / "config.yaml").write_text(text + "classes: {0: background, 1: object}\n")
    report = check(open_splits(tmp_path))
    said = [p.message for p in report.problems if p.kind == "not annotated"]
    assert [line.split(",")[0] for line in said] == [
        f"25.0% of the pixels of {split} are 255 or ignored" for split in ("train", "val")
    ]
    (tmp_path / "config.yaml").write_text(text + "classes: {0: background, 255: object}\n")
    report = check(open_splits(tmp_path))
    assert not report.problems or {p.kind for p in report.problems} == {"duplicate across splits"}
    assert report.regions["train"] == {"background": 36 * 64, "object": 12 * 64}


def test_avif_and_heic_are_read_or_said(tmp_path: Path) -> None:
    avif = save_picture(tmp_path / "a.avif")
    assert picture_size(avif) == (48, 64)
    heic = tmp_path / "b.HEIC"
    heic.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    assert find_pictures([tmp_path]) == [avif, heic]
    with pytest.raises(PictureError, match="not a picture|damaged" if HEIF else r"allsight\[heif\]"):
        read_picture(heic)


def test_a_huge_range_of_grey_is_stretched(tmp_path: Path) -> None:
    values = np.array([[-3e38, 0.0], [1.5e38, 3e38]], dtype=np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif")[0].tolist() == [[0, 128], [191, 255]]


def test_a_scene_without_labels_is_no_trouble(tmp_path: Path) -> None:
    path = save_picture(tmp_path / "a.png")
    example = Example(path, Scene((48, 64), object_classes=CLASSES))
    assert double_boxes(example) == []
