"""Upsampling that is learned and begins as bilinear interpolation."""

import torch
from torch import nn


class BilinearUpsampling(nn.ConvTranspose2d):
    """A transposed convolution that begins as bilinear interpolation (Shelhamer et al. 2017, section 3.3).

    Each channel goes to itself at first; what mixes them is learned. Away from the border it begins as
    `F.interpolate(..., mode="bilinear", align_corners=False)`; beyond the border it reads 0, not the nearest cell.

    Args:
        channels: of input and result.
        factor: by which both sides grow.
    """

    def __init__(self, channels: int, factor: int) -> None:
        kernel = 2 * factor - factor % 2
        super().__init__(channels, channels, kernel, factor, (kernel - factor) // 2, bias=False)
        tent = 1 - (torch.arange(kernel) - (kernel - 1) / 2).abs() / factor
        with torch.no_grad():
            self.weight.zero_()
            self.weight[range(channels), range(channels)] = tent[:, None] * tent
