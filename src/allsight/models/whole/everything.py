"""The sees-it-all model: one trunk, one pass, and a head for everything that a picture can be asked."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.layers.conv import DepthwiseSeparable
from allsight.models.classification.tags import TagHead
from allsight.models.instances.mask_rcnn import mask_rcnn_narrow_parts
from allsight.models.segmentation.fpn import PyramidDecoder
from allsight.models.segmentation.region_head import RegionHead
from allsight.models.surfaces.heads import DepthHead, NormalHead
from allsight.models.vision import Head, Vision
from allsight.models.whole.panoptic import LEAST_SCORE, merged
from allsight.scene import Scene, Vocabulary

HeadName = Literal["tags", "objects", "regions", "depth", "normals"]
HEADS: tuple[HeadName, ...] = get_args(HeadName)
LEVELS = ("p2", "p3", "p4", "p5")


class Everything(Vision):
    """`Vision` whose finished answers also have one panoptic map, where it has objects and regions.

    Args:
        groups: class of objects -> class of regions, where these are coarser; what it does not name keeps its name.
        least_score: of an object in the panoptic map of all that is said.
        parts: of `Vision`.
    """

    def __init__(
        self, *, groups: Mapping[str, str] | None = None, least_score: float = LEAST_SCORE, **parts: Any
    ) -> None:
        super().__init__(**parts)
        self.least_score = least_score
        self.groups = dict(groups or {})
        objects = self.heads["objects"].classes if "objects" in self.heads else ()
        self.things = {name: self.groups.get(name, name) for name in objects}  # type: ignore[union-attr]

    def finished(self, answer: Scene, *, shown: bool = False) -> Scene:
        """Return the scene with the panoptic map of what it says; as it is, without objects or regions.

        Args:
            answer: what the heads say, or what is left of it.
            shown: all objects that are left go into the map; else those of at least `least_score`.
        """
        if not {"objects", "regions"} <= self.heads.keys() or answer.regions is None:
            return answer
        return merged(answer, self.things, least_score=0.0 if shown else self.least_score)


def sees_all(
    *,
    trunk: Trunk,
    object_classes: Vocabulary,
    region_classes: Vocabulary,
    tag_classes: Vocabulary,
    heads: Sequence[HeadName] = HEADS,
    channels: int = 64,
    width: int = 64,
) -> Everything:
    """Return the narrow form: Mask R-CNN, regions, depth and normals on one pyramid from c2 on, tags on c5.

    Every head learns from the pictures that have its kind of annotation, and from these alone. With one name in `heads`
    it is the single model that the joint one is compared with, the same in all else.

    Args:
        trunk: gives c2 to c5.
        object_classes, region_classes, tag_classes: names of boxes and masks, of pixels, of whole pictures; regions
            of an object's name become things of the panoptic map.
        heads: which ones.
        channels: width of the pyramid. width: of the decoders for every pixel.
    """
    neck, outlining = mask_rcnn_narrow_parts(trunk, object_classes, channels=channels, finest="c2")
    strides = {level: trunk.strides["c2"] * 2**i for i, level in enumerate(LEVELS)}

    def decoder(outputs: int) -> PyramidDecoder:
        return PyramidDecoder(
            strides=strides, channels=channels, width=width, classes=outputs, block=DepthwiseSeparable
        )

    def made(name: HeadName) -> Head:
        match name:
            case "tags":
                layer = nn.Linear(trunk.channels["c5"], len(tag_classes))
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
                return TagHead(source="c5", classifier=layer, classes=tag_classes, multi_label=True)
            case "objects":
                return outlining
            case "regions":
                return RegionHead(decoder=decoder(len(region_classes)), classes=region_classes)
            case "depth":
                return DepthHead(decoder(1))
            case "normals":
                head = NormalHead(decoder(3))
                with torch.no_grad():  # begin by facing the eye: of a vector of no length there is no direction
                    head.decoder.last.bias.copy_(torch.tensor([0.0, 0.0, -1.0]))  # type: ignore[operator, union-attr]
                return head

    return Everything(trunk=trunk.cut("c5"), neck=neck, heads={name: made(name) for name in heads})
