"""GoogLeNet, the first Inception network."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Stage, Trunk, initialise, with_weights


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU; padded to keep the size unless it strides or is told otherwise."""

    def __init__(
        self, channels: int, out: int, kernel: int | tuple[int, int], stride: int = 1, padding: int | None = None
    ) -> None:
        super().__init__()
        rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
        pads = (rows // 2, columns // 2) if padding is None else (padding, padding)
        self.conv = nn.Conv2d(channels, out, (rows, columns), stride, pads, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, out, H / stride, W / stride)."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """1x1, 3x3, 5x5 and pooling side by side (Szegedy et al. 2015, figure 2b).

    The "5x5" is a 3x3, as in torchvision's weights.

    Args:
        channels: of the input.
        widths: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5 and pool proj of the paper's Table 1.
    """

    def __init__(self, channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, reduce3, three, reduce5, five, pool = widths
        self.branch1 = ConvNorm(channels, one, 1)
        self.branch2 = nn.Sequential(ConvNorm(channels, reduce3, 1), ConvNorm(reduce3, three, 3))
        self.branch3 = nn.Sequential(ConvNorm(channels, reduce5, 1), ConvNorm(reduce5, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), ConvNorm(channels, pool, 1))
        self.channels = one + three + five + pool

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, self.channels, H, W)."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """A classifier on an inner map, whose loss counts 0.3 in training (Szegedy et al. 2015, section 5)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvNorm(channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to logits (B, 1000)."""
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)
        return self.fc2(self.dropout(F.relu(self.fc1(x))))


# Table 1 of the paper.
_WIDTHS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class GoogLeNet(Trunk):
    """Going deeper with convolutions (Szegedy et al. 2015).

    The keys are torchvision's, with its batch norms and its two auxiliary classifiers (`aux1`, `aux2`). torchvision's
    published weights want inputs in -1..1, which its `transform_input` makes out of its usual normalisation; here
    `mean` and `std` say so directly.
    """

    def __init__(self) -> None:
        def blocks(*names: str) -> tuple[str, ...]:
            return tuple(f"inception{name}" for name in names)

        super().__init__(
            [
                Stage("c1", ("conv1",), 64, 2),
                Stage("c2", ("maxpool1", "conv2", "conv3"), 192, 4),
                Stage("c3", ("maxpool2", *blocks("3a", "3b")), 480, 8),
                Stage("inception4a", ("maxpool3", *blocks("4a")), 512, 16),
                Stage("aux1", ("aux1",), 1000, side=True),
                Stage("inception4d", blocks("4b", "4c", "4d"), 528, 16),
                Stage("aux2", ("aux2",), 1000, side=True),
                Stage("c4", blocks("4e"), 832, 16),
                Stage("c5", ("maxpool4", *blocks("5a", "5b")), 1024, 32),
                Stage("pooled", ("avgpool",), 1024),
                Stage("logits", ("dropout", "fc"), 1000),
            ],
            mean=(127.5,) * 3,
            std=(127.5,) * 3,
        )
        self.conv1 = ConvNorm(3, 64, 7, 2)
        self.conv2 = ConvNorm(64, 64, 1)
        self.conv3 = ConvNorm(64, 192, 3)
        for number, kernel in enumerate((3, 3, 3, 2), 1):
            self.add_module(f"maxpool{number}", nn.MaxPool2d(kernel, 2, ceil_mode=True))
        channels = 192
        for name, widths in _WIDTHS.items():
            block = Inception(channels, widths)
            self.add_module(f"inception{name}", block)
            channels = block.channels
        self.aux1 = Auxiliary(512)
        self.aux2 = Auxiliary(528)
        self.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(channels, 1000)
        initialise(self)


def googlenet(weights: str | Path | None = None) -> Trunk:
    """GoogLeNet; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(GoogLeNet(), weights)
