"""Tags that follow from objects."""

from pathlib import Path

import torch

from allsight.data.pictures.dataset import Dataset, Example
from allsight.scene import Scene, Vocabulary

CLASSES = Vocabulary(("ant", "bee", "cow"))


def example(labels: list[int] | None) -> Example:
    boxes = None if labels is None else torch.tensor([[0.0, 0, 5, 5]] * len(labels)).reshape(-1, 4)
    found = None if labels is None else torch.tensor(labels, dtype=torch.int64)
    return Example(Path("a.jpg"), Scene((10, 10), boxes=boxes, labels=found, object_classes=CLASSES))


def test_pictures_are_tagged_by_what_they_show() -> None:
    dataset = Dataset((example([2, 0, 2]), example([]), example(None)), object_classes=CLASSES).with_object_tags()
    first, empty, unknown = (e.annotation.tags for e in dataset)
    assert first.tolist() == [1, 0, 1]
    assert empty.tolist() == [0, 0, 0]
    assert unknown is None
    assert dataset.tag_classes == CLASSES
