"""Boxes against pixel counts, hand-made cases and properties."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allsight.ops import boxes as ops

SIDE = 12


@st.composite
def integer_boxes(draw: st.DrawFn, least: int = 0) -> Tensor:
    count = draw(st.integers(1, 6))
    number = st.integers(0, SIDE - least)
    rows = [[draw(number), draw(number)] for _ in range(count)]
    rows = [[x, y, draw(st.integers(x + least, SIDE)), draw(st.integers(y + least, SIDE))] for x, y in rows]
    return torch.tensor(rows, dtype=torch.float32)


@st.composite
def any_boxes(draw: st.DrawFn) -> Tensor:
    """Whatever four numbers, swapped and empty ones among them."""
    count = draw(st.integers(1, 6))
    number = st.floats(-1e4, 1e4, width=32)
    return torch.tensor([[draw(number) for _ in range(4)] for _ in range(count)])


def painted(boxes: Tensor) -> Tensor:
    """The pixels of every integer box: (N, SIDE, SIDE) bool."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    x1, y1, x2, y2 = (boxes[:, i, None, None] for i in range(4))
    return (x >= x1) & (x < x2) & (y >= y1) & (y < y2)


@given(integer_boxes(), integer_boxes())
def test_iou_counts_pixels(a: Tensor, b: Tensor) -> None:
    one, two = painted(a)[:, None], painted(b)[None]
    intersection, union = (one & two).sum((2, 3)), (one | two).sum((2, 3))
    wanted = torch.where(union > 0, intersection / union.clamp_min(1), torch.zeros(()))
    torch.testing.assert_close(ops.pairwise_iou(a, b), wanted)
    assert torch.equal(ops.area(a), painted(a).sum((1, 2)).float())


@given(any_boxes(), any_boxes())
def test_overlap_is_finite_symmetric_and_in_range(a: Tensor, b: Tensor) -> None:
    iou, giou = ops.pairwise_iou(a, b), ops.pairwise_giou(a, b)
    for value, lowest in ((iou, 0.0), (giou, -1.0)):
        assert value.isfinite().all()
        assert (value >= lowest - 1e-6).all()
        assert (value <= 1 + 1e-6).all()
    assert torch.equal(iou, ops.pairwise_iou(b, a).T)
    assert torch.equal(giou, ops.pairwise_giou(b, a).T)
    assert (giou <= iou).all()


@given(integer_boxes(), integer_boxes())
def test_giou_takes_away_the_empty_share_of_the_hull(a: Tensor, b: Tensor) -> None:
    for i, one in enumerate(a.tolist()):
        for j, two in enumerate(b.tolist()):
            low = [min(one[k], two[k]) for k in (0, 1)]
            high = [max(one[k], two[k]) for k in (2, 3)]
            hull = (high[0] - low[0]) * (high[1] - low[1])
            union = (painted(a)[i] | painted(b)[j]).sum().item()
            iou = ops.pairwise_iou(a, b)[i, j].item()
            wanted = iou - (hull - union) / hull if hull else 0.0
            assert ops.pairwise_giou(a, b)[i, j].item() == pytest.approx(wanted, abs=1e-5)


def test_giou_of_two_unit_boxes_one_apart() -> None:
    a, b = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[2.0, 0, 3, 1]])
    assert ops.aligned_giou(a, b).item() == pytest.approx(-1 / 3)


