"""Maps of instances: read as written, and damaged ones told one by one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allsight.data.formats.instance_maps import instance_splits, read_instances, write_instances
from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AnnotationError
from allsight.scene import Masks, Scene, Vocabulary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures of 12 x 10 with two instances each, numbered 7 and 40,000; the second lies in two pieces."""
    root = tmp_path / "cells"
    for name in ("images", "instances"):
        (root / name).mkdir(parents=True)
    numbers = np.zeros((10, 12), np.uint16)
    numbers[1:4, 2:6], numbers[6:8, 0:3], numbers[6:8, 9:12] = 7, 40_000, 40_000
    for name in "abc":
        Image.effect_noise((12, 10), 50).convert("RGB").save(root / "images" / f"{name}.png")
        Image.fromarray(numbers).save(root / "instances" / f"{name}.png")
    return root


def test_instances_have_boxes_and_masks(folder: Path) -> None:
    assert instance_splits(folder) == [""]
    dataset = read_instances(folder)
    assert len(dataset) == 3
    assert not dataset.problems
    scene = dataset[0].scene
    assert scene.boxes is not None
    assert scene.masks is not None
    assert scene.boxes.tolist() == [[2, 1, 6, 4], [0, 6, 12, 8]]
    assert scene.masks.area().tolist() == [12, 12]
    assert scene.names() == ["cells", "cells"]


def test_the_class_may_have_a_name(folder: Path) -> None:
    (folder / "classes.txt").write_text("nucleus\n")
    assert read_instances(folder).object_classes == Vocabulary(("nucleus",))
    (folder / "classes.txt").write_text("one\ntwo\n")
    with pytest.raises(AnnotationError, match="names 2 classes"):
        read_instances(folder)


def test_what_is_damaged_is_a_problem_of_its_picture_alone(folder: Path) -> None:
    (folder / "instances" / "a.png").unlink()
    Image.new("I;16", (5, 5)).save(folder / "instances" / "b.png")
    Image.effect_noise((12, 10), 50).save(folder / "images" / "d.png")
    (folder / "instances" / "d.png").write_bytes(b"rubbish")
    Image.effect_noise((12, 10), 50).save(folder / "images" / "e.png")
    Image.new("RGB", (12, 10)).save(folder / "instances" / "e.png")
    dataset = read_instances(folder)
    assert [example.name for example in dataset] == ["c"]
    told = {Path(problem.path).name: (problem.kind, problem.message) for problem in dataset.problems}
    assert told["a.png"][0] == "missing annotation"
    assert "5x5" in told["b.png"][1]
    assert told["d.png"][0] == "unreadable annotation"
    assert "mode RGB" in told["e.png"][1]


def test_written_and_read_again(folder: Path, tmp_path: Path) -> None:
    dataset = read_instances(folder).subset(range(3), split="train")
    write_instances(dataset, tmp_path / "copy")
    again = read_instances(tmp_path / "copy", "train")
    assert instance_splits(tmp_path / "copy") == ["train"]
    for one, two in zip(dataset, again, strict=True):
        assert torch.equal(one.picture(), two.picture())
        # Equal areas are numbered in the order of the annotation.
        assert torch.equal(one.scene.masks.dense(), two.scene.masks.dense())


def test_overlapping_instances_the_smaller_is_seen(tmp_path: Path) -> None:
    dense = torch.zeros(2, 8, 8, dtype=torch.bool)
    dense[0, 2:4, 2:4], dense[1, 1:7, 1:7] = True, True
    masks = Masks.from_dense(dense)
    scene = Scene((8, 8), boxes=masks.boxes(), labels=torch.zeros(2, dtype=torch.int64), masks=masks)
    example = Example(Path("x.png"), scene, pixels=torch.zeros(3, 8, 8, dtype=torch.uint8))
    write_instances(Dataset((example,), Vocabulary(("cell",)), name="made"), tmp_path)
    found = read_instances(tmp_path)[0].scene.masks
    assert sorted(found.area().tolist()) == [4, 32]
    with pytest.raises(AnnotationError, match="has 2 classes"):
        write_instances(Dataset((example,), Vocabulary(("a", "b")), name="made"), tmp_path)


def test_an_empty_map_is_annotated_with_nothing(folder: Path) -> None:
    Image.fromarray(np.zeros((10, 12), np.uint16)).save(folder / "instances" / "a.png")
    scene = read_instances(folder)[0].scene
    assert scene.boxes is not None
    assert len(scene) == 0


def test_real_nuclei(shared_data: Path) -> None:
    dataset = read_instances(shared_data / "nuclei")
    assert len(dataset) == 330
    counts = [len(example.annotation) for example in dataset]
    assert (min(counts), max(counts)) == (1, 375)
