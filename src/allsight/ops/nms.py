"""Exact greedy non-maximum suppression, as a PyTorch custom operator so that models export with it.

Whether a box is kept depends on all better boxes, but only boxes that overlap can matter. So boxes are taken in blocks
by falling score; a sweep along x lists the few pairs that may overlap enough, first within the block, where the greedy
choice is made, then between the block's survivors and everything worse. Time grows with the pairs that lie close
together, memory with one block's pairs.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FIRST_BLOCK, _LARGEST_BLOCK = 128, 1024  # in a dense crowd the first few boxes suppress most of the others
_SLACK = 1e-6  # more than what rounding does to an overlap; the sweep may list too many pairs, never too few

Indices = NDArray[np.int64]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Keep the best boxes: each one suppresses every worse box that overlaps it by more than the threshold.

    Args:
        boxes: (N, 4) x1, y1, x2, y2 in pixels, not NaN. Boxes without area count as equal to one another.
        scores: (N,) not NaN. Among equal scores the box that comes first is the better one.
        iou_threshold: in [0, 1].

    Returns:
        (M,) int64 positions of the boxes kept, by falling score: the same as `cv2.dnn.NMSBoxes` keeps.
    """
    return batched_nms(boxes, scores, torch.zeros_like(scores, dtype=torch.int64), iou_threshold)


def batched_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Keep the best boxes of every label; boxes of different labels do not touch one another.

    Args:
        boxes: (N, 4) x1, y1, x2, y2 in pixels. scores: (N,). See `nms`.
        labels: (N,) int64 at least 0: class, or picture times classes plus class.
        iou_threshold: in [0, 1].

    Returns:
        (M,) int64 positions of the boxes kept, by falling score over all labels.
    """
    kept: Tensor = torch.ops.allsight.nms(boxes, scores, labels, iou_threshold)
    return kept


@torch.library.custom_op("allsight::nms", mutates_args=())
def _nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    order = torch.argsort(scores, descending=True, stable=True)
    # Infinite sides become so long that nothing changes, but their areas can be divided.
    sorted_boxes = boxes[order].cpu().double().clamp(-1e30, 1e30)
    kept = _greedy(sorted_boxes.numpy(), labels[order].cpu().numpy(), iou_threshold)
    return order[torch.from_numpy(kept).to(order.device)]


@_nms.register_fake
def _(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    return boxes.new_empty((torch.library.get_ctx().new_dynamic_size(),), dtype=torch.int64)


def _greedy(boxes: NDArray[np.float64], labels: Indices, threshold: float) -> Indices:
    """Return the positions kept of boxes that are sorted by falling score."""
    count = len(boxes)
    sweep = _Sweep(boxes, labels, threshold)
    alive = _first_without_area(sweep.areas, labels) if sweep.threshold < 1 else np.ones(count, dtype=bool)
    start, length = 0, _FIRST_BLOCK
    while start < count:
        stop = min(start + length, count)
        block = start + np.flatnonzero(alive[start:stop])
        suppressed = _resolve(*sweep.pairs_within(block), count)
        alive[suppressed] = False
        rest = stop + np.flatnonzero(alive[stop:])
        if len(rest):
            alive[sweep.reached(block[alive[block]], rest)] = False
        start, length = stop, min(2 * length, _LARGEST_BLOCK)
    return np.flatnonzero(alive)


def _first_without_area(areas: NDArray[np.float64], labels: Indices) -> NDArray[np.bool_]:
    """Return which boxes have an area or are their label's best one that has none."""
    alive = areas > 0
    empty = np.flatnonzero(~alive)
    alive[empty[np.unique(labels[empty], return_index=True)[1]]] = True
    return alive


