"""Mask R-CNN: Faster R-CNN, and a mask for every object that it finds (He et al. 2017, "Mask R-CNN")."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.layers.conv import DepthwiseSeparable, conv
from allsight.layers.fpn import FeaturePyramid
from allsight.models.detection.best import USUAL
from allsight.models.detection.faster_rcnn import (
    FPN_PROPOSALS,
    NARROW_PROPOSALS,
    FasterRCNNHead,
    FasterRCNNOutputs,
    FasterRCNNParts,
    fpn_parts,
    narrow_parts,
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


class MaskRCNNParts(NamedTuple):
    """What stands on the trunk: the pyramid, and the head that reads it."""

    neck: FeaturePyramid
    head: MaskRCNNHead


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
    boxes = fpn_parts(
        trunk,
        classes,
        channels=channels,
        hidden=hidden,
        torchvision=torchvision,
        candidates=max(1000, _spare(proposed)),
    )
    body = nn.Sequential(*(part for _ in range(4) for part in (conv(channels, channels), nn.ReLU())), *_twice(channels))
    masks = _mask_branch(boxes, body, channels, classes, samples=128)
    head = _head(boxes, masks, classes, proposed=proposed, proposed_in_training=FPN_PROPOSALS[1], most=most)
    return Vision(trunk=trunk.cut("c5"), neck=boxes.neck, heads={"objects": head})


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
    neck, head = mask_rcnn_narrow_parts(
        trunk,
        classes,
        channels=channels,
        hidden=hidden,
        anchor_size=anchor_size,
        finest=finest,
        proposed=proposed,
        most=most,
    )
    return Vision(trunk=trunk.cut("c5"), neck=neck, heads={"objects": head})


def mask_rcnn_narrow_parts(
    trunk: Trunk,
    classes: Vocabulary,
    *,
    channels: int = 64,
    hidden: int = 128,
    anchor_size: float = 3.0,
    finest: Literal["c2", "c3"] = "c3",
    proposed: int = 100,
    most: int = 100,
) -> MaskRCNNParts:
    """Return the parts of `mask_rcnn_narrow`, for systems that put them beside other heads."""
    boxes = narrow_parts(
        trunk,
        classes,
        channels=channels,
        hidden=hidden,
        anchor_size=anchor_size,
        finest=finest,
        candidates=max(500, _spare(proposed)),
    )
    blocks = (part for _ in range(2) for part in (DepthwiseSeparable(channels, channels), nn.ReLU()))
    masks = _mask_branch(boxes, nn.Sequential(*blocks, *_twice(channels)), channels, classes, samples=16)
    head = _head(boxes, masks, classes, proposed=proposed, proposed_in_training=NARROW_PROPOSALS[1], most=most)
    return MaskRCNNParts(boxes.neck, head)


def _twice(channels: int) -> tuple[nn.Module, nn.Module]:
    """Return what doubles a map's sides."""
    return nn.ConvTranspose2d(channels, channels, 2, stride=2), nn.ReLU()


def _spare(proposed: int) -> int:
    """Return how many candidates suppression needs: more to choose from than it shall leave."""
    return 2 * proposed


def _mask_branch(
    boxes: FasterRCNNParts, body: nn.Module, channels: int, classes: Vocabulary, *, samples: int
) -> MaskNet:
    """Return a mask branch on the levels of the boxes; layers start as He et al. 2015 (no. 2) have it."""
    last = nn.Conv2d(channels, len(classes) + 1, 1)
    masks = MaskNet(pooling=boxes.pooling(output=14), body=body, last=last, samples=samples)
    for layer in masks.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return masks


def _head(
    boxes: FasterRCNNParts,
    masks: MaskNet,
    classes: Vocabulary,
    *,
    proposed: int,
    proposed_in_training: int,
    most: int,
) -> MaskRCNNHead:
    return MaskRCNNHead(
        inputs=boxes.neck.outputs,
        proposals=boxes.proposals,
        regions=boxes.regions,
        classes=classes,
        proposed=proposed,
        proposed_in_training=proposed_in_training,
        selection=replace(USUAL, most=most, candidates=max(USUAL.candidates, _spare(most))),
        masks=masks,
    )
