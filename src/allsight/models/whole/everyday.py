"""`everyday`: one frozen trunk that names what is there, boxes and outlines it, and says what every pixel shows."""

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from torch import nn

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.errors import ModelError
from allsight.layers.conv import DepthwiseSeparable
from allsight.layers.fpn import FeaturePyramid
from allsight.layers.neck import Neck, Necks
from allsight.models.classification.located import LocatedTagHead
from allsight.models.detection.retinanet import narrow_parts
from allsight.models.instances.retina_masks import OutlinedDenseHead, narrow_masks
from allsight.models.segmentation.fpn import PyramidDecoder
from allsight.models.segmentation.scored import ScoredRegionHead
from allsight.models.vision import Head
from allsight.models.whole.everything import Everything
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
    """Return all heads on one pass of EfficientNet-Lite0: ImageNet's tags with their places, objects and regions.

    Objects are those of a narrow RetinaNet with a mask branch; what they and the regions say together is a panoptic
    map. Masks and regions have a pyramid of their own, which begins finer: that of the boxes shows what boxes need.

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
    pyramid, boxes = narrow_parts(trunk, classes, channels=channels, depth=depth)
    neck: Neck = pyramid
    heads: dict[str, Head] = {}
    if "tags" in parts:
        names = Vocabulary(imagenet_classes())
        heads["tags"] = LocatedTagHead(source="head", classifier=classifier, classes=names)  # type: ignore[arg-type]
    if "objects" in parts:
        heads["objects"] = boxes
    if {"masks", "regions"} & set(parts):
        maps, strides = {name: trunk.channels[name] for name in MAPS}, [trunk.strides[name] for name in MAPS]
        fine = FeaturePyramid(maps, channels, extra=0, block=DepthwiseSeparable, prefix="d")
        neck = Necks({"boxes": pyramid, "fine": fine})
        if "masks" in parts:
            outlines = narrow_masks(strides, channels)
            heads["objects"] = OutlinedDenseHead(boxes=boxes, masks=outlines, levels=fine.outputs)
        if "regions" in parts and region_classes is not None:
            decoder = PyramidDecoder(
                strides=dict(zip(fine.outputs, strides, strict=True)),
                channels=channels,
                width=width,
                classes=len(region_classes),
                block=DepthwiseSeparable,
            )
            heads["regions"] = ScoredRegionHead(decoder=decoder, classes=region_classes)
    return Everything(trunk=trunk, neck=neck, heads=heads, groups=groups, least_score=least_score)


def begin_with(system: Everything, earlier: Everything) -> None:
    """Give a system the pyramid and the boxes of an earlier one, and hold them still: they stay as good as they are.

    Raises:
        ModelError: the earlier one has no boxes, or of other classes or widths.
    """
    try:
        for own, other in zip(_boxing(system), _boxing(earlier), strict=True):
            own.load_state_dict(other.state_dict())
            own.requires_grad_(False)
    except (KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"the model to begin with has not the boxes that are wanted ({reason}); give another"
        ) from error


def _boxing(system: Everything) -> tuple[nn.Module, nn.Module]:
    """Return the pyramid and the head that find boxes."""
    neck, head = system.neck, system.heads["objects"]
    assert neck is not None
    return neck.necks["boxes"] if isinstance(neck, Necks) else neck, getattr(head, "boxes", head)
