"""Reading maps at the pixels of the original picture, straight from the maps' own grid."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from allsight.scene import Frame

BAND = 2**18  # values that are scaled up at a time: they stay in the cache, and a large photograph in memory


def likeliest(logits: Tensor, frame: Frame) -> Tensor:
    """Return the class of greatest logit at every pixel of the original picture; see `best_at_pixels`.

    Args:
        logits: (C, h, w) over the padded picture.
        frame: how the picture came to its padded size.

    Returns:
        (H, W) int64.
    """
    return best_at_pixels(logits, frame)[1]


def best_at_pixels(maps: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
    """Return the greatest of several maps at every pixel of the original picture, and which of them it is.

    Maps are read bilinearly at the pixel's centre, straight from their own grid: no size in between is made, and no
    answer is given for padding.

    Args:
        maps: (C, h, w) over the padded picture.
        frame: how the picture came to its padded size.

    Returns:
        (H, W) of the maps' type, (H, W) int64: the first of equals.
    """
    maps = maps.detach()
    bands = _bands(maps, frame, _rivals(maps))
    values, labels = zip(*(_best(band, which.tolist()) for band, which in bands), strict=True)
    return torch.cat(values), torch.cat(labels).long()


def _rivals(maps: Tensor) -> Tensor:
    """Return (C, h) bool: which maps may be the greatest one somewhere between a row of cells (h) and the next.

    Between four cells a map is nowhere over the greatest of its four values, nor another one under the least of its
    own. Of 27 classes some ten are left in a picture, and five in a band of it: the time goes with their number.
    """
    highest, lowest = (_of_four(maps, which) for which in (torch.maximum, torch.minimum))
    return ~((highest - lowest.amax(0)).amax(2) < 0)


def _of_four(maps: Tensor, which: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return (C, h, w): at every cell, which of its own value and those of the next ones down and across."""
    for side in (1, 2):
        last = maps.shape[side] - 1
        pairs = which(maps.narrow(side, 0, last), maps.narrow(side, 1, last))
        maps = torch.cat([pairs, maps.narrow(side, last, 1)], side)
    return maps


def _best(maps: Tensor, labels: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the maximum over maps (C, h, w) and its label as uint8, map by map: a fifth of the time of `max`.

    Args:
        maps: in float. labels: of the maps, rising: so the greatest label that was ever better is that of the maximum.
    """
    best, found, better = maps[0].clone(), torch.full_like(maps[0], labels[0]), torch.empty_like(maps[0])
    for label, one in zip(labels[1:], maps[1:], strict=True):
        # Comparing floats to floats is vectorised, to flags it is not, and filling by flags is slower still.
        torch.maximum(found, torch.gt(one, best, out=better).mul_(label), out=found)
        torch.maximum(best, one, out=best)
    return best, found.to(torch.uint8)


def at_pixels(maps: Tensor, frame: Frame) -> Tensor:
    """Return maps (C, h, w) over the padded picture as (C, H, W) at the pixels of the original one.

    They are read as `best_at_pixels` reads them.
    """
    every = torch.ones(maps.shape[:2], dtype=torch.bool, device=maps.device)
    return torch.cat([band for band, _ in _bands(maps, frame, every)], dim=1)


def _bands(maps: Tensor, frame: Frame, wanted: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Give maps at the pixels of the original picture, some rows at a time, and which of the maps these are.

    Reading is linear, and so it is two products of matrices: a third of the time of looking up neighbours. Of the
    second one, every band needs the few cells that its rows lie in.

    Args:
        maps: (C, h, w) over the padded picture. frame: how the picture came to its padded size.
        wanted: (C, h) bool: maps that are wanted between a row of cells and the next.
    """
    down, across = (
        _reading(frame.original[i], frame.scale[i] * maps.shape[1 + i] / frame.padded[i], maps.shape[1 + i], maps)
        for i in (0, 1)
    )
    anywhere = wanted.any(1).nonzero()[:, 0]
    columns, wanted = maps.index_select(0, anywhere) @ across.T, wanted.index_select(0, anywhere)
    for rows in down.split(max(1, BAND // (len(across) * len(anywhere)))):
        cells = rows.any(0).nonzero()
        near = slice(int(cells[0]), int(cells[-1]) + 1)
        here = wanted[:, near].any(1).nonzero()[:, 0]
        yield rows[:, near] @ columns[:, near].index_select(0, here), anywhere[here]


def _reading(pixels: int, step: float, cells: int, like: Tensor) -> Tensor:
    """Return (pixels, cells): what share each cell along a side has in the value at the centre of each pixel.

    Args:
        pixels: along the side. step: cells per pixel. cells: along the side. like: of the type of the shares.
    """
    place = ((torch.arange(pixels, device=like.device, dtype=torch.float64) + 0.5) * step - 0.5).clamp(0, cells - 1)
    before = place.long()
    share = (place - before).to(like.dtype)[:, None]
    shares = like.new_zeros(pixels, cells)
    shares.scatter_add_(1, before[:, None], 1 - share)
    return shares.scatter_add_(1, (before + 1).clamp_max(cells - 1)[:, None], share)
