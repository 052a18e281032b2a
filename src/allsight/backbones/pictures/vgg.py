"""VGG 11, 13, 16 and 19, with and without batch norm."""

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import IMAGENET_MEAN, IMAGENET_STD, Stage, Trunk, initialise, with_weights


class PoolingIndices(nn.Module):
    """Where each maximum of a 2x2 pooling stood, for SegNet's unpooling (Badrinarayanan et al. 2017, section 3)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to int64 (B, C, H / 2, W / 2), flat positions in each map, as `nn.MaxUnpool2d` takes them."""
        return F.max_pool2d(x, 2, return_indices=True)[1]


class VGG(Trunk):
    """Very deep convolutional networks (Simonyan and Zisserman 2015, Table 1, columns A, B, D and E).

    The keys are torchvision's. `c1` .. `c5` are the activations before each pooling (strides 1, 2, 4, 8, 16), `p1` ..
    `p5` those behind it, `pool1_indices` .. where the maxima stood. `pooled` is the last hidden layer (fc7, 4096).

    Args:
        repeats: convolutions before each of the five poolings.
        batch_norm: a batch norm behind each convolution.
    """

    def __init__(self, repeats: tuple[int, int, int, int, int], batch_norm: bool) -> None:
        stages: list[Stage] = []
        layers: list[nn.Module] = []
        channels = 3
        for i, count in enumerate(repeats):
            start, out = len(layers), min(64 * 2**i, 512)
            for _ in range(count):
                layers.append(nn.Conv2d(channels, out, 3, padding=1))
                layers += [nn.BatchNorm2d(out)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
                channels = out
            name, end = f"c{i + 1}", len(layers)
            layers.append(nn.MaxPool2d(2, 2))
            stages += [
                Stage(name, tuple(f"features.{n}" for n in range(start, end)), out, 2**i),
                Stage(f"pool{i + 1}_indices", ("indices",), out, 2 ** (i + 1), side=True),
                Stage(f"p{i + 1}", (f"features.{end}",), out, 2 ** (i + 1)),
            ]
        stages += [
            Stage("pooled", ("avgpool", *(f"classifier.{n}" for n in range(5))), 4096),
            Stage("logits", ("classifier.5", "classifier.6"), 1000),
        ]
        super().__init__(stages, IMAGENET_MEAN, IMAGENET_STD)
        self.features = nn.Sequential(*layers)
        self.indices = PoolingIndices()
        self.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(7), nn.Flatten())
        hidden = [nn.Linear(512 * 7 * 7, 4096), nn.ReLU(inplace=True), nn.Dropout()]
        hidden += [nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout()]
        self.classifier = nn.Sequential(*hidden, nn.Linear(4096, 1000))
        initialise(self)


_REPEATS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


def vgg11(weights: str | Path | None = None) -> Trunk:
    """VGG-11; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(VGG(_REPEATS[11], batch_norm=False), weights)


def vgg13(weights: str | Path | None = None) -> Trunk:
    """VGG-13; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(VGG(_REPEATS[13], batch_norm=False), weights)


def vgg16(weights: str | Path | None = None) -> Trunk:
    """VGG-16; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(VGG(_REPEATS[16], batch_norm=False), weights)


def vgg19(weights: str | Path | None = None) -> Trunk:
    """VGG-19; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(VGG(_REPEATS[19], batch_norm=False), weights)


def vgg11_bn(weights: str | Path | None = None) -> Trunk:
    """VGG-11 with batch norm; `weights` is the place of a torchvision checkpoint."""
    return with_weights(VGG(_REPEATS[11], batch_norm=True), weights)


def vgg13_bn(weights: str | Path | None = None) -> Trunk:
    """VGG-13 with batch norm; `weights` is the place of a torchvision checkpoint."""
    return with_weights(VGG(_REPEATS[13], batch_norm=True), weights)


def vgg16_bn(weights: str | Path | None = None) -> Trunk:
    """VGG-16 with batch norm; `weights` is the place of a torchvision checkpoint."""
    return with_weights(VGG(_REPEATS[16], batch_norm=True), weights)


def vgg19_bn(weights: str | Path | None = None) -> Trunk:
    """VGG-19 with batch norm; `weights` is the place of a torchvision checkpoint."""
    return with_weights(VGG(_REPEATS[19], batch_norm=True), weights)
