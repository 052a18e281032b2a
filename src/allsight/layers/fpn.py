"""The feature pyramid."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from allsight.layers.conv import conv
from allsight.layers.neck import Neck


class FeaturePyramid(Neck):
    """Feature Pyramid Network (Lin et al. 2017, section 3): strong features at every scale, all of one width.

    Lateral 1x1 convolutions, a top-down path by nearest-neighbour upsampling and addition, a convolution on every
    merged map. `extra` coarser levels follow, by default as in RetinaNet (Lin et al. 2017, section 4, footnote 2): the
    first by a strided convolution from the coarsest trunk map, further ones from the one before, after a ReLU.

    Args:
        inputs: channels of the trunk's maps by name, finest first, each of twice the stride of the one
            before (c3, c4, c5).
        channels: width of all outputs.
        extra: number of coarser levels.
        extra_from: what they are made from: the trunk's coarsest map; the pyramid's; or "pool", every second cell of
            the level before, without weights (Lin et al. 2017, Feature Pyramid Networks, footnote 2).
        block: makes the output convolutions from (channels, out, kernel, stride).
        prefix: of the outputs' names.

    Attributes:
        outputs: p3, p4, ... from the inputs' numbers.
    """

    def __init__(
        self,
        inputs: Mapping[str, int],
        channels: int = 256,
        *,
        extra: int = 2,
        extra_from: Literal["trunk", "pyramid", "pool"] = "trunk",
        block: Callable[..., nn.Module] = conv,
        prefix: str = "p",
    ) -> None:
        super().__init__()
        self.inputs = tuple(inputs)
        first = int(self.inputs[0][1:])
        self.outputs = tuple(f"{prefix}{first + i}" for i in range(len(inputs) + extra))
        self.channels = channels
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in inputs.values())
        self.smooth = nn.ModuleList(block(channels, channels) for _ in inputs)
        self.extra, self.extra_from = extra, extra_from
        widths = [list(inputs.values())[-1] if extra_from == "trunk" else channels, *[channels] * extra]
        learned = extra if extra_from != "pool" else 0
        self.coarser = nn.ModuleList(block(widths[i], channels, 3, 2) for i in range(learned))

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Trunk maps by name to pyramid maps (B, channels, h, w) by name."""
        maps = [layer(features[name]) for layer, name in zip(self.lateral, self.inputs, strict=True)]
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], size=maps[i - 1].shape[-2:], mode="nearest")
        levels = [layer(x) for layer, x in zip(self.smooth, maps, strict=True)]
        x = features[self.inputs[-1]] if self.extra_from == "trunk" else levels[-1]
        for number in range(self.extra):
            if self.extra_from == "pool":
                x = F.max_pool2d(x, 1, 2)
            else:
                x = self.coarser[number](x if number == 0 else x.relu())
            levels.append(x)
        return dict(zip(self.outputs, levels, strict=True))
