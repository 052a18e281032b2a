"""Heads for depth and for surface normals: a value for every pixel, from the same decoders as regions."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from allsight.losses.surfaces import cosine_distance, scale_invariant
from allsight.models.segmentation.region_head import Decoder
from allsight.models.vision import Features, Head
from allsight.ops.pixels import at_pixels
from allsight.scene import Frame, Scene


class SurfaceOutputs(NamedTuple):
    """maps (B, C, h, w), at the stride of the decoder."""

    maps: Tensor


class SurfaceHead(Head):
    """What depth and normals have in common; loss and answer are computed at full size.

    Args:
        decoder: features to C maps.
    """

    channels: int
    term: str

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.inputs = decoder.inputs
        self.decoder = decoder

    def forward(self, features: Features, frames: Sequence[Frame]) -> SurfaceOutputs:
        """Return the decoder's maps."""
        return SurfaceOutputs(self.decoder(features))

    def criterion(self, outputs: SurfaceOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return one term, over the pixels that are annotated."""
        size = frames[0].padded
        maps = F.interpolate(outputs.maps.float(), size=size, mode="bilinear", align_corners=False)
        blank = torch.full((self.channels, *size), torch.nan)
        truth = torch.stack([blank if (known := self.truth(scene)) is None else known for scene in scenes])
        return {self.term: self.distance(maps, truth.to(maps.device, non_blocking=True))}

    def decode(self, outputs: SurfaceOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return what every pixel of the original pictures shows."""
        maps = outputs.maps.float().cpu()
        return [
            Scene(frame.original, **self.answer(at_pixels(own, frame))) for own, frame in zip(maps, frames, strict=True)
        ]

    @abstractmethod
    def truth(self, scene: Scene) -> Tensor | None:
        """Return (C, H, W), or None where it is not annotated."""

    @abstractmethod
    def distance(self, maps: Tensor, truth: Tensor) -> Tensor:
        """Compare (B, C, H, W) with the truth, in which NaN is not known."""

    @abstractmethod
    def answer(self, maps: Tensor) -> dict[str, Any]:
        """Return the field of a Scene that maps (C, H, W) mean."""


class DepthHead(SurfaceHead):
    """The logarithm of depth, learned with the scale-invariant error (Eigen et al. 2014, equation 4)."""

    channels, term = 1, "depth"

    def truth(self, scene: Scene) -> Tensor | None:
        """Return (1, H, W) metres."""
        return None if scene.depth is None else scene.depth[None]

    def distance(self, maps: Tensor, truth: Tensor) -> Tensor:
        """Return the scale-invariant error."""
        return scale_invariant(maps[:, 0], truth[:, 0])

    def answer(self, maps: Tensor) -> dict[str, Any]:
        """Return depth in metres."""
        return {"depth": maps[0].exp()}


class NormalHead(SurfaceHead):
    """Unit vectors, learned by the cosine of their angle with the true ones (Eigen and Fergus 2015, section 4.2)."""

    channels, term = 3, "normals"

    def truth(self, scene: Scene) -> Tensor | None:
        """Return (3, H, W)."""
        return scene.normals

    def distance(self, maps: Tensor, truth: Tensor) -> Tensor:
        """Return one minus the cosine."""
        return cosine_distance(maps, truth)

    def answer(self, maps: Tensor) -> dict[str, Any]:
        """Return unit vectors."""
        return {"normals": F.normalize(maps, dim=0)}
