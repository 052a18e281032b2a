"""The feature pyramid."""

from collections.abc import Callable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from allsight.layers.conv import conv
from allsight.layers.neck import Neck


class FeaturePyramid(Neck):
    """Feature Pyramid Network (Lin et al. 2017, section 3): strong features at every scale, all of one width.

    Lateral 1x1 convolutions, a top-down path by nearest-neighbour upsampling and addition, a convolution on every
    merged map. `extra` coarser levels follow as in RetinaNet (Lin et al. 2017, section 4, footnote 2): the first by a
    strided convolution from the coarsest trunk map, further ones from the one before, after a ReLU.

    Args:
        inputs: channels of the trunk's maps by name, finest first, each of twice the stride of the one
            before (c3, c4, c5).
        channels: width of all outputs.
        extra: number of coarser levels.
        block: makes the output convolutions from (channels, out, kernel, stride).

    Attributes:
        outputs: p3, p4, ... from the inputs' numbers.
    """

    def __init__(
        self,
        inputs: Mapping[str, int],
        channels: int = 256,
        *,
        extra: int = 2,
        block: Callable[..., nn.Module] = conv,
    ) -> None:
        super().__init__()
        self.inputs = tuple(inputs)
        first = int(self.inputs[0][1:])
        self.outputs = tuple(f"p{first + i}" for i in range(len(inputs) + extra))
        self.channels = channels
        self.lateral = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in inputs.values())
        self.smooth = nn.ModuleList(block(channels, channels) for _ in inputs)
        widths = [list(inputs.values())[-1], *[channels] * extra]
        self.coarser = nn.ModuleList(block(widths[i], channels, 3, 2) for i in range(extra))

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Trunk maps by name to pyramid maps (B, channels, h, w) by name."""
        maps = [layer(features[name]) for layer, name in zip(self.lateral, self.inputs, strict=True)]
        for i in range(len(maps) - 1, 0, -1):
            maps[i - 1] = maps[i - 1] + F.interpolate(maps[i], size=maps[i - 1].shape[-2:], mode="nearest")
        levels = [layer(x) for layer, x in zip(self.smooth, maps, strict=True)]
        x = features[self.inputs[-1]]
        for number, layer in enumerate(self.coarser):
            x = layer(x if number == 0 else x.relu())
            levels.append(x)
        return dict(zip(self.outputs, levels, strict=True))
