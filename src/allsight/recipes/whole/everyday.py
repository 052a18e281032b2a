"""`everyday`: ImageNet's names with their places; boxes, masks and regions learned from a few photographs."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

from allsight.recipes.detection.settings import ObjectSettings

if TYPE_CHECKING:
    from allsight.models.vision import Vision
    from allsight.models.whole.everything import Everything
    from allsight.recipes.common.data import Data
    from allsight.recipes.common.job import Job
    from allsight.recipes.common.staged import StagedJob


@dataclass(frozen=True, kw_only=True)
class Everyday(ObjectSettings):
    """All heads on a trunk that is not trained at all, so that the same pass still names ImageNet's classes.

    Data sets on the same pictures are laid over one another, and each head learns from the pictures that have its kind
    of annotation. Regions are learned by COCO's 27 groups of classes.

    Boxes: allsight train everyday DATA ... --parts tags objects --no-frozen --out runs/boxes
    Then the rest, beside them: allsight train everyday DATA ... --begin runs/boxes --out runs/everyday
    """

    parts: tuple[Literal["tags", "objects", "masks", "regions"], ...] = ("tags", "objects", "masks", "regions")
    """What the model answers with, as far as the data teach it; masks are those of the objects."""
    begin: str = ""
    """A trained model with boxes, which stay as they are: the other parts are learned beside them."""
    frozen: bool = True
    views: int = 16
    steps: int = 2400
    frozen_batch: int = 8
    frozen_rate: float = 5e-3
    frozen_scale: tuple[float, float] = (0.6, 1.8)
    freeze_until: str = "head"
    longest: int = 288
    epochs: int = 60
    scale: tuple[float, float] = (0.6, 1.8)

    @property
    def outlined(self) -> bool:
        """Whether the masks of objects are learned."""
        return "masks" in self.parts


def build(settings: Everyday) -> "Job":
    """Check the data and put the training together."""
    from allsight.recipes.common.resamples import few_labels

    return few_labels(settings, read, _job)


def read(settings: Everyday) -> "Data":
    """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""
    from allsight.data.formats.coco_groups import COCO_GROUPS
    from allsight.data.pictures.overlay import overlay, with_region_groups
    from allsight.errors import TrainingError
    from allsight.recipes.common.data import checked, learned_and_held_out

    learned, held_out = learned_and_held_out(settings.data, settings.seed)
    # All at once: of one vocabulary, and with no picture on both sides.
    whole = with_region_groups(overlay([*learned, *held_out]), COCO_GROUPS)
    if whole.object_classes is None:
        raise TrainingError(f"{settings.data[0]}: has no boxes to learn from; give pictures with annotated objects")
    if not settings.outlined:
        whole = whole.without_masks()
    if "regions" not in settings.parts:
        whole = whole.without_regions()
    seen = {example.path.resolve() for part in learned for example in part}
    sides = [example.path.resolve() in seen for example in whole]
    splits = {
        name: whole.subset((i for i, own in enumerate(sides) if own == side), split=name)
        for name, side in (("train", True), ("val", False))
    }
    return checked(splits, settings.data[0])


def _job(settings: Everyday, data: "Data") -> "StagedJob":
    from allsight.data.formats.coco_groups import COCO_GROUPS
    from allsight.hub import Spec
    from allsight.recipes.common.specs import vocabulary_spec
    from allsight.recipes.detection.objects import Variation, object_job
    from allsight.recipes.whole.everything_measure import everything_measure

    train = data.train
    lacking = {"masks": all(example.outlines is None for example in train), "regions": not train.region_classes}
    parts = [part for part in settings.parts if not lacking.get(part)]
    arguments = {"classes": vocabulary_spec(train.object_classes), "parts": parts}
    if "regions" in parts and train.region_classes is not None:
        groups = {name: group for name, group in COCO_GROUPS.items() if group in train.region_classes}
        arguments |= {"region_classes": vocabulary_spec(train.region_classes), "groups": groups}
    spec = Spec("everyday", arguments)
    variation = Variation(
        left_out=("trunk.", "heads.tags."), measure=everything_measure, prepare=partial(_begin, settings.begin)
    )
    return object_job(settings, data, start=spec, saved=spec, variation=variation)


def _begin(name: str, system: "Vision") -> None:
    """Take boxes over from the model to begin with, if there is one."""
    from allsight.hub import load
    from allsight.models.whole.everyday import begin_with

    if name:
        begin_with(cast("Everything", system), cast("Everything", load(name).system))