def _resolve(better: Indices, worse: Indices, count: int) -> Indices:
    """Return what greedy choice suppresses, given all pairs in which the better box would suppress the worse one.

    In every round the boxes that no undecided box could suppress are kept, and what they overlap falls.
    """
    suppressed = []
    while len(better):
        threatened = np.zeros(count, dtype=bool)
        threatened[worse] = True
        fallen = np.zeros(count, dtype=bool)
        fallen[worse[~threatened[better]]] = True
        suppressed.append(np.flatnonzero(fallen))
        undecided = threatened[better] & ~fallen[better] & ~fallen[worse]
        better, worse = better[undecided], worse[undecided]
    return np.concatenate(suppressed) if suppressed else np.zeros(0, dtype=np.int64)


class _Sweep:
    """Lists pairs of boxes of one label that overlap by more than a threshold."""

    def __init__(self, boxes: NDArray[np.float64], labels: Indices, threshold: float) -> None:
        self.columns = self.x1, self.y1, self.x2, self.y2 = np.ascontiguousarray(boxes.T)
        self.labels = labels
        self.width, self.height = self.x2 - self.x1, self.y2 - self.y1
        self.areas = self.width.clip(0) * self.height.clip(0)
        self.threshold = np.float32(threshold)
        # Labels lie side by side along the sweep. IoU is at most the IoU along x, so that a box which starts further
        # right than this share of the width cannot overlap enough.
        extent = float(self.x2.max() - self.x1.min()) if len(boxes) else 0.0
        self.start = self.x1 + labels * (2 * extent + 1)
        margin = _SLACK * (1 + extent)
        self.end = self.start + (1 - threshold + _SLACK) * self.width + margin
        self.reach = (1 - threshold + _SLACK) * self.height + margin

    def pairs_within(self, chosen: Indices) -> tuple[Indices, Indices]:
        """Return (better, worse) of all pairs among `chosen` that overlap too much."""
        ordered = chosen[np.argsort(self.start[chosen], kind="stable")]
        first = np.arange(1, len(ordered) + 1)
        left, right = self._overlapping(ordered, ordered, first)
        return np.minimum(left, right), np.maximum(left, right)

    def reached(self, better: Indices, rest: Indices) -> Indices:
        """Return those of `rest` that a box of `better` overlaps too much."""
        one = better[np.argsort(self.start[better], kind="stable")]
        two = rest[np.argsort(self.start[rest], kind="stable")]
        right = self._overlapping(one, two, np.searchsorted(self.start[two], self.start[one], "left"))[1]
        left = self._overlapping(two, one, np.searchsorted(self.start[one], self.start[two], "right"))[0]
        return np.concatenate([left, right])

    def _overlapping(self, left: Indices, right: Indices, first: Indices) -> tuple[Indices, Indices]:
        """Return the pairs that overlap too much, of boxes `left` with the boxes that start within their reach.

        Args:
            left, right: positions, by rising start. first: for each of `left`, the place in `right` to begin at.
        """
        last = np.searchsorted(self.start[right], self.end[left], "right")
        counts = (last - first).clip(0)
        place = np.arange(counts.sum()) + np.repeat(first - (counts.cumsum() - counts), counts)
        owner = np.repeat(np.arange(len(left)), counts)
        down = self.y1[right][place] - self.y1[left][owner]
        near = np.flatnonzero((down <= self.reach[left][owner]) & (-down <= self.reach[right][place]))
        i, j = left[owner[near]], right[place[near]]
        much = self._overlap(i, j) > self.threshold
        return i[much], j[much]

    def _overlap(self, i: Indices, j: Indices) -> NDArray[np.float32]:
        """Return the IoU, rounded to float32 by way of the Jaccard distance as OpenCV does, so that ties agree."""
        width = np.minimum(self.x2[i], self.x2[j]) - np.maximum(self.x1[i], self.x1[j])
        height = np.minimum(self.y2[i], self.y2[j]) - np.maximum(self.y1[i], self.y1[j])
        shared = width.clip(0) * height.clip(0) * (self.labels[i] == self.labels[j])
        union = self.areas[i] + self.areas[j] - shared
        distance = 1 - np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        return np.float32(1) - distance.astype(np.float32)
