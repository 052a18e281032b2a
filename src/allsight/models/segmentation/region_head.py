"""`RegionHead`: the class of every pixel. Architectures differ in the decoder that it is given."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.losses.cross_entropy import pixel_cross_entropy
from allsight.models.vision import Features, Head
from allsight.ops.pixels import likeliest
from allsight.scene import Frame, Scene, Vocabulary
from allsight.scene.vocabulary import IGNORE

# (logits (B, C, H, W), truth (B, H, W) int64 with 255 = ignore) -> a scalar
RegionLoss = Callable[[Tensor, Tensor], Tensor]


class Decoder(nn.Module, ABC):
    """Feature maps to one map of logits, of any stride: what an architecture for regions is.

    Attributes:
        inputs: names of the features that it reads.
    """

    inputs: tuple[str, ...]

    @abstractmethod
    def forward(self, features: Features) -> Tensor:
        """Return logits (B, C, h, w) that cover the whole picture."""


class RegionOutputs(NamedTuple):
    """logits (B, C, h, w), at the stride of the decoder."""

    logits: Tensor


class RegionHead(Head):
    """The class of every pixel, from a decoder's logits.

    Loss and answer are computed at full size: logits are scaled up bilinearly (align_corners=False).

    Args:
        decoder: features to logits of as many classes.
        classes: names behind the logits.
        losses: by name; their values are added up. A recipe may change them between two stages.
    """

    def __init__(
        self, *, decoder: Decoder, classes: Vocabulary, losses: Mapping[str, RegionLoss] | None = None
    ) -> None:
        super().__init__()
        self.inputs = decoder.inputs
        self.decoder = decoder
        self.classes = classes
        self.losses: Mapping[str, RegionLoss] = losses or {"cross_entropy": pixel_cross_entropy}

    def forward(self, features: Features, frames: Sequence[Frame]) -> RegionOutputs:
        """Return logits (B, C, h, w)."""
        return RegionOutputs(self.decoder(features))

    def criterion(self, outputs: RegionOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the losses by name, over the pixels whose class is annotated."""
        size = frames[0].padded
        unknown = torch.full(size, IGNORE)
        truth = torch.stack([unknown if scene.regions is None else scene.regions.long() for scene in scenes])
        # Planar before they grow: losses go class by class, and would copy the large ones (127 ms a step against 154).
        planar = outputs.logits.float().contiguous()
        logits = F.interpolate(planar, size=size, mode="bilinear", align_corners=False)
        truth = truth.to(logits.device, non_blocking=True)
        return {name: loss(logits, truth) for name, loss in self.losses.items()}

    def decode(self, outputs: RegionOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return the likeliest class of every pixel of the original pictures."""
        return [
            Scene(frame.original, regions=likeliest(logits.float(), frame).cpu(), region_classes=self.classes)
            for logits, frame in zip(outputs.logits, frames, strict=True)
        ]
