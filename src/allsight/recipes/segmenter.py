"""Regions on pictures with label maps."""

from dataclasses import dataclass
from typing import Literal

from allsight.recipes.region_settings import RegionSettings


@dataclass(frozen=True)
class Segmenter(RegionSettings):
    """The class of every pixel: a feature pyramid whose levels are summed (Kirillov et al. 2019), on a known trunk.

    Command: allsight train segmenter DATA --out runs/street
    Leave one drive out: allsight train segmenter DATA --hold-out 0001TP --out runs/drive
    """

    form: Literal["narrow", "paper"] = "narrow"
    """narrow: depthwise separable, 96 channels, what we ship. paper: 256 channels, plain convolutions."""

    @property
    def builder(self) -> str:
        """The system's name in `allsight.systems`."""
        return "fpn_regions_narrow" if self.form == "narrow" else "fpn_regions"
