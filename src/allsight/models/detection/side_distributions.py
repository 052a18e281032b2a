"""Boxes as the distances of their four sides from a place, each a distribution over whole numbers of strides."""

from collections.abc import Sequence

import torch
from torch import Tensor


def places(shapes: Sequence[tuple[int, int]], strides: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Return where the cells of a pyramid stand: cell i at i x stride, the upper left corner of its pixels.

    A convolution of odd size that is padded by half of it, with stride 2, is centred there.

    Args:
        shapes: (height, width) of every level, in cells. strides: pixels per cell.

    Returns:
        (P, 3) x, y and stride in pixels, level by level, row by row, cell by cell.
    """
    levels = []
    for (height, width), stride in zip(shapes, strides, strict=True):
        down, across = torch.arange(height, device=device) * stride, torch.arange(width, device=device) * stride
        y, x = torch.meshgrid(down, across, indexing="ij")
        levels.append(torch.stack([x, y, torch.full_like(x, stride)], dim=-1).reshape(-1, 3))
    return torch.cat(levels).float()


def expected(sides: Tensor) -> Tensor:
    """Return the mean of every side's distribution, in strides (Li et al. 2020, "Generalized focal loss", equation 4).

    Args:
        sides: (..., 4, N) logits of 0, 1, ... N - 1 strides.

    Returns:
        (..., 4) float32.
    """
    numbers = torch.arange(sides.shape[-1], device=sides.device, dtype=torch.float32)
    return (sides.float().softmax(-1) * numbers).sum(-1)


def boxes_around(where: Tensor, distances: Tensor) -> Tensor:
    """Return the boxes whose sides lie so far from their places.

    Args:
        where: (..., 3) as `places` gives them. distances: (..., 4) to left, top, right and bottom, in strides.

    Returns:
        (..., 4) x1, y1, x2, y2 in pixels.
    """
    pixels, centre = distances * where[..., 2:], where[..., :2]
    return torch.cat([centre - pixels[..., :2], centre + pixels[..., 2:]], dim=-1)


def distances_to(where: Tensor, boxes: Tensor) -> Tensor:
    """Return how far the sides of boxes lie from places: the inverse of `boxes_around`, negative outside of a box."""
    centre = where[..., :2]
    return torch.cat([centre - boxes[..., :2], boxes[..., 2:] - centre], dim=-1) / where[..., 2:]
