"""Depthwise convolution whose gradients are fast on a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Pair = tuple[int, ...]


def depthwise_conv2d(x: Tensor, weight: Tensor, *, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> Tensor:
    """Return `F.conv2d` with a filter per channel; on a CPU its gradients are computed by forward convolutions.

    oneDNN's own gradients of depthwise kernels are slow: with 5x5 on 8 x 672 x 18 x 24 they take 25 ms on one thread in
    float32 and 96 in bfloat16, where the forward pass takes 3 and 2. This way they take 11 and 8. Its own are faster
    for 3x3 alone, and in bfloat16 only where that has a stride of 1.

    Args:
        x: (B, C, H, W), fastest in channels_last. weight: (C, 1, k, l).
        stride, padding, dilation: (down, across) in pixels.

    Returns:
        (B, C, H', W').
    """
    learning = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    fast = weight.shape[2:] == (3, 3) and (stride == dilation == (1, 1) or not torch.is_autocast_enabled("cpu"))
    spread = all(d * (k - 1) >= p for k, d, p in zip(weight.shape[2:], dilation, padding, strict=True))
    if learning and spread and not fast and x.device.type == "cpu" and not torch.compiler.is_compiling():
        y: Tensor = _ForwardGradients.apply(x, weight, stride, padding, dilation)
        return y
    return F.conv2d(x, weight, None, stride, padding, dilation, len(weight))


class _ForwardGradients(torch.autograd.Function):
    """Both gradients of a depthwise convolution are depthwise convolutions themselves."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        ctx.save_for_backward(x, weight)
        ctx.geometry = stride, padding, dilation
        return F.conv2d(x, weight.to(x.dtype), None, stride, padding, dilation, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x and weight that are wanted, by oneDNN where its own are the faster ones."""
        x, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        for_x, for_weight = ctx.needs_input_grad[:2]
        # Where outputs lie apart, a convolution over them would mostly read what is not there.
        apart, small = stride != (1, 1), weight.shape[2:] == (3, 3)
        theirs = (for_x and apart, for_weight and apart and small, False)
        of_x, of_weight = None, None
        if any(theirs):
            operands = gradient.float(), x.float(), weight.float()
            of_x, of_weight, _ = torch.ops.aten.convolution_backward(
                *operands, None, *ctx.geometry, False, (0, 0), len(weight), theirs
            )
        if for_x and not apart:
            of_x = _of_input(gradient, weight.to(x.dtype), padding, dilation)
        if for_weight and not (apart and small):
            of_weight = _of_weight(gradient, weight, x, *ctx.geometry)
        return of_x, of_weight, None, None, None


def _of_input(gradient: Tensor, weight: Tensor, padding: Pair, dilation: Pair) -> Tensor:
    """Return the gradient of x: every output's spread through the kernel, which is a convolution by it turned over."""
    around = [d * (k - 1) - p for k, d, p in zip(weight.shape[2:], dilation, padding, strict=True)]
    return F.conv2d(gradient, weight.flip(2, 3), None, 1, around, dilation, len(weight))


def _of_weight(gradient: Tensor, weight: Tensor, x: Tensor, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """Return the gradient of the kernels: x convolved by the outputs' gradients, which lie `stride` apart.

    Picture by picture, as each has kernels of its own; what they give is added in float32.
    """
    total, (rows, columns) = torch.zeros_like(weight), weight.shape[2:]
    for one, kernel in zip(x.split(1), gradient, strict=True):
        part = F.conv2d(one, kernel[:, None], None, dilation, padding, stride, len(weight))
        total += part[0, :, None, :rows, :columns]
    return total
