"""Non-maximum suppression against OpenCV, against the definition, and through torch.export."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from allsight.ops.boxes import pairwise_iou
from allsight.ops.nms import batched_nms, nms


def opencv(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    sides = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).double()
    return [int(i) for i in cv2.dnn.NMSBoxes(sides.numpy(), scores.numpy(), 0.0, threshold)]


def by_definition(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> list[int]:
    iou = pairwise_iou(boxes.double(), boxes.double())
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i].item()):
        if all(labels[i] != labels[j] or iou[i, j] <= threshold for j in kept):
            kept.append(i)
    return kept


def clutter(count: int, seed: int, side: float = 640) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator) * side
    sides = torch.rand(count, 2, generator=generator) * 90 + 10
    return torch.cat([corner, corner + sides], dim=1), torch.rand(count, generator=generator) + 0.01


@pytest.mark.parametrize("side", [60.0, 640.0])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.95, 1.0])
def test_keeps_what_opencv_keeps(side: float, threshold: float) -> None:
    boxes, scores = clutter(3000, 0, side)
    assert nms(boxes, scores, threshold).tolist() == opencv(boxes, scores, threshold)


@st.composite
def ties(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """Small integer boxes, empty ones too, few distinct scores: overlaps and scores are often exactly equal."""
    count = draw(st.integers(1, 40))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low = numbers.integers(0, 6, (count, 2))
    boxes = np.concatenate([low, low + numbers.integers(0, 6, (count, 2))], axis=1)
    scores, labels = numbers.integers(1, 4, count) / 4, numbers.integers(0, 3, count)
    return torch.from_numpy(boxes).float(), torch.from_numpy(scores).float(), torch.from_numpy(labels)


@given(ties(), st.sampled_from([0.0, 0.2, 0.25, 1 / 3, 0.5, 0.6, 2 / 3, 0.75, 1.0]))
@settings(max_examples=300)
def test_ties_fall_as_in_opencv(example: tuple[Tensor, Tensor, Tensor], threshold: float) -> None:
    boxes, scores, _ = example
    assert nms(boxes, scores, threshold).tolist() == opencv(boxes, scores, threshold)


@given(ties(), st.floats(0, 1))
def test_labels_do_not_touch_one_another(example: tuple[Tensor, Tensor, Tensor], threshold: float) -> None:
    boxes, scores, labels = example
    each = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    kept = torch.cat([index[nms(boxes[index], scores[index], threshold)] for index in each]).sort().values
    kept = kept[scores[kept].argsort(descending=True, stable=True)]
    assert torch.equal(batched_nms(boxes, scores, labels, threshold), kept)


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_greedy_by_definition_with_many_labels(shift: float) -> None:
    boxes, scores = clutter(300, 3, 50)
    boxes = (boxes * 64).round() / 64 + shift  # where float32 still tells sixteenths apart
    labels = torch.arange(300) % 7 * 1000
    assert batched_nms(boxes, scores, labels, 0.4).tolist() == by_definition(boxes, scores, labels, 0.4)


def test_a_long_chain_falls_alternately() -> None:
    start = torch.arange(500.0)
    boxes = torch.stack([start, torch.zeros(500), start + 4, torch.ones(500)], dim=1)
    kept = nms(boxes, torch.linspace(1, 0.1, 500), 0.5)  # IoU with the next one is 3 / 5
    assert kept.tolist() == list(range(0, 500, 2))


def test_extremes() -> None:
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)
    assert nms(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([0.5]), 0.5).tolist() == [0]
    same = torch.tensor([[0.0, 0, 5, 5]]).expand(5000, 4)
    assert nms(same, torch.ones(5000), 0.5).tolist() == [0]
    endless = torch.tensor([[0.0, 0, torch.inf, 10], [-torch.inf, 0, torch.inf, 10], [0, 0, 10, 10], [1, 0, 11, 10]])
    scores = torch.tensor([torch.inf, 0.5, -torch.inf, 0.1])
    assert nms(endless, scores, 0.6).tolist() == [0, 1, 3]


def test_half_precision_and_gradients_are_no_hindrance() -> None:
    boxes, scores = clutter(50, 1, 100)
    wanted = nms(boxes.half().float(), scores, 0.5)
    assert torch.equal(nms(boxes.half().requires_grad_(), scores.requires_grad_(), 0.5), wanted)


class Suppress(nn.Module):
    def forward(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        return boxes[batched_nms(boxes, scores, labels, 0.5)[:10]]


def test_exports_with_any_number_of_boxes() -> None:
    def inputs(count: int) -> tuple[Tensor, Tensor, Tensor]:
        return *clutter(count, count, 100), torch.arange(count) % 3

    count = torch.export.Dim("count", min=2, max=100_000)
    program = torch.export.export(Suppress(), inputs(20), dynamic_shapes=({0: count},) * 3)
    targets = [str(node.target) for node in program.graph.nodes]
    assert "allsight.nms.default" in targets
    assert torch.equal(program.module()(*inputs(200)), Suppress()(*inputs(200)))


def test_operator_is_registered_correctly() -> None:
    boxes, scores = clutter(30, 2, 100)
    torch.library.opcheck(torch.ops.allsight.nms.default, (boxes, scores, torch.arange(30) % 2, 0.5))
