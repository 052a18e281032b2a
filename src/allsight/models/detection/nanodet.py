"""NanoDet-Plus: a detector of one million parameters (RangiLyu 2021, github.com/RangiLyu/nanodet)."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.layers.ghost_pan import GhostPan
from allsight.models.detection.assign_guidance import AssignGuidance, GuidanceSubnet
from allsight.models.detection.generalised_focal import GeneralisedFocalHead, SeparableSubnets
from allsight.models.vision import Vision
from allsight.scene import Vocabulary

TRUNK_MAPS = ("c3", "c4", "c5")
PRIOR = 0.01  # what every place says of every class in the beginning (Lin et al. 2017, RetinaNet, section 4.1)
GUIDANCE = "heads.objects.guidance."  # prefix of what is of use in training alone


def nanodet_plus(
    *,
    trunk: Trunk,
    classes: Vocabulary,
    channels: int = 96,
    kernel: int = 5,
    depth: int = 2,
    numbers: int = 8,
    slope: float = 0.1,
    normalised: bool = True,
    guidance: bool = True,
    detach_after: int = 12_330,
) -> Vision:
    """Return NanoDet-Plus in the authors' form, "m" over ShuffleNetV2 1.0x: Ghost-PAN and a small head at each level.

    Args:
        trunk: gives c3, c4, c5; the authors' is `shufflenet_v2` with the same slope.
        classes: of objects.
        channels: width of pyramid and head.
        kernel: of the depthwise convolutions.
        depth: hidden convolutions of the head.
        numbers: of a side's distribution: 0 to numbers - 1 strides.
        slope: of the leaky ReLUs.
        normalised: batch norms, for training from scratch. False gives the form of the published weights, in which they
            are folded into convolutions with biases; so does `allsight.layers.folding.folded`, names and all.
        guidance: the assign guidance module, which training alone needs; weights are saved without it.
        detach_after: batches of training after which the guidance teaches the trunk no more; the authors' ten epochs
            are 10 x 1,233 batches of 96 photographs of COCO.
    """
    trunk = trunk.cut(TRUNK_MAPS[-1])
    maps = {name: trunk.channels[name] for name in TRUNK_MAPS}
    neck = GhostPan(maps, channels, kernel=kernel, slope=slope, normalised=normalised)
    levels, out = len(neck.outputs), len(classes) + 4 * numbers
    guide = None
    if guidance:
        subnet = GuidanceSubnet(2 * channels, len(classes), numbers, levels, slope=slope)
        guide = AssignGuidance(neck=copy.deepcopy(neck), subnet=subnet, detach_after=detach_after)
        _begin_unsure([subnet.classification[-1]], len(classes))
    subnets = SeparableSubnets(channels, out, levels, kernel=kernel, depth=depth, normalised=normalised, slope=slope)
    _begin_unsure(subnets.last, len(classes))
    head = GeneralisedFocalHead(
        levels=neck.outputs,
        strides=[trunk.strides[TRUNK_MAPS[0]] * 2**i for i in range(levels)],
        subnets=subnets,
        classes=classes,
        numbers=numbers,
        guidance=guide,
    )
    return Vision(trunk=trunk, neck=neck, heads={"objects": head})


@torch.no_grad()
def _begin_unsure(last: Sequence[nn.Module] | nn.ModuleList, classes: int) -> None:
    """Start classifiers, whose first rows are the classes, by saying `PRIOR` everywhere."""
    for layer in last:
        assert isinstance(layer, nn.Conv2d) and layer.bias is not None
        nn.init.normal_(layer.weight, std=0.01)
        layer.bias.zero_()
        layer.bias[:classes] = -math.log((1 - PRIOR) / PRIOR)
