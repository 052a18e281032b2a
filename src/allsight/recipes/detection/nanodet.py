"""NanoDet-Plus on pictures with boxes: from what its authors taught it of COCO, or from scratch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from allsight.recipes.common.ranges import Within
from allsight.recipes.detection.settings import ObjectSettings

if TYPE_CHECKING:
    from allsight.recipes.common.data import Data
    from allsight.recipes.common.job import Job
    from allsight.recipes.common.staged import StagedJob

DETACH_EPOCHS = 10  # as the authors have it


@dataclass(frozen=True, kw_only=True)
class NanoDet(ObjectSettings):
    """A detector of a million parameters (RangiLyu 2021) with generalised focal loss (Li et al. 2020), taught on.

    It begins with the published weights, which know COCO's eighty classes: a class of the same name goes on from what
    is known of it. Such a net has biases in place of batch norms, and assigns places by its own answers. One from
    scratch has batch norms, and the assign guidance module helps it to begin.

    Command: allsight train nanodet DATA --out runs/cells
    Few labels: allsight train nanodet DATA --shots 10 --resamples 5 --out runs/ten
    bccd, 10 labels (one draw, seed 0): AP50 0.79, AP 0.51 after a hundred steps, a minute of one core.
    """

    begin: Annotated[str, tyro.conf.arg(name="from", metavar="MODEL")] = "nanodet"
    """A trained NanoDet-Plus to begin with; the shipped one is that of its authors."""
    scratch: bool = False
    """Begin at random all the same."""
    trunk_weights: str = ""
    """With --scratch: torchvision's checkpoint of ShuffleNetV2 1.0x for the trunk to begin with."""
    freeze_until: str = ""
    longest: Annotated[int, Within(32, 8192)] = 416
    learning_rate: Annotated[float, Within(0, 100)] = 2e-3
    frozen_rate: Annotated[float, Within(0, 100)] = 5e-3


def build(settings: NanoDet) -> "Job":
    """Check the data and put the training together.

    Raises:
        ModelError: the model to begin with is no NanoDet-Plus. TrainingError: settings that make no sense together.
    """
    from allsight.recipes.common.resamples import few_labels
    from allsight.recipes.detection.objects import read

    return few_labels(settings, read, _from_scratch if settings.scratch else _taught_on)


def _from_scratch(settings: NanoDet, data: "Data") -> "StagedJob":
    from allsight.errors import TrainingError
    from allsight.hub import Spec
    from allsight.models.detection.nanodet import GUIDANCE
    from allsight.recipes.common.specs import vocabulary_spec
    from allsight.recipes.detection.objects import USUAL, object_job

    if settings.frozen and not settings.trunk_weights:
        raise TrainingError("--frozen --scratch: a trunk that begins at random has to learn; leave one of them out")
    classes = vocabulary_spec(data.train.object_classes)

    def spec(weights: str | None, **more: Any) -> Spec:
        trunk = Spec("shufflenet_v2", {"slope": 0.1, "weights": weights})
        return Spec("nanodet_plus", {"trunk": trunk, "classes": classes, **more})

    batch = settings.frozen_batch if settings.frozen else settings.batch_size
    start = spec(settings.trunk_weights or None, detach_after=DETACH_EPOCHS * -(-len(data.train) // batch))
    variation = USUAL._replace(left_out=(GUIDANCE,))
    return object_job(settings, data, start=start, saved=spec(None, guidance=False), variation=variation)


def _taught_on(settings: NanoDet, data: "Data") -> "StagedJob":
    from allsight.errors import ModelError
    from allsight.hub import Spec, load
    from allsight.models.detection.nanodet_transfer import begin_with
    from allsight.models.vision import Vision
    from allsight.recipes.common.specs import vocabulary_spec
    from allsight.recipes.detection.objects import USUAL, object_job

    if settings.trunk_weights:
        raise ModelError(
            f"--trunk-weights {settings.trunk_weights}: the trunk comes from {settings.begin}; add --scratch"
        )
    model = load(settings.begin)
    earlier = model.system
    if model.spec.builder != "nanodet_plus" or not isinstance(earlier, Vision):
        raise ModelError(f"--from {settings.begin}: is no NanoDet-Plus but {model.spec.builder}; give another")
    classes = vocabulary_spec(data.train.object_classes)
    spec = Spec(model.spec.builder, {**model.spec.arguments, "classes": classes})
    variation = USUAL._replace(prepare=lambda system: begin_with(system, earlier))
    return object_job(settings, data, start=spec, saved=spec, variation=variation)
