"""Label maps as a careless hand would draw them: borders moved a little, differently from place to place."""

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.label_maps import DenseMap
from allsight.machine.randomness import generator

# Its direction stays about the same over so many times the shift, and so many pixels at least: else borders would fold.
_CALM, _LEAST_CALM = 4, 8


@dataclass(frozen=True, eq=False)
class JitteredMap:
    """Regions whose borders are moved.

    Args:
        source: gives the regions, and whatever else is drawn, which is left out.
        pixels: see `move_borders`. seed, index: of the data set's jitter, and of the picture in it.
    """

    source: DenseMap
    pixels: float
    seed: int
    index: int

    def fields(self, size: tuple[int, int]) -> dict[str, Any]:
        """Return `regions`; see `DenseMap`."""
        regions = self.source.fields(size)["regions"]
        return {"regions": move_borders(regions, self.pixels, generator(self.seed, self.index))}


def jittered(dataset: Dataset, pixels: float, *, seed: int) -> Dataset:
    """Return a data set with the borders of its regions moved: how, depends on the seed and a picture's place alone.

    Args:
        dataset: with label maps; a picture without any stays as it is.
        pixels: see `move_borders`. seed: 0 or more.
    """

    def moved(index: int, example: Example) -> Example:
        if example.label_map is None:
            return example
        return replace(example, label_map=JitteredMap(example.label_map, pixels, seed, index))

    return replace(dataset, examples=tuple(moved(index, example) for index, example in enumerate(dataset)))


def move_borders(regions: Tensor, pixels: float, random: Generator) -> Tensor:
    """Take every label from a place so many pixels away, in a direction that wanders over the picture.

    A border moves by up to as much, this way or that. What is farther from any border than that stays as it is.

    Args:
        regions: (H, W). pixels: 0 or more. random: the only source of randomness.

    Returns:
        (H, W).
    """
    height, width = regions.shape
    calm = max(_LEAST_CALM, _CALM * pixels)
    coarse = [int(side // calm) + 2 for side in (height, width)]
    compass = torch.randn((1, 2, *coarse), generator=random)
    rows, columns = F.normalize(F.interpolate(compass, (height, width), mode="bicubic")[0], dim=0) * pixels
    rows = (rows + torch.arange(height)[:, None]).round().long().clamp(0, height - 1)
    columns = (columns + torch.arange(width)).round().long().clamp(0, width - 1)
    return regions[rows, columns]
