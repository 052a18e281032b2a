"""From small maps of probabilities to masks on a picture."""

import torch
from torch import Tensor

from allsight.scene import Masks


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
        N masks; empty ones for boxes that hold no pixel's centre.
    """
    maps, boxes = maps.float(), boxes.double()
    limit = torch.tensor([size[1], size[0]])
    # The first pixel whose centre is not left of the box, and the first whose centre is right of it.
    low = (boxes[:, :2] - 0.5).ceil().long().clamp_min(0).minimum(limit)
    high = (boxes[:, 2:] - 0.5).ceil().long().minimum(limit).maximum(low)
    windows = torch.cat([low, high], dim=1)
    sides = (boxes[:, 2:] - boxes[:, :2]).clamp_min(1e-6)
    rows = _places(low[:, 1], high[:, 1], boxes[:, 1], sides[:, 1], maps.shape[1])
    columns = _places(low[:, 0], high[:, 0], boxes[:, 0], sides[:, 0], maps.shape[2])
    bits = [torch.zeros(0, dtype=torch.bool)]
    # A loop over instances, each a few calls on all of its pixels: every one has a size of its own.
    for one, (upper, lower, down), (left, right, across) in zip(maps, rows, columns, strict=True):
        tall = torch.lerp(one[upper], one[lower], down[:, None])
        bits.append((torch.lerp(tall[:, left], tall[:, right], across) >= threshold).flatten())
    return Masks(torch.cat(bits), windows, size)


def _places(low: Tensor, high: Tensor, start: Tensor, side: Tensor, cells: int) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Return for every box the cells before and behind each of its pixels' centres, and the share of the latter.

    Args:
        low, high: (N,) first pixel and the one past the last. start, side: (N,) of the boxes in pixels.
        cells: of maps.
    """
    counts = high - low
    box = torch.repeat_interleave(counts)
    pixel = torch.arange(len(box)) - (counts.cumsum(0) - counts)[box] + low[box]
    place = ((pixel + 0.5 - start[box]) / side[box] * cells - 0.5).clamp(0, cells - 1)
    before = place.long()
    behind, share = (before + 1).clamp_max(cells - 1), (place - before).float()
    parts = (each.split(counts.tolist()) for each in (before, behind, share))
    return list(zip(*parts, strict=True))
