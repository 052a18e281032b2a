"""Colour jitter as one affine map of the colours."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from allsight.data.pictures.geometry import uniform

_GREY = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601 luma
# RGB to YIQ (NTSC 1953): hue is the angle in the plane of I and Q.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_RGB = torch.linalg.inv(_YIQ)


@dataclass(frozen=True)
class ColourJitter:
    """Change hue, saturation, contrast and brightness, all by one 3 x 4 matrix over the colours.

    Args:
        brightness, contrast, saturation: the factor is drawn from 1 - value to 1 + value.
        hue: the turn is drawn from -value to value, in whole turns.
    """

    brightness: float = 0.3
    contrast: float = 0.3
    saturation: float = 0.4
    hue: float = 0.02

    def __call__(self, picture: Tensor, generator: Generator) -> Tensor:
        """Return a (3, H, W) uint8 picture in other colours."""
        brightness, contrast, saturation = (
            uniform(generator, max(0.0, 1 - value), 1 + value)
            for value in (self.brightness, self.contrast, self.saturation)
        )
        matrix = self._saturate(saturation) @ self._turn(2 * math.pi * uniform(generator, -self.hue, self.hue))
        pixels = picture.reshape(3, -1).float()
        mean = float(_GREY @ pixels.mean(1))
        shift = torch.full((3, 1), brightness * (1 - contrast) * mean)
        moved = torch.addmm(shift, matrix * (brightness * contrast), pixels)
        return moved.round_().clamp_(0, 255).to(torch.uint8).reshape(picture.shape)

    def _saturate(self, factor: float) -> Tensor:
        return factor * torch.eye(3) + (1 - factor) * _GREY.expand(3, 3)

    def _turn(self, angle: float) -> Tensor:
        turn = torch.eye(3)
        turn[1, 1] = turn[2, 2] = math.cos(angle)
        turn[1, 2], turn[2, 1] = -math.sin(angle), math.sin(angle)
        return _RGB @ turn @ _YIQ
