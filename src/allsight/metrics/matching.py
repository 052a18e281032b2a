"""Which prediction found which object: matching for many pictures at once, without a loop over boxes or pictures."""

from dataclasses import dataclass

import numpy as np
import torch

from allsight.metrics.columns import Columns, Flags, Floats, Integers
from allsight.ops.boxes import aligned_iou, area


@dataclass(frozen=True, eq=False)
class Matches:
    """What every prediction met.

    Args:
        truth: (N,) row of the object that a prediction found, -1 for none.
        ignored: (N,) bool, neither right nor wrong: it lies on a crowd or on an object marked difficult.
    """

    truth: Integers
    ignored: Flags

    @property
    def hit(self) -> Flags:
        """(N,) bool: the prediction found an object that counts."""
        return (self.truth >= 0) & ~self.ignored


def pairs(truth: Columns, predicted: Columns, *, same_label: bool = True) -> tuple[Integers, Integers, Floats]:
    """Return all pairs of a prediction and an object in one picture (and of one class), with their IoU.

    With a crowd, IoU is the share of the prediction that lies inside it, as COCO has it.

    Args:
        truth: N instances. predicted: M instances.
        same_label: pair only instances of one class.

    Returns:
        (P,) rows of `predicted`, (P,) rows of `truth`, (P,) IoU in [0, 1].
    """
    classes = 1 + max(truth.labels.max(initial=0), predicted.labels.max(initial=0)) if same_label else 1
    key = truth.pictures * classes + (truth.labels if same_label else 0)
    wanted = predicted.pictures * classes + (predicted.labels if same_label else 0)
    order = np.argsort(key, kind="stable")
    first, last = (np.searchsorted(key[order], wanted, side) for side in ("left", "right"))
    counts = last - first
    i = np.repeat(np.arange(len(predicted)), counts)
    j = order[np.arange(counts.sum()) + np.repeat(first - (counts.cumsum() - counts), counts)]
    one, two = torch.from_numpy(predicted.boxes[i]), torch.from_numpy(truth.boxes[j])
    iou = aligned_iou(one, two).numpy()
    crowd = np.flatnonzero(truth.crowd[j])
    if len(crowd):
        low, high = torch.maximum(one[crowd, :2], two[crowd, :2]), torch.minimum(one[crowd, 2:], two[crowd, 2:])
        iou[crowd] = (area(torch.cat([low, high], dim=1)) / area(one[crowd]).clamp_min(1e-9)).numpy()
    return i, j, iou


def greedy(first: Integers, second: Integers) -> Flags:
    """Choose pairs in the order given, each unless one of its two partners has been chosen before.

    Vectorised: in every round the pairs that come first for both partners are chosen, and their rivals drop out.

    Args:
        first, second: (P,) the partners, each numbered from 0.

    Returns:
        (P,) bool, the pairs chosen.
    """
    chosen = np.zeros(len(first), dtype=bool)
    left = np.arange(len(first))
    while len(left):
        one, two = (np.unique(side[left], return_index=True)[1] for side in (first, second))
        now = left[np.intersect1d(one, two)]
        chosen[now] = True
        left = left[~np.isin(first[left], first[now]) & ~np.isin(second[left], second[now])]
    return chosen


def match(truth: Columns, predicted: Columns, iou: float = 0.5) -> Matches:
    """Give every object to the best prediction of its class, as COCO does at one IoU.

    Predictions choose by falling score, each the object that it overlaps most and that is still free. One that finds
    none but lies on a crowd or a difficult object is ignored.

    Args:
        truth, predicted: the instances. iou: least overlap that counts.

    Returns:
        One match a prediction.
    """
    i, j, overlap = pairs(truth, predicted)
    near = np.flatnonzero(overlap >= iou)
    i, j, overlap = i[near], j[near], overlap[near]
    spare = truth.crowd | truth.difficult
    counted = np.flatnonzero(~spare[j])
    order = counted[np.lexsort((-overlap[counted], i[counted], -predicted.scores[i[counted]]))]
    order = order[greedy(i[order], j[order])]
    found = np.full(len(predicted), -1)
    found[i[order]] = j[order]
    ignored = np.zeros(len(predicted), dtype=bool)
    ignored[i[spare[j]]] = True
    return Matches(found, ignored & (found < 0))
