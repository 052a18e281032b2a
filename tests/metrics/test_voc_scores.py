"""VOC's average precision against a hand-made case and a slow twin."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from allsight.metrics.voc import voc_scores
from allsight.scene import Scene, Vocabulary

Made = Callable[..., tuple[list[Scene], list[Scene]]]


def iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow(truths: list[Scene], predictions: list[Scene], label: int, points: str) -> float:
    """The development kit's procedure, one prediction after the other."""
    found = []
    total = 0
    for picture, (truth, predicted) in enumerate(zip(truths, predictions, strict=True)):
        assert truth.labels is not None
        assert truth.difficult is not None
        total += int(((truth.labels == label) & ~truth.difficult).sum())
        for row in (predicted.labels == label).nonzero()[:, 0].tolist():  # type: ignore[union-attr]
            found.append((-predicted.scores[row].item(), picture, row))  # type: ignore[index]
    taken: set[tuple[int, int]] = set()
    right: list[int] = []
    for _, picture, row in sorted(found, key=lambda f: f[0]):
        truth, box = truths[picture], predictions[picture].boxes[row].tolist()  # type: ignore[index]
        best, where = 0.0, -1
        for j in range(len(truth)):
            if truth.labels[j] == label and (overlap := iou(box, truth.boxes[j].tolist())) > best:  # type: ignore[index]
                best, where = overlap, j
        if best >= 0.5:
            if truth.difficult[where]:  # type: ignore[index]
                continue
            right.append((picture, where) not in taken)
            taken.add((picture, where))
        else:
            right.append(False)
    if not total:
        return float("nan")
    hits = np.cumsum(right) if right else np.zeros(0)
    curve = [(h / total, h / (i + 1)) for i, h in enumerate(hits)]
    if points == "11":
        return sum(max([p for r, p in curve if r >= t / 10 - 1e-12], default=0) for t in range(11)) / 11
    average, before = 0.0, 0.0
    for i, (recall, _) in enumerate(curve):
        average += (recall - before) * max(p for _, p in curve[i:])
        before = recall
    return average


@pytest.mark.parametrize("points", ["11", "all"])
def test_agrees_with_the_slow_twin(made: Made, points: str) -> None:
    truths, predictions = made(40, seed=5)
    truths = [truth.with_(crowd=None) for truth in truths]
    scores = voc_scores(truths, predictions, points=points)  # type: ignore[arg-type]
    wanted = [slow(truths, predictions, label, points) for label in range(5)]
    np.testing.assert_allclose(list(scores.per_class.values()), wanted, atol=1e-9)
    assert math.isnan(scores.per_class["elk"])
    assert scores.mean == pytest.approx(np.nanmean(wanted))


def test_by_hand() -> None:
    names = Vocabulary(("ant",))
    truth = Scene(
        (50, 50),
        boxes=torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 40, 50, 50]]),
        labels=torch.zeros(3, dtype=torch.int64),
        difficult=torch.tensor([False, False, True]),
        object_classes=names,
    )
    predicted = Scene(
        (50, 50),
        boxes=torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [40, 40, 50, 50], [20, 20, 30, 30]]),
        labels=torch.zeros(4, dtype=torch.int64),
        scores=torch.tensor([0.9, 0.8, 0.7, 0.6]),
        object_classes=names,
    )
    # right, a double, on a difficult one (does not count), right: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    assert voc_scores([truth], [predicted]).mean == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert voc_scores([truth], [predicted], points="11").mean == pytest.approx((6 + 5 * 2 / 3) / 11)


def test_no_pictures_at_all() -> None:
    assert math.isnan(voc_scores([], []).mean)
