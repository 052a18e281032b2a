"""Detection by classifying every window, on pictures with boxes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from allsight.recipes.settings import ObjectSettings

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from allsight.data.pictures.dataset import Dataset
    from allsight.recipes.job import Job, Stage


@dataclass(frozen=True)
class Windows(ObjectSettings):
    """A classifier for every window of the picture, bootstrapped with its own false positives (Sung and Poggio 1998).

    The baseline that the lectures start from. The pictures are dealt into as many parts as there are trainings: the
    first one learns from the first part, then what it finds by mistake on the next part, which it has not seen, joins
    with that part, and so on.

    Command: allsight train windows DATA --out runs/windows
    """

    freeze_until: str = "c3"
    epochs: int = 30
    rounds: int = 1
    """Times that false positives are collected; 0 trains once, on all pictures."""
    trunk: str = "efficientnet_lite0"
    """Name of a trunk; see `allsight models`."""
    trunk_weights: str = ""
    """A torchvision checkpoint to begin with, for trunks whose weights are not on PyPI (ResNet, VGG, ...)."""

    def read(self) -> "tuple[Dataset, Dataset, list[str]]":
        """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""
        from allsight.recipes.objects import read_objects

        return read_objects(self.data, self.seed)

    def job(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        """Put system, data, measure and schedule together."""
        from allsight.data.split import split
        from allsight.errors import TrainingError
        from allsight.recipes.objects import object_job
        from allsight.recipes.specs import system_specs, vocabulary_spec

        if self.frozen:
            raise TrainingError("windows: features of so many sizes are not kept; leave out --frozen")
        classes = vocabulary_spec(train.object_classes)
        start, saved = system_specs("windows", self.trunk, self.trunk_weights, classes=classes)
        job = object_job(self, train, val, notes, start=start, saved=saved)
        parts = split(train, {f"part {i}": 1.0 for i in range(self.rounds + 1)}, self.seed)
        job.stages = self._stages(job, [part for part in parts.values() if len(part)])
        return job

    def _stages(self, job: "Job", parts: "list[Dataset]") -> "list[Stage]":
        """Return a training for each part; before it the part is looked at by what has been trained so far."""
        from allsight.data.pictures.dataset import join
        from allsight.data.pictures.loading import TrainingSet
        from allsight.recipes.job import Stage
        from allsight.training import FitConfig

        whole, learned = job.data, [parts[0]]
        assert isinstance(whole, TrainingSet)
        ((_, begin_all),) = job.stages

        def begin(number: int) -> "tuple[dict[str, Optimizer], FitConfig]":
            if number > 0:
                learned.append(with_false_positives(job, parts[number]))
            job.data = TrainingSet(join(learned), whole.longest, whole.transform, seed=self.seed)
            optimizers, config = begin_all()
            epochs = max(1, self.epochs // len(parts))
            return dict(optimizers), replace(config, epochs=epochs, warmup=config.warmup // len(parts))

        return [Stage(f"round_{i}" if self.rounds else "", partial(begin, i)) for i in range(len(parts))]


def with_false_positives(job: "Job", part: "Dataset") -> "Dataset":
    """Return a part of the data with what the model finds there by mistake as examples of background."""
    from allsight.models.detection.bootstrap import add_negatives, false_positives
    from allsight.recipes.parts import judged

    found = judged(job.model, job.model.system, part)
    rows = zip(found.examples, found.predictions, found.truths, strict=True)
    examples = (replace(e, annotation=add_negatives(truth, false_positives(said, truth))) for e, said, truth in rows)
    return replace(part, examples=tuple(examples))
