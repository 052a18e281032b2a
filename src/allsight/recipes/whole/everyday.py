"""`everyday`: published boxes; their masks and the class of every pixel learned from a few photographs."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, cast

import tyro

from allsight.recipes.common.ranges import Within
from allsight.recipes.detection.settings import ObjectSettings

if TYPE_CHECKING:
    from allsight.models.instances.retina_masks import BoxHead
    from allsight.models.vision import Vision
    from allsight.models.whole.everything import Everything
    from allsight.recipes.common.data import Data
    from allsight.recipes.common.job import Job
    from allsight.recipes.common.staged import StagedJob


@dataclass(frozen=True, kw_only=True)
class Everyday(ObjectSettings):
    """Masks and regions beside the boxes of a trained NanoDet-Plus, which stay as they are, trunk and all.

    Data sets on the same pictures are laid over one another, and each head learns from the pictures that have its kind
    of annotation. Regions are learned by COCO's 27 groups of classes.

    Command: allsight train everyday DATA ... --out runs/everyday
    Other objects: allsight train nanodet DATA --out runs/boxes, then with --from runs/boxes
    """

    parts: tuple[Literal["objects", "masks", "regions"], ...] = ("objects", "masks", "regions")
    """What the model answers with, as far as the data teach it; masks are those of the objects."""
    begin: Annotated[str, tyro.conf.arg(name="from", metavar="MODEL")] = "nanodet"
    """The NanoDet-Plus whose boxes it has: the shipped one, which knows COCO's classes, or a run."""
    frozen: bool = True
    views: int = 16
    steps: int = 2400
    frozen_batch: Annotated[int, Within(1, 4096)] = 8
    frozen_rate: Annotated[float, Within(0, 100)] = 5e-3
    frozen_scale: Annotated[tuple[float, float], Within(0.01, 100)] = (0.6, 1.8)
    freeze_until: str = "c5"
    longest: Annotated[int, Within(32, 8192)] = 416
    epochs: Annotated[int, Within(1)] = 60
    scale: Annotated[tuple[float, float], Within(0.01, 100)] = (0.6, 1.8)

    @property
    def outlined(self) -> bool:
        """Whether the masks of objects are learned."""
        return "masks" in self.parts


def build(settings: Everyday) -> "Job":
    """Check the data and put the training together.

    Raises:
        ModelError: the model to begin with is no NanoDet-Plus of these classes. TrainingError: nothing is to learn.
    """
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
        raise TrainingError(f"{settings.data[0]}: has no boxes to be judged by; give pictures with annotated objects")
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
    from allsight.errors import TrainingError
    from allsight.hub import Spec
    from allsight.models.whole.everyday import PUBLISHED, detector_prefixes
    from allsight.recipes.common.specs import vocabulary_spec
    from allsight.recipes.detection.objects import Variation, object_job
    from allsight.recipes.whole.everything_measure import everything_measure

    train, published = data.train, settings.begin == PUBLISHED
    lacking = {"masks": all(example.outlines is None for example in train), "regions": not train.region_classes}
    parts = [part for part in settings.parts if not lacking.get(part)]
    if not {"masks", "regions"} & set(parts):
        raise TrainingError(
            f"{settings.data[0]}: boxes stay as they are, and there is nothing else to learn; "
            "give pictures with outlines of objects or with regions, or teach boxes by allsight train nanodet"
        )
    arguments = {"classes": vocabulary_spec(train.object_classes), "parts": parts, "published": published}
    if "regions" in parts and train.region_classes is not None:
        groups = {name: group for name, group in COCO_GROUPS.items() if group in train.region_classes}
        arguments |= {"region_classes": vocabulary_spec(train.region_classes), "groups": groups}
    spec = Spec("everyday", arguments)
    variation = Variation(
        left_out=detector_prefixes(parts) if published else (),
        measure=everything_measure,
        prepare=(lambda system: None) if published else partial(_begin, settings.begin),
    )
    return object_job(settings, data, start=spec, saved=spec, variation=variation)


def _begin(name: str, system: "Vision") -> None:
    """Take the detector over from the model to begin with."""
    from allsight.errors import ModelError
    from allsight.hub import load
    from allsight.models.detection.nanodet_transfer import begin_with
    from allsight.models.vision import Vision
    from allsight.models.whole.everyday import detector_of

    model, detector = load(name), detector_of(cast("Everything", system))
    earlier = model.system
    if model.spec.builder != "nanodet_plus" or not isinstance(earlier, Vision):
        raise ModelError(f"--from {name}: is no NanoDet-Plus but {model.spec.builder}; give another")
    own, known = (cast("BoxHead", each.heads["objects"]).classes for each in (detector, earlier))
    if strange := [label for label in own if label not in known]:
        raise ModelError(f"--from {name}: does not know {', '.join(strange[:3])}; teach it these, or give another")
    begin_with(detector, earlier)
