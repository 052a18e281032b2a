"""Regions on pictures with label maps."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from allsight.recipes.segmentation.settings import RegionSettings

if TYPE_CHECKING:
    from allsight.recipes.common.job import Job

Architecture = Literal[
    "fpn",
    "fcn32s",
    "fcn16s",
    "fcn8s",
    "front_end",
    "dilated",
    "unet",
    "unet_without_skips",
    "segnet",
    "segnet_bilinear",
    "deconvnet",
]

# Builders of the narrow form, on any trunk, and of the paper's; and arguments of both.
BUILDERS: dict[Architecture, tuple[str, str, dict[str, Any]]] = {
    "fpn": ("fpn_regions_narrow", "fpn_regions", {}),
    "fcn32s": ("fcn", "fcn_vgg", {"stride": 32}),
    "fcn16s": ("fcn", "fcn_vgg", {"stride": 16}),
    "fcn8s": ("fcn", "fcn_vgg", {"stride": 8}),
    "front_end": ("dilated", "dilated_vgg", {"context": "none"}),
    "dilated": ("dilated", "dilated_vgg", {"context": "basic"}),
    "unet": ("unet_narrow", "unet", {}),
    "unet_without_skips": ("unet_narrow", "unet_narrow", {"skips": False}),
    "segnet": ("segnet", "segnet", {}),
    "segnet_bilinear": ("segnet", "segnet", {"unpool": False}),
    "deconvnet": ("deconvnet_narrow", "deconvnet", {}),
}


@dataclass(frozen=True, kw_only=True)
class Segmenter(RegionSettings):
    """The class of every pixel: a feature pyramid whose levels are summed (Kirillov et al. 2019), on a known trunk.

    Command: allsight train segmenter DATA --out runs/street
    Leave one drive out: allsight train segmenter DATA --hold-out 0001TP --out runs/drive
    Another decoder: allsight train segmenter DATA --architecture unet --out runs/unet
    """

    architecture: Architecture = "fpn"
    """What stands on the trunk. front_end is the dilated net without its context module; segnet and deconvnet need the
    pooling indices of a VGG or of vgg_narrow; the twins (without_skips, bilinear) are there to be compared with."""
    form: Literal["narrow", "paper"] = "narrow"
    """narrow: on any trunk, for two cores. paper: as wide as published; FCN and the dilated net then want a VGG."""

    output_stride: Literal[8, 16, 32] = 8
    """Of front_end and dilated in their narrow form: 32 leaves the trunk's strides as they are, to be compared with."""


def build(settings: Segmenter) -> "Job":
    """Check the data and put the training together."""
    from allsight.recipes.segmentation.regions import build_segmenter

    narrow, paper, arguments = BUILDERS[settings.architecture]
    system = narrow if settings.form == "narrow" else paper
    if system == "dilated":
        arguments = {**arguments, "output_stride": settings.output_stride}
    return build_segmenter(settings, system, arguments)
