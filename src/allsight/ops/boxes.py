"""Boxes as (..., 4) tensors of x1, y1, x2, y2 in continuous pixel coordinates: pixel (0, 0) covers [0, 1).

A degenerate box (x2 <= x1 or y2 <= y1) has area 0 and overlaps nothing; it never gives NaN, nor a NaN gradient.
Half-precision boxes are measured in float32, because the area of a box of 300 x 300 pixels overflows float16.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Form = Literal["xyxy", "xywh", "cxcywh"]

# A regressed side grows at most from one cell of stride 16 to 1000 pixels: exp of a wild delta must not overflow.
LARGEST_LOG_SCALE = math.log(1000 / 16)


def area(boxes: Tensor) -> Tensor:
    """Return the area of every box.

    Args:
        boxes: (..., 4) x1, y1, x2, y2 in pixels.

    Returns:
        (...,) square pixels, 0 for degenerate boxes.
    """
    return _span(*_planes(boxes))


def convert(boxes: Tensor, source: Form, target: Form) -> Tensor:
    """Write boxes in another form.

    Args:
        boxes: (..., 4) in the form `source`.
        source, target: "xyxy" (two corners), "xywh" (upper left corner and sides: COCO) or "cxcywh" (centre and
            sides: YOLO).

    Returns:
        (..., 4) in the form `target`.
    """
    first, second = boxes[..., :2], boxes[..., 2:]
    if source == target:
        return boxes
    if source == "xywh":
        low, high = first, first + second
    elif source == "cxcywh":
        low, high = first - second / 2, first + second / 2
    else:
        low, high = first, second
    if target == "xyxy":
        return torch.cat([low, high], dim=-1)
    return torch.cat([low if target == "xywh" else (low + high) / 2, high - low], dim=-1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of every box of `a` with every box of `b`.

    Args:
        a: (..., N, 4) boxes in pixels. b: (..., M, 4).

    Returns:
        (..., N, M) in [0, 1].
    """
    return aligned_iou(a[..., :, None, :], b[..., None, :, :])


def aligned_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes that lie at the same place in `a` and `b`.

    Args:
        a, b: (..., 4) boxes in pixels, broadcast against one another.

    Returns:
        (...,) in [0, 1]; 0 where both boxes are degenerate.
    """
    return _ratio(*_intersection_and_union(_planes(a), _planes(b)))


def pairwise_giou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised IoU of every box of `a` with every box of `b`; see `aligned_giou`.

    Args:
        a: (..., N, 4) boxes in pixels. b: (..., M, 4).

    Returns:
        (..., N, M) in [-1, 1].
    """
    return aligned_giou(a[..., :, None, :], b[..., None, :, :])


def aligned_giou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised IoU of boxes that lie at the same place: IoU - (hull - union) / hull.

    The hull is the smallest box around both. Unlike IoU it tells boxes apart that do not meet.

    Args:
        a, b: (..., 4) boxes in pixels, broadcast against one another.

    Returns:
        (...,) in [-1, 1].

    Source:
        Rezatofighi et al., "Generalized Intersection over Union", CVPR 2019, algorithm 1.
    """
    one, two = _planes(a), _planes(b)
    intersection, union = _intersection_and_union(one, two)
    hull = _span(*map(torch.minimum, one[:2], two[:2]), *map(torch.maximum, one[2:], two[2:]))
    # The hull of a swapped box may be smaller than the union.
    return _ratio(intersection, union) - _ratio((hull - union).clamp_min(0), hull)


def encode(boxes: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Return what a regressor should say so that `anchors` become `boxes`.

    Args:
        boxes: (..., 4) targets in pixels. anchors: (..., 4) where the regressor starts from.
        weights: multiplies the horizontal and vertical shift and the logarithms of width and height.

    Returns:
        (..., 4) deltas (t_x, t_y, t_w, t_h). Sides shorter than a thousandth of a pixel count as that.

    Source:
        Girshick et al., "Rich feature hierarchies", CVPR 2014, appendix C, equations 6 to 9.
    """
    centre, sides = _centre_and_sides(boxes)
    anchor_centre, anchor_sides = _centre_and_sides(anchors)
    shift = (centre - anchor_centre) / anchor_sides
    deltas = torch.cat([shift, torch.log(sides / anchor_sides)], dim=-1)
    return deltas * deltas.new_tensor(weights)


def decode(
    deltas: Tensor,
    anchors: Tensor,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    clamp: float = LARGEST_LOG_SCALE,
) -> Tensor:
    """Return the boxes that a regressor means: the inverse of `encode`.

    Args:
        deltas: (..., 4) as `encode` returns them. anchors: (..., 4) boxes in pixels.
        weights: the same as in `encode`.
        clamp: largest logarithm of a side over the anchor's side.

    Returns:
        (..., 4) boxes in pixels, not cut at the border of the picture.

    Source:
        Girshick et al., "Rich feature hierarchies", CVPR 2014, appendix C, equations 1 to 4.
    """
    centre, sides = _centre_and_sides(anchors)
    plain = _measurable(deltas) / centre.new_tensor(weights)
    centre = centre + plain[..., :2] * sides
    half = plain[..., 2:].clamp(max=clamp).exp() * sides / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut boxes at the border of a picture.

    Args:
        boxes: (..., 4) in pixels.
        size: (height, width) of the picture.

    Returns:
        (..., 4) with 0 <= x <= width and 0 <= y <= height.
    """
    x, y = boxes[..., 0::2].clamp(0, size[1]), boxes[..., 1::2].clamp(0, size[0])
    return torch.stack([x, y], dim=-1).flatten(-2)


def _measurable(boxes: Tensor) -> Tensor:
    return boxes if boxes.dtype in (torch.float32, torch.float64) else boxes.float()


def _planes(boxes: Tensor) -> tuple[Tensor, ...]:
    """Return x1, y1, x2 and y2, each in one piece: many with many take a seventh of the time of boxes in one tensor."""
    return _measurable(boxes).movedim(-1, 0).contiguous().unbind()


def _span(x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor) -> Tensor:
    return (x2 - x1).clamp_min(0) * (y2 - y1).clamp_min(0)


def _intersection_and_union(one: Sequence[Tensor], two: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    intersection = _span(*map(torch.maximum, one[:2], two[:2]), *map(torch.minimum, one[2:], two[2:]))
    return intersection, _span(*one) + _span(*two) - intersection


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Divide, with 0 and no gradient where the whole is nothing; it is never negative.

    Both steps run in vectors of the processor, as masks do not: many with many take a third of the time.
    """
    return part / whole.clamp_min(torch.finfo(whole.dtype).tiny) * whole.sign()


def _centre_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    boxes = _measurable(boxes)
    return (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]).clamp_min(1e-3)