def overlaps_by_the_book(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and GIoU with corners kept together, as the definitions are written."""

    def size(low: Tensor, high: Tensor) -> Tensor:
        return (high - low).clamp_min(0).prod(-1)

    def share(part: Tensor, whole: Tensor) -> Tensor:
        return torch.where(whole > 0, part / torch.where(whole > 0, whole, 1), 0)

    meets = size(torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:]))
    union = size(a[..., :2], a[..., 2:]) + size(b[..., :2], b[..., 2:]) - meets
    hull = size(torch.minimum(a[..., :2], b[..., :2]), torch.maximum(a[..., 2:], b[..., 2:]))
    iou = share(meets, union)
    return iou, iou - share((hull - union).clamp_min(0), hull)


@given(any_boxes(), any_boxes())
def test_overlaps_are_those_of_the_book_bit_by_bit(a: Tensor, b: Tensor) -> None:
    iou, giou = overlaps_by_the_book(a[:, None], b)
    assert torch.equal(ops.pairwise_iou(a, b), iou)
    assert torch.equal(ops.pairwise_giou(a, b), giou)


def test_gradients_are_those_of_the_book() -> None:
    torch.manual_seed(0)
    a, b = (torch.rand(200, 4) * 50 for _ in range(2))  # half of them swapped
    a.requires_grad_()
    for ours, expected in zip((ops.aligned_iou, ops.aligned_giou), overlaps_by_the_book(a, b), strict=True):
        (gradient,) = torch.autograd.grad(ours(a, b).sum(), a)
        (wanted,) = torch.autograd.grad(expected.sum(), a, retain_graph=True)
        torch.testing.assert_close(gradient, wanted, atol=1e-7, rtol=1e-5)


def test_aligned_is_the_diagonal_of_pairwise() -> None:
    a, b = (ops.convert(torch.rand(5, 4) * 10, "xywh", "xyxy") for _ in range(2))
    torch.testing.assert_close(ops.aligned_iou(a, b), ops.pairwise_iou(a, b).diagonal())
    torch.testing.assert_close(ops.aligned_giou(a, b), ops.pairwise_giou(a, b).diagonal())


@given(integer_boxes(least=1), integer_boxes(least=1))
def test_decode_inverts_encode(boxes: Tensor, anchors: Tensor) -> None:
    pairs = boxes[:, None].expand(-1, len(anchors), 4), anchors[None].expand(len(boxes), -1, 4)
    deltas = ops.encode(*pairs, weights=(10, 10, 5, 5))
    torch.testing.assert_close(ops.decode(deltas, pairs[1], weights=(10, 10, 5, 5)), pairs[0], atol=1e-4, rtol=1e-4)


def test_encode_is_the_papers_parameterisation() -> None:
    anchor, box = torch.tensor([10.0, 20, 30, 60]), torch.tensor([20.0, 20, 60, 40])  # 20 x 40 at (20, 40) to 40 x 20
    wanted = torch.tensor([20 / 20, -10 / 40, math.log(2), math.log(0.5)])
    torch.testing.assert_close(ops.encode(box, anchor), wanted)
    torch.testing.assert_close(ops.encode(box, anchor, (10, 10, 5, 5)), wanted * torch.tensor([10, 10, 5, 5]))


@given(any_boxes(), any_boxes())
@settings(max_examples=50)
def test_degenerate_boxes_encode_and_decode_to_finite_numbers(a: Tensor, b: Tensor) -> None:
    count = min(len(a), len(b))
    assert ops.encode(a[:count], b[:count]).isfinite().all()
    assert ops.decode(a[:count], b[:count]).isfinite().all()


def test_decode_bounds_the_growth() -> None:
    box = ops.decode(torch.tensor([0.0, 0, 1e4, 1e4]), torch.tensor([0.0, 0, 16, 16]))
    torch.testing.assert_close(box[2] - box[0], torch.tensor(1000.0))


def test_gradient_is_finite_where_boxes_are_empty() -> None:
    boxes = torch.tensor([[3.0, 3, 3, 3], [5, 5, 2, 2], [0, 0, 4, 4]], requires_grad=True)
    ops.pairwise_giou(boxes, boxes.detach()).sum().backward()
    assert boxes.grad is not None
    assert boxes.grad.isfinite().all()


@given(any_boxes(), st.permutations(["xyxy", "xywh", "cxcywh"]))
def test_convert_there_and_back(boxes: Tensor, forms: list[ops.Form]) -> None:
    first, second, third = forms
    back = ops.convert(ops.convert(ops.convert(boxes, first, second), second, third), third, first)
    torch.testing.assert_close(back, boxes, atol=0.02, rtol=1e-5)


def test_convert_by_hand() -> None:
    box = torch.tensor([2.0, 4, 6, 10])
    assert ops.convert(box, "xyxy", "xywh").tolist() == [2, 4, 4, 6]
    assert ops.convert(box, "xyxy", "cxcywh").tolist() == [4, 7, 4, 6]
    assert ops.convert(torch.tensor([4.0, 7, 4, 6]), "cxcywh", "xyxy").tolist() == [2, 4, 6, 10]


def test_clip_cuts_at_the_border() -> None:
    boxes = torch.tensor([[-5.0, -5, 200, 200], [120, 10, 130, 20]])
    assert ops.clip(boxes, (50, 100)).tolist() == [[0, 0, 100, 50], [100, 10, 100, 20]]


def test_half_precision_does_not_overflow() -> None:
    box = torch.tensor([[0.0, 0, 1000, 1000]], dtype=torch.float16)
    assert ops.area(box).item() == 1e6
    assert ops.pairwise_iou(box, box).item() == 1


def test_no_boxes() -> None:
    none = torch.zeros((0, 4))
    assert ops.pairwise_iou(none, torch.rand(3, 4)).shape == (0, 3)
    assert ops.encode(none, none).shape == ops.clip(none, (4, 4)).shape == (0, 4)
