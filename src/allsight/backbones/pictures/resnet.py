"""ResNet 18, 34, 50, 101 and 152."""

from pathlib import Path

from torch import Tensor, nn

from allsight.backbones.pictures.trunk import IMAGENET_MEAN, IMAGENET_STD, Stage, Trunk, initialise, with_weights


class ResidualBlock(nn.Module):
    """y = relu(F(x) + shortcut(x)), F a chain of convolutions with batch norms (He et al. 2016, equation 2).

    Args:
        channels: of the input.
        convs: for each convolution its output channels, kernel and stride.
    """

    def __init__(self, channels: int, convs: tuple[tuple[int, int, int], ...]) -> None:
        super().__init__()
        inner = channels
        self.length = len(convs)
        for number, (out, kernel, stride) in enumerate(convs, 1):
            self.add_module(f"conv{number}", nn.Conv2d(inner, out, kernel, stride, kernel // 2, bias=False))
            self.add_module(f"bn{number}", nn.BatchNorm2d(out))
            inner = out
        self.relu = nn.ReLU(inplace=True)
        stride = max(stride for _, _, stride in convs)
        self.downsample: nn.Module | None = None
        if stride > 1 or channels != inner:
            self.downsample = nn.Sequential(nn.Conv2d(channels, inner, 1, stride, bias=False), nn.BatchNorm2d(inner))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, out, H / stride, W / stride)."""
        y = x
        for number in range(1, self.length + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            if number < self.length:
                y = self.relu(y)
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


def _basic(channels: int, width: int, stride: int) -> ResidualBlock:
    return ResidualBlock(channels, ((width, 3, stride), (width, 3, 1)))


def _bottleneck(channels: int, width: int, stride: int) -> ResidualBlock:
    return ResidualBlock(channels, ((width, 1, 1), (width, 3, stride), (width * 4, 1, 1)))


class ResNet(Trunk):
    """Deep residual networks (He et al. 2016, "Deep Residual Learning for Image Recognition", Table 1).

    The keys are torchvision's. As there, a bottleneck strides in its 3x3 convolution, not in the first 1x1 as in the
    paper (Goyal et al. 2017, section 5.1, calls this the ResNet-50 of common use): half a point more accurate.

    Args:
        repeats: blocks in c2, c3, c4 and c5.
        bottleneck: blocks of 1x1, 3x3, 1x1 with four times the channels in place of two 3x3.
    """

    def __init__(self, repeats: tuple[int, int, int, int], bottleneck: bool) -> None:
        block, expansion = (_bottleneck, 4) if bottleneck else (_basic, 1)
        widths = [64 * 2**i * expansion for i in range(4)]
        super().__init__(
            [
                Stage("c1", ("conv1", "bn1", "relu"), 64, 2),
                Stage("c2", ("maxpool", "layer1"), widths[0], 4),
                *(Stage(f"c{i + 2}", (f"layer{i + 1}",), widths[i], 2 ** (i + 2)) for i in range(1, 4)),
                Stage("pooled", ("avgpool",), widths[3]),
                Stage("logits", ("fc",), 1000),
            ],
            IMAGENET_MEAN,
            IMAGENET_STD,
        )
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for i, count in enumerate(repeats):
            blocks = []
            for number in range(count):
                blocks.append(block(channels, 64 * 2**i, 2 if i > 0 and number == 0 else 1))
                channels = widths[i]
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(channels, 1000)
        initialise(self)


def resnet18(weights: str | Path | None = None) -> Trunk:
    """ResNet-18; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(ResNet((2, 2, 2, 2), bottleneck=False), weights)


def resnet34(weights: str | Path | None = None) -> Trunk:
    """ResNet-34; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(ResNet((3, 4, 6, 3), bottleneck=False), weights)


def resnet50(weights: str | Path | None = None) -> Trunk:
    """ResNet-50; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(ResNet((3, 4, 6, 3), bottleneck=True), weights)


def resnet101(weights: str | Path | None = None) -> Trunk:
    """ResNet-101; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(ResNet((3, 4, 23, 3), bottleneck=True), weights)


def resnet152(weights: str | Path | None = None) -> Trunk:
    """ResNet-152; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(ResNet((3, 8, 36, 3), bottleneck=True), weights)
