"""`everyday`: boxes as they were published, and beside them masks and the class of every pixel, in one pass."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal, get_args

from allsight.backbones.pictures.shufflenet import shufflenet_v2
from allsight.errors import ModelError
from allsight.layers.conv import DepthwiseSeparable
from allsight.layers.fpn import FeaturePyramid
from allsight.layers.neck import Neck, Necks
from allsight.models.detection.nanodet import TRUNK_MAPS, nanodet_parts, nanodet_plus
from allsight.models.detection.nanodet_transfer import begin_with
from allsight.models.instances.retina_masks import OutlinedDenseHead, narrow_masks
from allsight.models.segmentation.fpn import PyramidDecoder
from allsight.models.segmentation.scored import ScoredRegionHead
from allsight.models.vision import Head, Vision
from allsight.models.whole.everything import Everything
from allsight.scene import Vocabulary
from allsight.weights.files import load_state, read_state
from allsight.weights.find import own

Part = Literal["objects", "masks", "regions"]
PARTS: tuple[Part, ...] = get_args(Part)
PUBLISHED = "nanodet"
SLOPE = 0.1  # of the published net's leaky ReLUs
LEAST_SCORE = 0.4  # of an object in the panoptic map


def everyday(
    *,
    classes: Vocabulary | None = None,
    region_classes: Vocabulary | None = None,
    groups: Mapping[str, str] | None = None,
    parts: Sequence[Part] = PARTS,
    published: bool = True,
    channels: int = 64,
    width: int = 64,
    least_score: float = LEAST_SCORE,
) -> Everything:
    """Return all heads on one pass of NanoDet-Plus: its own boxes, which do not learn, their masks, and regions.

    Masks and regions have a pyramid of their own on the same trunk. What objects and regions say together is a
    panoptic map.

    Args:
        classes: of boxes and masks; by default all of the published detector.
        region_classes: of pixels.
        groups: see `Everything`.
        parts: what it answers with, boxes always; masks are those of the objects.
        published: the boxes are those of the package's own `nanodet`, read from its file. False: they begin at random,
            for weights that are yet to be given.
        channels: of the pyramid. width: of the decoder for every pixel.
        least_score: of an object in the panoptic map.

    Raises:
        ModelError: the published detector does not know one of the classes.
    """
    trunk = shufflenet_v2(slope=SLOPE, normalised=False).cut(TRUNK_MAPS[-1])
    classes = published_classes() if classes is None else classes
    pyramid, boxes = nanodet_parts(trunk, classes, slope=SLOPE, normalised=False)
    detector = Vision(trunk=trunk, neck=pyramid, heads={"objects": boxes})
    if published:
        _publish(detector, classes)
    detector.requires_grad_(False)
    fine = FeaturePyramid(
        {name: trunk.channels[name] for name in TRUNK_MAPS}, channels, extra=0, block=DepthwiseSeparable, prefix="d"
    )
    strides = {level: trunk.strides[name] for level, name in zip(fine.outputs, TRUNK_MAPS, strict=True)}
    necks: dict[str, Neck] = {"boxes": pyramid}
    outlines = narrow_masks(list(strides.values()), channels)
    heads: dict[str, Head] = {"objects": OutlinedDenseHead(boxes=boxes, masks=outlines, levels=fine.outputs)}
    if "masks" not in parts:
        heads["objects"] = boxes
    if "regions" in parts and region_classes is not None:
        decoder = PyramidDecoder(
            strides=strides, channels=channels, width=width, classes=len(region_classes), block=DepthwiseSeparable
        )
        heads["regions"] = ScoredRegionHead(decoder=decoder, classes=region_classes)
    if any(level in head.inputs for head in heads.values() for level in fine.outputs):
        necks["fine"] = fine
    return Everything(trunk=trunk, neck=Necks(necks), heads=heads, groups=groups, least_score=least_score)


def detector_prefixes(parts: Sequence[Part]) -> tuple[str, ...]:
    """Return what the names of the detector's tensors begin with, which need not be stored where it is published."""
    return "trunk.", "neck.necks.boxes.", "heads.objects.boxes." if "masks" in parts else "heads.objects."


def detector_of(system: Everything) -> Vision:
    """Return trunk, neck and head of the boxes as a detector that shares their weights."""
    neck, head = system.neck, system.heads["objects"]
    assert isinstance(neck, Necks)
    boxes: Any = getattr(head, "boxes", head)
    pyramid: Any = neck.necks["boxes"]
    return Vision(trunk=system.trunk, neck=pyramid, heads={"objects": boxes})


@cache
def published_classes() -> Vocabulary:
    """Return the classes of the published detector, in its order."""
    config = json.loads((own(PUBLISHED) / "config.json").read_text(encoding="utf-8"))
    return Vocabulary(tuple(config["spec"]["arguments"]["classes"]["arguments"]["names"]))


def _publish(detector: Vision, classes: Vocabulary) -> None:
    """Give a detector the published weights, each class its own."""
    known = published_classes()
    if strange := [name for name in classes if name not in known]:
        raise ModelError(
            f"{', '.join(strange[:3])}: the published detector does not know it; "
            "teach it first (allsight train nanodet DATA) and begin with that run"
        )
    path = own(PUBLISHED) / "model.safetensors"
    if classes == known:
        load_state(detector, read_state(path), source=str(path))
        return
    trunk = shufflenet_v2(slope=SLOPE, normalised=False)
    whole = nanodet_plus(trunk=trunk, classes=known, slope=SLOPE, normalised=False, guidance=False)
    load_state(whole, read_state(path), source=str(path))
    begin_with(detector, whole)
