"""Convolutions with their batch norm, or with the bias that the norm leaves behind where it is folded."""

import torch
from torch import Tensor, nn

from allsight.ops.depthwise import depthwise_conv2d


class DepthwiseConv2d(nn.Conv2d):
    """A filter per channel, whose gradients are fast on a CPU (see `allsight.ops.depthwise`)."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, ceil(H / stride), ceil(W / stride))."""
        learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        if not learns or torch.compiler.is_compiling():  # as one operation, bias and all
            return super().forward(x)
        padding = tuple(map(int, self.padding))
        y = depthwise_conv2d(x, self.weight, stride=self.stride, padding=padding, dilation=self.dilation)
        return y if self.bias is None else y + self.bias.to(y.dtype)[:, None, None]


def conv_norm(
    channels: int,
    out: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    depthwise: bool = False,
    normalised: bool = True,
    slope: float | None = None,
) -> list[nn.Module]:
    """Return a convolution, its batch norm and its activation, to be laid out one after the other.

    Args:
        channels, out, kernel, stride: of the convolution, padded to keep the size (over the stride).
        depthwise: a filter per channel; `out` is `channels` then.
        normalised: False gives the form after folding (`allsight.layers.folding`): a bias, and nothing where the norm
            was, so that both forms have the same names.
        slope: of a leaky ReLU below zero; None for no activation.
    """
    kind, groups = (DepthwiseConv2d, channels) if depthwise else (nn.Conv2d, 1)
    layer = kind(channels, out, kernel, stride, kernel // 2, groups=groups, bias=not normalised)
    norm = nn.BatchNorm2d(out) if normalised else nn.Identity()
    return [layer, norm] if slope is None else [layer, norm, nn.LeakyReLU(slope, inplace=True)]


def separable(
    channels: int, out: int, kernel: int, stride: int = 1, *, normalised: bool, slope: float
) -> list[nn.Module]:
    """Return a filter per channel and a mix of channels, each with norm and activation (Howard et al. 2017, figure 3).

    Args:
        channels, out, kernel, stride, normalised, slope: see `conv_norm`.
    """
    return [
        *conv_norm(channels, channels, kernel, stride, depthwise=True, normalised=normalised, slope=slope),
        *conv_norm(channels, out, normalised=normalised, slope=slope),
    ]
