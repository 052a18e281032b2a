"""`everyday`: one frozen trunk that names what is there, boxes and outlines it, and says what every pixel shows."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from allsight.backbones.efficientnet_lite import efficientnet_lite0
from allsight.layers.conv import DepthwiseSeparable
from allsight.models.classification.located import LocatedTagHead
from allsight.models.detection.retinanet import narrow_parts
from allsight.models.everything import Everything
from allsight.models.instances.retina_masks import OutlinedDenseHead, narrow_masks
from allsight.models.scored_regions import ScoredRegionHead
from allsight.models.segmentation.fpn import PyramidDecoder
from allsight.models.vision import Head
from allsight.scene import Vocabulary
from allsight.weights.imagenet import imagenet_classes

Part = Literal["tags", "objects", "masks", "regions"]
PARTS: tuple[Part, ...] = get_args(Part)
MAPS = ("c2", "c3", "c4", "c5")


def everyday(
    *,
    classes: Vocabulary,
    region_classes: Vocabulary | None = None,
    groups: Mapping[str, str] | None = None,
    parts: Sequence[Part] = PARTS,
    channels: int = 64,
    depth: int = 3,
    width: int = 64,
    least_score: float = 0.3,
) -> Everything:
    """Return all heads on one pass of EfficientNet-Lite0: tags as ImageNet has them, with their places; a narrow
    RetinaNet with a mask branch; regions; and what the latter two say together, as a panoptic map.

    Args:
        classes: of boxes and masks. region_classes: of pixels.
        groups: see `Everything`.
        parts: what it answers with; masks are those of the objects.
        channels, depth: of pyramid and subnets; see `retinanet_narrow`.
        width: of the decoder for every pixel.
        least_score: of an object in the panoptic map.
    """
    trunk = efficientnet_lite0()
    classifier = trunk.get_submodule("_fc")
    trunk.cut("head")
    fine = {"masks", "regions"} & set(parts)
    neck, objects = narrow_parts(trunk, classes, channels=channels, depth=depth, maps=MAPS if fine else MAPS[1:])
    levels = neck.outputs[: len(MAPS)]
    strides = [trunk.strides[name] for name in MAPS]
    heads: dict[str, Head] = {}
    if "tags" in parts:
        names = Vocabulary(imagenet_classes())
        heads["tags"] = LocatedTagHead(source="head", classifier=classifier, classes=names)  # type: ignore[arg-type]
    if "masks" in parts:
        heads["objects"] = OutlinedDenseHead(boxes=objects, masks=narrow_masks(strides, channels), levels=levels)
    elif "objects" in parts:
        heads["objects"] = objects
    if "regions" in parts and region_classes is not None:
        decoder = PyramidDecoder(
            strides=dict(zip(levels, strides, strict=True)),
            channels=channels,
            width=width,
            classes=len(region_classes),
            block=DepthwiseSeparable,
        )
        heads["regions"] = ScoredRegionHead(decoder=decoder, classes=region_classes)
    return Everything(trunk=trunk, neck=neck, heads=heads, groups=groups, least_score=least_score)
