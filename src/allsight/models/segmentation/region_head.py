"""`RegionHead`: the class of every pixel. Architectures differ in the decoder that it is given."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.losses.cross_entropy import pixel_cross_entropy
from allsight.models.vision import Features, Head
from allsight.scene import Frame, Scene, Vocabulary
from allsight.scene.geometry import IGNORE

# (logits (B, C, H, W), truth (B, H, W) int64 with 255 = ignore) -> a scalar
RegionLoss = Callable[[Tensor, Tensor], Tensor]

BAND = 2**18  # logits that `decode` scales up at a time: they stay in the cache, and a large photograph in memory


class Decoder(nn.Module, ABC):
    """Feature maps to one map of logits, of any stride: what an architecture for regions is.

    Attributes:
        inputs: names of the features that it reads.
    """

    inputs: tuple[str, ...]

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Return logits (B, C, h, w) that cover the whole picture."""


class RegionOutputs(NamedTuple):
    """logits (B, C, h, w), at the stride of the decoder."""

    logits: Tensor


class RegionHead(Head):
    """The class of every pixel, from a decoder's logits.

    Loss and answer are computed at full size: logits are scaled up bilinearly (align_corners=False).

    Args:
        decoder: features to logits of as many classes.
        classes: names behind the logits.
        losses: by name; their values are added up. A recipe may change them between two stages.
    """

    def __init__(
        self, *, decoder: Decoder, classes: Vocabulary, losses: Mapping[str, RegionLoss] | None = None
    ) -> None:
        super().__init__()
        self.inputs = decoder.inputs
        self.decoder = decoder
        self.classes = classes
        self.losses: Mapping[str, RegionLoss] = losses or {"cross_entropy": pixel_cross_entropy}

    def forward(self, features: Features, frames: Sequence[Frame]) -> RegionOutputs:
        """Return logits (B, C, h, w)."""
        return RegionOutputs(self.decoder(features))

    def criterion(self, outputs: RegionOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the losses by name, over the pixels whose class is annotated."""
        size = frames[0].padded
        unknown = torch.full(size, IGNORE)
        truth = torch.stack([unknown if scene.regions is None else scene.regions.long() for scene in scenes])
        # Planar before they grow: losses go class by class, and would copy the large ones (127 ms a step against 154).
        planar = outputs.logits.float().contiguous()
        logits = F.interpolate(planar, size=size, mode="bilinear", align_corners=False)
        truth = truth.to(logits.device, non_blocking=True)
        return {name: loss(logits, truth) for name, loss in self.losses.items()}

    def decode(self, outputs: RegionOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return the likeliest class of every pixel of the original pictures."""
        return [
            Scene(frame.original, regions=likeliest(logits.float(), frame).cpu(), region_classes=self.classes)
            for logits, frame in zip(outputs.logits, frames, strict=True)
        ]


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
