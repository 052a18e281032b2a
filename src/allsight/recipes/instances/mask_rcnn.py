"""Mask R-CNN on pictures with outlined objects."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from allsight.recipes.common.ranges import Within
from allsight.recipes.detection.settings import DetectorSettings

if TYPE_CHECKING:
    from allsight.recipes.common.job import Job


@dataclass(frozen=True, kw_only=True)
class MaskRCNN(DetectorSettings):
    """Boxes and outlines of objects (He et al. 2017): Faster R-CNN with a small net that draws each object it finds.

    Command: allsight train mask_rcnn DATA --out runs/masks
    Microscopy: allsight train mask_rcnn DATA --turned --out runs/nuclei
    """

    form: Literal["narrow", "fpn"] = "narrow"
    """narrow: depthwise separable, 64 channels. fpn: a feature pyramid of 256 channels from stride 4, the paper's."""
    anchor_size: Annotated[float, Within(0.01, 1000)] = 2.0
    """Side of the smallest anchor, in strides of the finest level (narrow form)."""
    finest: Literal["c2", "c3"] = "c3"
    """Map of the trunk that the narrow form's pyramid begins with: strides of 4 or 8 pixels."""
    proposed: Annotated[int, Within(1, 100_000)] = 1000
    """Proposals of a picture that are looked at."""
    most: Annotated[int, Within(1, 100_000)] = 500
    """Objects of a picture, at most; the best ones stay."""
    masks: bool = True
    """Learn masks; else boxes alone, all other things the same, to be compared with. Its masks then mean nothing."""
    longest: int = 640
    """Pixels of a picture's longer side in the model: small objects need more of them."""
    crop: float = 0.5
    """Side of a training picture as a share of the model's."""
    batch_size: int = 4

    @property
    def outlined(self) -> bool:
        """Whether the masks of objects are learned, and decide."""
        return True


def build(settings: MaskRCNN) -> "Job":
    """Check the data and put the training together."""
    from allsight.recipes.detection.objects import USUAL, build_detector

    narrow = {"anchor_size": settings.anchor_size, "finest": settings.finest}
    arguments: dict[str, Any] = narrow if settings.form == "narrow" else {}
    arguments |= {"proposed": settings.proposed, "most": settings.most}
    # Masks go only from the batch: turned boxes are those of turned masks, which either way has.
    bare = USUAL._replace(collate=lambda usual: partial(without_masks, usual))
    return build_detector(
        settings, f"mask_rcnn_{settings.form}", arguments, variation=USUAL if settings.masks else bare
    )


def without_masks(collate: Callable[[list[Any]], Any], samples: list[Any]) -> Any:
    """Return what `collate` makes of samples, but as if no masks of objects were annotated."""
    batch = collate(samples)
    return replace(batch, scenes=[scene.with_(masks=None) for scene in batch.scenes])
