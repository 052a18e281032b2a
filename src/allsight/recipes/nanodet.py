"""NanoDet-Plus on pictures with boxes: from what its authors taught it of COCO, or from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from allsight.recipes.settings import ObjectSettings

if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset
    from allsight.recipes.job import Job

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
    longest: int = 416
    learning_rate: float = 2e-3
    frozen_rate: float = 5e-3

    def read(self) -> "tuple[Dataset, Dataset, list[str]]":
        """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""
        from allsight.recipes.objects import read_objects

        return read_objects(self.data, self.seed)

    def job(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        """Put system, data, measure and schedule together."""
        return (self._from_scratch if self.scratch else self._going_on)(train, val, notes)

    def _from_scratch(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        from allsight.errors import TrainingError
        from allsight.hub import Spec
        from allsight.models.detection.nanodet import GUIDANCE
        from allsight.recipes.objects import object_job
        from allsight.recipes.specs import vocabulary_spec

        if self.frozen and not self.trunk_weights:
            raise TrainingError("--frozen --scratch: a trunk that begins at random has to learn; leave one of them out")

        def spec(weights: str | None, **more: Any) -> Spec:
            trunk = Spec("shufflenet_v2", {"slope": 0.1, "weights": weights})
            return Spec("nanodet_plus", {"trunk": trunk, "classes": vocabulary_spec(train.object_classes), **more})

        batch = self.frozen_batch if self.frozen else self.batch_size
        start = spec(self.trunk_weights or None, detach_after=DETACH_EPOCHS * -(-len(train) // batch))
        saved = spec(None, guidance=False)
        return object_job(self, train, val, notes, start=start, saved=saved, left_out=(GUIDANCE,))

    def _going_on(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        from allsight.errors import ModelError
        from allsight.hub import Spec, load
        from allsight.models.detection.nanodet_transfer import begin_with
        from allsight.models.vision import Vision
        from allsight.recipes.objects import object_job
        from allsight.recipes.specs import vocabulary_spec

        if self.trunk_weights:
            raise ModelError(f"--trunk-weights {self.trunk_weights}: the trunk comes from {self.begin}; add --scratch")
        model = load(self.begin)
        earlier = model.system
        if model.spec.builder != "nanodet_plus" or not isinstance(earlier, Vision):
            raise ModelError(f"--from {self.begin}: is no NanoDet-Plus but {model.spec.builder}; give another")
        spec = Spec(model.spec.builder, {**model.spec.arguments, "classes": vocabulary_spec(train.object_classes)})
        return object_job(
            self, train, val, notes, start=spec, saved=spec, prepare=lambda system: begin_with(system, earlier)
        )
