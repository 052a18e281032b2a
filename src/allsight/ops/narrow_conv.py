"""Convolution of few channels whose gradient with respect to the picture is fast on a CPU."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Rows and columns of pixels whose gradients are computed side by side, by channels: together they fill oneDNN's blocks.
PHASES = {1: (4, 4), 2: (2, 4), 3: (2, 2), 4: (2, 2)}


def narrow_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return `F.conv2d` without padding; on a CPU the gradient of pictures with up to four channels is fast.

    oneDNN computes a gradient's channels in blocks of sixteen, most of which is wasted where there is one: with 32
    kernels of 9x9 on 128 x 1 x 28 x 28 it takes 21 ms of a thread in bfloat16 and 43 in float32, where the forward pass
    takes 3 and 8. This way it takes 8 and 15; with two channels 10 and 19, with four 15 and 29. Only a picture that is
    looked at through something that learns has such a gradient.

    Args:
        x: (B, C, H, W). weight: (O, C, k, l). bias: (O,).

    Returns:
        (B, O, H - k + 1, W - l + 1).
    """
    learning = torch.is_grad_enabled() and x.requires_grad and x.shape[1] in PHASES and x.device.type == "cpu"
    if learning and not torch.compiler.is_compiling():
        y: Tensor = _PhasedGradient.apply(x, weight, bias)
        return y
    return F.conv2d(x, weight, bias)


class _PhasedGradient(torch.autograd.Function):
    """The gradient of x is a convolution itself, and so is that of every fourth pixel, with a stride of four."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return F.conv2d(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, weight and bias; those of the latter two are oneDNN's own."""
        x, weight = ctx.saved_tensors
        wanted = (False, ctx.needs_input_grad[1], ctx.biased and ctx.needs_input_grad[2])
        _, of_weight, of_bias = torch.ops.aten.convolution_backward(
            gradient, x, weight.to(x.dtype), [len(weight)], (1, 1), (0, 0), (1, 1), False, (0, 0), 1, wanted
        )
        return _of_input(gradient, weight.to(x.dtype)), of_weight, of_bias


def _of_input(gradient: Tensor, weight: Tensor) -> Tensor:
    """Return (B, C, H, W) from the outputs' gradient (B, O, h, w) and kernels (O, C, k, l).

    A kernel turned over gives the gradient of one pixel; shifted by a and b, that of the pixel a below and b beside it.
    """
    (count, _, height, width), (_, channels, rows, columns) = gradient.shape, weight.shape
    down, across = PHASES[channels]
    turned = weight.flip(2, 3).transpose(0, 1)
    shifted = [
        F.pad(turned, (b, across - 1 - b, a, down - 1 - a)) for a in range(down) for b in range(across)
    ]  # each (C, O, k + down - 1, l + across - 1)
    whole = height + rows - 1, width + columns - 1
    high, wide = -(-whole[0] // down), -(-whole[1] // across)
    if (over := (high * down - whole[0], wide * across - whole[1])) != (0, 0):
        gradient = F.pad(gradient, (0, over[1], 0, over[0]))
    kernels = torch.stack(shifted, dim=1).flatten(0, 1)
    phases = F.conv2d(gradient, kernels, stride=(down, across), padding=(rows - 1, columns - 1))
    apart = phases.view(count, channels, down, across, high, wide).permute(0, 1, 4, 2, 5, 3)
    return apart.reshape(count, channels, high * down, wide * across)[..., : whole[0], : whole[1]]
