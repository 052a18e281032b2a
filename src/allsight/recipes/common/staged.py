"""A job of stages, each one call of the training loop."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch.optim import Optimizer

from allsight.hub import Model
from allsight.models.system import System
from allsight.recipes.common.card import duration
from allsight.recipes.common.job import leads
from allsight.training import FitConfig, FitResult, TrainingData, TrainingStep, fit


class Stage(NamedTuple):
    """One call of the training loop.

    Args:
        name: of its folder in the run's; "" for the run's folder itself.
        begin: freezes or thaws, then gives optimisers by name and how long, how large, how often.
        data: gives what this stage learns from, where it is not the job's, before it begins.
    """

    name: str
    begin: Callable[[], tuple[Mapping[str, Optimizer], FitConfig]]
    data: Callable[[], TrainingData] | None = None


@dataclass(frozen=True)
class StagedJob:
    """A training with a loss, in stages.

    Args:
        model: what is trained, with what travels with its weights.
        learner: what the loop trains: the model's system, the part of it that learns, or a step around either that
            has several turns or losses of its own.
        data: what it learns from. collate: see `fit`.
        stages: one after the other, each beginning with the best weights of the one before.
        evaluate: called with the system that learns, gives scores, the deciding one first.
        finish: called with the model once it is trained, for display thresholds and the like.
        notes: lines that the doctor has to say about the data.
    """

    model: Model
    learner: System | TrainingStep
    data: TrainingData
    collate: Callable[[list[Any]], Any] | None
    stages: Sequence[Stage]
    evaluate: Callable[[Any], Mapping[str, float]]
    finish: Callable[[Model], None] = lambda model: None
    notes: Sequence[str] = ()

    def run(self, out: Path, resume: bool, say: Callable[[str], None]) -> dict[str, float]:
        """Train stage by stage; see `Job.run`."""
        for note in self.notes if leads() else ():
            say(note)
        step = self.learner if isinstance(self.learner, TrainingStep) else TrainingStep(self.learner)
        results = [self._fit(step, stage, out / stage.name, resume) for stage in self.stages]
        if leads():
            self.model.system.eval()
            self.finish(self.model)
            self.model.card["duration"] = duration(sum(result.seconds for result in results))
        return dict(results[-1].scores)

    def _fit(self, step: TrainingStep, stage: Stage, folder: Path, resume: bool) -> FitResult:
        data = stage.data() if stage.data is not None else self.data
        optimizers, config = stage.begin()
        if leads() and not resume:
            for name in ("last.pt", "best.pt"):
                (folder / "checkpoints" / name).unlink(missing_ok=True)
        return fit(
            step,
            optimizers,
            data,
            config=config,
            out=folder,
            collate=self.collate,
            evaluate=self.evaluate,
            evaluate_on="cpu",  # where pictures are decoded and scenes compared
            resume=resume,
        )
