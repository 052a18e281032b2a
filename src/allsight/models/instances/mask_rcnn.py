"""Mask R-CNN: Faster R-CNN, and a mask for every object that it finds (He et al. 2017, "Mask R-CNN")."""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.layers.conv import DepthwiseSeparable, conv
from allsight.models.detection.faster_rcnn import (
    FasterRCNNHead,
    FasterRCNNOutputs,
    faster_rcnn_fpn,
    faster_rcnn_narrow,
)
from allsight.models.instances.masks import MaskNet
from allsight.models.instances.outlining import Outlined, outline, outlined_scenes
from allsight.models.vision import Features, Vision
from allsight.scene import Frame, Scene, Vocabulary


class MaskRCNNOutputs(NamedTuple):
    """Raw answers of all stages.

    Attributes:
        regions: of Faster R-CNN.
        boxes, labels, scores, valid, masks: see `Outlined`.
    """

    regions: FasterRCNNOutputs
    boxes: Tensor
    labels: Tensor
    scores: Tensor
    valid: Tensor
    masks: Tensor


class MaskRCNNHead(FasterRCNNHead):
    """Faster R-CNN whose forward goes on from regions to objects, to look at these once more for their masks.

    Boxes are learned as before; the mask branch learns from the same regions that show objects.

    Args:
        masks: the mask branch; its pooling reads the same levels as that of regions.
        parts: of `FasterRCNNHead`.
    """

    def __init__(self, *, masks: MaskNet, **parts: Any) -> None:
        super().__init__(**parts)
        self.masks = masks
        self.least: Tensor | None
        self.register_buffer("least", None, persistent=False)  # score from which objects of a class are wanted

    def forward(self, features: Features, frames: Sequence[Frame]) -> MaskRCNNOutputs:  # type: ignore[override]
        """Propose, look at what was proposed, and outline what was found."""
        regions = super().forward(features, frames)
        levels, size, candidates = self.levels(features), frames[0].padded, self.candidates(regions)
        found = outline(self.masks, levels, candidates, self.selection, size, least=self.least)
        return MaskRCNNOutputs(regions, *found)

    def loss(self, features: Features, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the terms of Faster R-CNN and "masks"."""
        drawn = self.drawn(features, frames, scenes)
        terms = self.criterion(drawn, frames, scenes)
        found = drawn.proposals
        return {**terms, "masks": self.masks.loss(self.levels(features), found.boxes, found.valid, scenes)}

    def decode(self, outputs: MaskRCNNOutputs, frames: Sequence[Frame]) -> list[Scene]:  # type: ignore[override]
        """Return the objects of every picture with their masks, best first, in original pixels."""
        return outlined_scenes(Outlined(*outputs[1:]), frames, self.classes, self.selection)

    def narrow(self, least: Callable[[str], float]) -> None:
        """Make masks no further than for the last wanted object."""
        self.least = torch.tensor([least(name) for name in self.classes])


def mask_rcnn_fpn(
    *,
    trunk: Trunk,
    classes: Vocabulary,
    channels: int = 256,
    hidden: int = 1024,
    torchvision: bool = False,
    proposed: int = 1000,
    most: int = 100,
) -> Vision:
    """Return the paper's form on a feature pyramid: 14 x 14, four convolutions, 28 x 28 (He et al. 2017, figure 4).

    Args:
        trunk, classes, channels, hidden, torchvision: see `faster_rcnn_fpn`.
        proposed: proposals of a picture that are looked at. most: objects of a picture.
    """
    system = faster_rcnn_fpn(trunk=trunk, classes=classes, channels=channels, hidden=hidden, torchvision=torchvision)
    body = nn.Sequential(*(part for _ in range(4) for part in (conv(channels, channels), nn.ReLU())), *_twice(channels))
    return _with_masks(system, body, channels, samples=128, proposed=proposed, most=most)


def mask_rcnn_narrow(
    *,
    trunk: Trunk,
    classes: Vocabulary,
    channels: int = 64,
    hidden: int = 128,
    anchor_size: float = 3.0,
    finest: Literal["c2", "c3"] = "c3",
    proposed: int = 100,
    most: int = 100,
) -> Vision:
    """Return the form for two cores: depthwise separable, two convolutions before the map is doubled.

    Args:
        trunk, classes, channels, hidden, anchor_size, finest: see `faster_rcnn_narrow`.
        proposed: proposals of a picture that are looked at. most: objects of a picture.
    """
    system = faster_rcnn_narrow(
        trunk=trunk, classes=classes, channels=channels, hidden=hidden, anchor_size=anchor_size, finest=finest
    )
    blocks = (part for _ in range(2) for part in (DepthwiseSeparable(channels, channels), nn.ReLU()))
    return _with_masks(
        system, nn.Sequential(*blocks, *_twice(channels)), channels, samples=16, proposed=proposed, most=most
    )


def _twice(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return what doubles a map's sides."""
    return nn.ConvTranspose2d(channels, channels, 2, stride=2), nn.ReLU()


def _with_masks(system: Vision, body: nn.Module, channels: int, *, samples: int, proposed: int, most: int) -> Vision:
    """Return Faster R-CNN with a mask branch; layers start as He et al. 2015 (no. 2) have it."""
    head = system.heads["objects"]
    assert isinstance(head, FasterRCNNHead)
    # Suppression needs more to choose from than it shall leave.
    head.proposals.candidates = max(head.proposals.candidates, 2 * proposed)
    selection = replace(head.selection, most=most, candidates=max(head.selection.candidates, 2 * most))
    pooling = copy(head.regions.pooling)
    pooling.output = 14
    masks = MaskNet(pooling=pooling, body=body, last=nn.Conv2d(channels, len(head.classes) + 1, 1), samples=samples)
    for layer in masks.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    outlining = MaskRCNNHead(
        inputs=head.inputs,
        proposals=head.proposals,
        regions=head.regions,
        classes=head.classes,
        proposed=proposed,
        proposed_in_training=head.proposed_in_training,
        selection=selection,
        masks=masks,
    )
    return Vision(trunk=system.trunk, neck=system.neck, heads={"objects": outlining})
