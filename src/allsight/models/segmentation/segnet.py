"""SegNet: the decoder puts values back where the encoder's poolings took them from (Badrinarayanan et al. 2017)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.errors import ModelError
from allsight.layers.unpooling import MaxUnpooling
from allsight.models.segmentation.region_head import Decoder, RegionHead
from allsight.models.vision import Features, Vision
from allsight.scene import Vocabulary

LEVELS = (1, 2, 3, 4, 5)
COARSEST = "p5"


class Mirror(nn.Module):
    """An encoder turned round: for each pooling an unpooling, then as many convolutions with batch norm and ReLU.

    Args:
        columns: of each level, finest first, the channels of the encoder's convolutions.
        finest: convolutions on the finest level; None for as many as the encoder has.
        unpool: False scales up bilinearly where the values would be put back, and changes nothing else.

    Attributes:
        inputs: features that it reads beside what it is given.
        channels: of the result.
    """

    def __init__(self, columns: Sequence[Sequence[int]], *, finest: int | None = None, unpool: bool = True) -> None:
        super().__init__()
        self.indices = tuple(f"pool{level}_indices" for level in reversed(LEVELS)) if unpool else ()
        self.inputs = ("c1", *self.indices)
        self.unpooling = MaxUnpooling()
        self.levels = nn.ModuleList()
        for level in reversed(range(len(columns))):
            count = len(columns[level]) if level or finest is None else finest
            width, below = columns[level][-1], columns[max(level - 1, 0)][-1]
            # The last convolution of a level goes to the channels of the finer one.
            outs = ([width] * (count - 1) + [below])[:count]
            self.levels.append(nn.Sequential(*(part for out in outs for part in normed(width, out))))
        self.channels = columns[0][-1]

    def forward(self, x: Tensor, features: Features) -> Tensor:
        """Return a map (B, channels, H, W) of the picture's size from one behind the last pooling."""
        height, width = features["c1"].shape[-2:]
        sizes = [(height // 2**level, width // 2**level) for level in range(len(self.levels))]
        for number, (size, convolve) in enumerate(zip(reversed(sizes), self.levels, strict=True)):
            if self.indices:
                x = self.unpooling(x, features[self.indices[number]], size)
            else:
                x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            x = convolve(x)
        return x


def normed(channels: int, out: int, kernel: int = 3) -> list[nn.Module]:
    """Return a convolution that keeps the size, batch norm and ReLU."""
    return [
        nn.Conv2d(channels, out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    ]


def columns_of(trunk: Trunk) -> list[list[int]]:
    """Return of each level of a trunk, finest first, the channels of its convolutions.

    Raises:
        ModelError: its poolings do not tell where the maxima stood.
    """
    if "pool1_indices" not in trunk.channels:
        raise ModelError(f"{type(trunk).__name__} has no pooling indices; take a VGG or vgg_narrow")
    stages = trunk.stages()
    parts = ([part for module in stages[f"c{level}"] for part in module.modules()] for level in LEVELS)
    return [[part.out_channels for part in level if isinstance(part, nn.Conv2d)] for level in parts]


class SegNetDecoder(Decoder):
    """The encoder turned round, its very last convolution giving the classes (section 3, figure 2).

    Args:
        columns: see `Mirror`. unpool: see `Mirror`.
        classes: how many.
    """

    def __init__(self, *, columns: Sequence[Sequence[int]], classes: int, unpool: bool = True) -> None:
        super().__init__()
        self.mirror = Mirror(columns, finest=len(columns[0]) - 1, unpool=unpool)
        self.inputs = (*self.mirror.inputs, COARSEST)
        self.last = nn.Conv2d(self.mirror.channels, classes, 3, padding=1)

    def forward(self, features: Features) -> Tensor:
        """Return logits (B, C, H, W) of the picture's size, whatever it is."""
        return self.last(self.mirror(features[COARSEST], features))


def segnet(*, trunk: Trunk, classes: Vocabulary, unpool: bool = True) -> Vision:
    """Return SegNet: 29.5 million parameters on VGG-16 with batch norm, as in the paper.

    Args:
        trunk: gives pooling indices: a VGG, or `allsight.backbones.pictures.contracting.vgg_narrow`.
        classes: of the pixels.
        unpool: False scales up bilinearly in place of unpooling and changes nothing else (table 1's "bilinear
            interpolation" for this decoder).
    """
    decoder = SegNetDecoder(columns=columns_of(trunk), classes=len(classes), unpool=unpool)
    head = RegionHead(decoder=decoder, classes=classes)
    return Vision(trunk=trunk.cut(COARSEST), heads={"regions": head})
