"""ShuffleNetV2: half of the channels pass by, the other half are convolved, then both are shuffled."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import IMAGENET_MEAN, IMAGENET_STD, Stage, Trunk, initialise, with_weights
from allsight.errors import ModelError
from allsight.layers.conv_norm import conv_norm

# Table 5 of the paper: channels of stages 2, 3 and 4 and of the last 1x1 convolution, by width.
WIDTHS = {
    0.5: (48, 96, 192, 1024),
    1.0: (116, 232, 464, 1024),
    1.5: (176, 352, 704, 1024),
    2.0: (244, 488, 976, 2048),
}
REPEATS = (4, 8, 4)
STEM = 24


class ShuffleUnit(nn.Module):
    """The unit of ShuffleNetV2 (Ma et al. 2018, figure 3c and 3d).

    With stride 1 the first half of the channels passes by and the second is convolved; with stride 2 both branches read
    all channels. Channel 2i of the result is channel i of the first branch, 2i + 1 that of the second.

    Args:
        channels: of the input. out: of the result; as many with stride 1.
        stride: 1 or 2.
        normalised, slope: see `conv_norm`.
    """

    def __init__(self, channels: int, out: int, stride: int, *, normalised: bool, slope: float) -> None:
        super().__init__()
        half = out // 2
        self.splits = stride == 1

        def mix(width: int) -> list[nn.Module]:
            return conv_norm(width, half, normalised=normalised, slope=slope)

        def filters(width: int) -> list[nn.Module]:
            return conv_norm(width, width, 3, stride, depthwise=True, normalised=normalised)

        self.branch1 = nn.Sequential() if self.splits else nn.Sequential(*filters(channels), *mix(channels))
        self.branch2 = nn.Sequential(*mix(half if self.splits else channels), *filters(half), *mix(half))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, out, H / stride, W / stride)."""
        first, second = x.chunk(2, dim=1) if self.splits else (self.branch1(x), x)
        return F.channel_shuffle(torch.cat([first, self.branch2(second)], dim=1), 2)


class ShuffleNetV2(Trunk):
    """ShuffleNetV2 (Ma et al. 2018, "ShuffleNet V2: Practical guidelines for efficient CNN architecture design").

    The keys are torchvision's. c2 is the pooled map of the stem: the paper has no convolution at stride 4.

    Args:
        width: factor on the channels, a key of `WIDTHS`.
        slope: of the activations below zero; 0 is the paper's ReLU.
        normalised: see `conv_norm`.

    Raises:
        ModelError: no such width.
    """

    def __init__(self, width: float = 1.0, *, slope: float = 0.0, normalised: bool = True) -> None:
        if width not in WIDTHS:
            raise ModelError(f"ShuffleNetV2 has no width {width}; there are {', '.join(map(str, WIDTHS))}")
        *widths, last = WIDTHS[width]
        super().__init__(
            [
                Stage("c1", ("conv1",), STEM, 2),
                Stage("c2", ("maxpool",), STEM, 4),
                *(Stage(f"c{i + 1}", (f"stage{i}",), widths[i - 2], 2 ** (i + 1)) for i in (2, 3, 4)),
                Stage("head", ("conv5",), last, 32),
                Stage("pooled", ("pool",), last),
                Stage("logits", ("fc",), 1000),
            ],
            IMAGENET_MEAN,
            IMAGENET_STD,
        )
        self.conv1 = nn.Sequential(*conv_norm(3, STEM, 3, 2, normalised=normalised, slope=slope))
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = STEM
        for number, (out, repeats) in enumerate(zip(widths, REPEATS, strict=True), 2):
            units = []
            for repeat in range(repeats):
                units.append(ShuffleUnit(channels, out, 2 if repeat == 0 else 1, normalised=normalised, slope=slope))
                channels = out
            self.add_module(f"stage{number}", nn.Sequential(*units))
        self.conv5 = nn.Sequential(*conv_norm(channels, last, normalised=normalised, slope=slope))
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(last, 1000)
        initialise(self)


def shufflenet_v2(
    width: float = 1.0, slope: float = 0.0, normalised: bool = True, weights: str | Path | None = None
) -> Trunk:
    """ShuffleNetV2; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`.

    Args:
        width, slope, normalised: see `ShuffleNetV2`; torchvision's weights are normalised.
        weights: None begins at random.
    """
    return with_weights(ShuffleNetV2(width, slope=slope, normalised=normalised), weights)
