"""Made truths and predictions that meet every case: near misses, doubles, wrong classes, crowds, difficult objects."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from allsight.scene import Masks, Scene, Vocabulary

SIZE = (120, 160)
CLASSES = Vocabulary(("ant", "bee", "cat", "dog", "elk"))  # nothing is ever an elk


def _scene(boxes: NDArray[np.float64], labels: NDArray[np.int64], masks: bool, **fields: torch.Tensor) -> Scene:
    corners = torch.from_numpy(boxes).float()
    ellipses = None
    if masks:
        y, x = torch.meshgrid(torch.arange(SIZE[0]) + 0.5, torch.arange(SIZE[1]) + 0.5, indexing="ij")
        x1, y1, x2, y2 = corners.T[:, :, None, None]
        across, down = (2 * x - x1 - x2) / (x2 - x1), (2 * y - y1 - y2) / (y2 - y1)
        ellipses = Masks.from_dense(across**2 + down**2 <= 1)
    return Scene(SIZE, boxes=corners, labels=torch.from_numpy(labels), masks=ellipses, object_classes=CLASSES, **fields)


def _made(count: int, seed: int = 0, masks: bool = False) -> tuple[list[Scene], list[Scene]]:
    numbers = np.random.default_rng(seed)
    truths, predictions = [], []
    limit = [SIZE[1], SIZE[0]]
    for _ in range(count):
        objects = int(numbers.integers(0, 9))
        low = numbers.uniform(0, 0.7, (objects, 2)) * limit
        high = np.minimum(low + np.exp(numbers.uniform(1.5, 4.9, (objects, 2))), limit)
        boxes, labels = np.concatenate([low, high], axis=1), numbers.integers(0, 4, objects)
        flags = numbers.random((2, objects)) < 0.15
        truths.append(
            _scene(boxes, labels, masks, crowd=torch.from_numpy(flags[0]), difficult=torch.from_numpy(flags[1]))
        )
        seen = np.repeat(np.arange(objects), numbers.integers(0, 4, objects))
        near = boxes[seen] + numbers.normal(0, 3, (len(seen), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 2)
        guess = np.where(numbers.random(len(seen)) < 0.85, labels[seen], numbers.integers(0, 5, len(seen)))
        scores = torch.from_numpy(numbers.integers(1, 20, len(seen)) / 20).float()
        predictions.append(_scene(near, guess, masks, scores=scores))
    return truths, predictions


@pytest.fixture(scope="session")
def made() -> Callable[..., tuple[list[Scene], list[Scene]]]:
    """The function (count, seed=0, masks=False) -> truths, predictions."""
    return _made
