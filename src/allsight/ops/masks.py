"""From small maps of probabilities to masks on a picture."""

from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allsight.scene.masks import LateMasks, Masks


def paste(maps: Tensor, boxes: Tensor, size: tuple[int, int], threshold: float = 0.5) -> Masks:
    """Scale maps up to their boxes and cut them at a threshold (He et al. 2017, "Mask R-CNN", section 3.1, inference).

    A map covers its box from edge to edge; it is read bilinearly at the centres of the picture's pixels
    (align_corners=False), and beyond the middle of its outermost cells it is what it is there. Pixels whose centres lie
    outside the box are not covered.

    Args:
        maps: (N, m, m) probabilities.
        boxes: (N, 4) in pixels, inside the picture or not.
        size: (height, width) of the picture.
        threshold: a pixel is covered from this probability on.

    Returns:
        N masks, each made when it is first looked at; empty ones for boxes that hold no pixel's centre.
    """
    maps, boxes = maps.float(), boxes.double()
    limit = torch.tensor([size[1], size[0]])
    # The first pixel whose centre is not left of the box, and the first whose centre is right of it.
    low = (boxes[:, :2] - 0.5).ceil().long().clamp_min(0).minimum(limit)
    high = (boxes[:, 2:] - 0.5).ceil().long().minimum(limit).maximum(low)
    windows = torch.cat([low, high], dim=1)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp_min(1e-6)
    parts = zip(maps, boxes[:, :2].tolist(), sides.tolist(), windows.tolist(), strict=True)
    return LateMasks([cache(partial(_pasted, *part, threshold)) for part in parts], windows, size)


def _pasted(one: Tensor, corner: list[float], sides: list[float], window: list[int], threshold: float) -> Tensor:
    """Return the bits of one mask, from its map (m, m) and its box by corner and sides, row by row."""
    left, top, right, bottom = window
    upper, lower, down = _places(np.arange(top, bottom), corner[1], sides[1], one.shape[0])
    before, behind, across = _places(np.arange(left, right), corner[0], sides[0], one.shape[1])
    tall = torch.lerp(one[upper], one[lower], down[:, None])
    return (torch.lerp(tall[:, before], tall[:, behind], across) >= threshold).flatten()


def _places(pixels: NDArray[np.int64], start: float, side: float, cells: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the cells before and behind each pixel's centre, and the share of the latter.

    Args:
        pixels: along one side. start, side: of the box in pixels. cells: of the map.
    """
    place = ((pixels + 0.5 - start) / side * cells - 0.5).clip(0, cells - 1)
    before = place.astype(np.int64)
    share = torch.from_numpy((place - before).astype(np.float32))
    return torch.from_numpy(before), torch.from_numpy((before + 1).clip(max=cells - 1)), share
