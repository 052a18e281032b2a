"""The light decoder that we ship: a feature pyramid whose levels are summed at stride 4 (Kirillov et al. 2019)."""

from collections.abc import Callable, Mapping
from functools import reduce

import torch
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.errors import ModelError
from allsight.layers.conv import DepthwiseSeparable, conv
from allsight.layers.fpn import FeaturePyramid
from allsight.models.segmentation.region_head import Decoder, RegionHead
from allsight.models.vision import Features, Vision
from allsight.scene import Vocabulary

TRUNK_MAPS = ("c2", "c3", "c4", "c5")


class PyramidDecoder(Decoder):
    """The semantic branch of panoptic feature pyramids: every level goes up to the finest one, then they are summed.

    Kirillov et al. 2019, "Panoptic feature pyramid networks", section 3.1 and figure 3: a level of stride 32 passes
    three times through 3x3 convolution, norm, ReLU and 2x bilinear upsampling, the finest one once through all but the
    last; a 1x1 convolution gives the classes.

    Args:
        strides: of the pyramid's levels by name, finest first.
        channels: of the pyramid. width: of the branch.
        classes: how many.
        block: makes a convolution from (channels, out): plain as in the paper, or depthwise separable.
        dropout: rate of whole channels before the classes, in training.
    """

    def __init__(
        self,
        *,
        strides: Mapping[str, int],
        channels: int,
        width: int,
        classes: int,
        block: Callable[..., nn.Module] = conv,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs, self.coarsest = tuple(strides), max(strides.values())
        self.ways = nn.ModuleList()
        for stride in strides.values():
            doublings = (stride // min(strides.values())).bit_length() - 1
            steps = [self._step(channels if i == 0 else width, width, block) for i in range(max(1, doublings))]
            for step in steps[:doublings]:
                step.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
            self.ways.append(nn.Sequential(*steps))
        self.dropout = nn.Dropout2d(dropout)
        self.last = nn.Conv2d(width, classes, 1)

    def _step(self, channels: int, width: int, block: Callable[..., nn.Module]) -> nn.Sequential:
        return nn.Sequential(block(channels, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))

    def forward(self, features: Features) -> Tensor:
        """Return logits (B, C, h, w) at the stride of the finest level.

        Raises:
            ModelError: the sides of the picture are no multiples of the coarsest stride.
        """
        levels = [way(features[name]) for name, way in zip(self.inputs, self.ways, strict=True)]
        if any(x.shape[-2:] != levels[0].shape[-2:] for x in levels[1:]):
            coarsest = features[self.inputs[-1]].shape
            sides = f"{coarsest[-2]} x {coarsest[-1]} cells at stride {self.coarsest}"
            raise ModelError(f"the pyramid's levels do not fit each other ({sides}); pad sides to multiples of it")
        return self.last(self.dropout(reduce(torch.add, levels)))


def fpn_regions(*, trunk: Trunk, classes: Vocabulary, channels: int = 256, width: int = 128) -> Vision:
    """Return the paper's form: a pyramid of 256 channels, a semantic branch of 128, plain convolutions.

    Deviation: batch norm where the paper has group norm, as everywhere in our heads.

    Args:
        trunk: gives c2 to c5.
        classes: of the pixels.
        channels: of the pyramid. width: of the semantic branch.
    """
    return _assembled(trunk, classes, channels, width, conv, 0.0)


def fpn_regions_narrow(
    *, trunk: Trunk, classes: Vocabulary, channels: int = 96, width: int = 96, dropout: float = 0.1
) -> Vision:
    """Return the form that we ship: depthwise separable convolutions, 0.2 million parameters over the trunk.

    Args:
        trunk: gives c2 to c5.
        classes: of the pixels.
        channels: of the pyramid. width: of the semantic branch. dropout: see `PyramidDecoder`.
    """
    return _assembled(trunk, classes, channels, width, DepthwiseSeparable, dropout)


def _assembled(
    trunk: Trunk, classes: Vocabulary, channels: int, width: int, block: Callable[..., nn.Module], dropout: float
) -> Vision:
    neck = FeaturePyramid({name: trunk.channels[name] for name in TRUNK_MAPS}, channels, extra=0, block=block)
    strides = {level: trunk.strides[name] for level, name in zip(neck.outputs, TRUNK_MAPS, strict=True)}
    decoder = PyramidDecoder(
        strides=strides, channels=channels, width=width, classes=len(classes), block=block, dropout=dropout
    )
    head = RegionHead(decoder=decoder, classes=classes)
    return Vision(trunk=trunk.cut(TRUNK_MAPS[-1]), neck=neck, heads={"regions": head})
