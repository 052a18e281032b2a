"""The contracting path of U-Net, and VGG's convolutions in any width: levels of convolutions with poolings between."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from allsight.backbones.pictures.trunk import IMAGENET_MEAN, IMAGENET_STD, Stage, Trunk, with_weights
from allsight.backbones.pictures.vgg import PoolingIndices
from allsight.layers.initialisation import he_normal


class ContractingPath(Trunk):
    """Convolutions of 3x3 and ReLU on every level, max pooling of 2x2 between levels; no classifier.

    `c1` .. are the activations before each pooling (strides 1, 2, 4, ...), `p1` .. those behind it, `pool1_indices` ..
    where the maxima stood, as in `allsight.backbones.pictures.vgg.VGG`.

    Args:
        widths: channels of each level. repeats: convolutions on each level.
        batch_norm: a batch norm behind each convolution, which then has no bias.
    """

    def __init__(self, widths: Sequence[int], repeats: Sequence[int], batch_norm: bool) -> None:
        stages: list[Stage] = []
        parts: dict[str, nn.Module] = {"indices": PoolingIndices()}
        channels = 3
        for level, (width, count) in enumerate(zip(widths, repeats, strict=True), 1):
            layers: list[nn.Module] = []
            for _ in range(count):
                layers.append(nn.Conv2d(channels, width, 3, padding=1, bias=not batch_norm))
                layers += [nn.BatchNorm2d(width)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                channels = width
            parts |= {f"level{level}": nn.Sequential(*layers), f"pool{level}": nn.MaxPool2d(2)}
            stages += [
                Stage(f"c{level}", (f"level{level}",), width, 2 ** (level - 1)),
                Stage(f"pool{level}_indices", ("indices",), width, 2**level, side=True),
                Stage(f"p{level}", (f"pool{level}",), width, 2**level),
            ]
        super().__init__(stages, IMAGENET_MEAN, IMAGENET_STD)
        for name, part in parts.items():
            self.add_module(name, part)
        he_normal(self)


def unet_encoder(weights: str | Path | None = None) -> Trunk:
    """The contracting path of U-Net (Ronneberger et al. 2015, figure 1), 64 to 1024 channels; `weights` are our own."""
    trunk = ContractingPath((64, 128, 256, 512, 1024), (2, 2, 2, 2, 2), batch_norm=False)
    return with_weights(trunk, weights)


def vgg_narrow(weights: str | Path | None = None) -> Trunk:
    """VGG-11's convolutions with batch norm in a quarter of the width, 16 to 128 channels; `weights` are our own."""
    trunk = ContractingPath((16, 32, 64, 128, 128), (1, 1, 2, 2, 2), batch_norm=True)
    return with_weights(trunk, weights)
