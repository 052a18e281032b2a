"""Detection by classifying every window, on pictures with boxes."""

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

from allsight.recipes.common.ranges import Within
from allsight.recipes.detection.settings import DetectorSettings

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from allsight.data.pictures.dataset import Dataset
    from allsight.data.pictures.loading import TrainingSet
    from allsight.hub import Model
    from allsight.recipes.common.job import Job
    from allsight.recipes.common.staged import Stage
    from allsight.recipes.common.supervision import Supervision
    from allsight.training import FitConfig


@dataclass(frozen=True, kw_only=True)
class Windows(DetectorSettings):
    """A classifier for every window of the picture, bootstrapped with its own false positives (Sung and Poggio 1998).

    The baseline that the lectures start from. The pictures are dealt into as many parts as there are trainings: the
    first one learns from the first part, then what it finds by mistake on the next part, which it has not seen, joins
    with that part, and so on.

    Command: allsight train windows DATA --out runs/windows
    """

    freeze_until: str = "c3"
    epochs: int = 30
    rounds: Annotated[int, Within(0, 100)] = 1
    """Times that false positives are collected; 0 trains once, on all pictures."""


def build(settings: Windows) -> "Job":
    """Check the data and put the training together.

    Raises:
        TrainingError: the trunk is to be frozen; else as `allsight.recipes.detection.objects.read_objects`.
    """
    from allsight.errors import TrainingError
    from allsight.recipes.detection.objects import USUAL, build_detector

    if settings.frozen:
        raise TrainingError("windows: features of so many sizes are not kept; leave out --frozen")
    return build_detector(settings, "windows", variation=USUAL._replace(stages=rounds))


def rounds(settings: Windows, usual: "Stage", model: "Model", learned: "Supervision") -> "list[Stage]":
    """Return a training for each part of the pictures; before it the part is looked at by what has been trained so far.

    Args:
        settings: of the recipe.
        usual: the training on all pictures. model: what is trained. learned: what the usual training learns from.
    """
    from allsight.data.pictures.dataset import join
    from allsight.data.pictures.loading import TrainingSet
    from allsight.data.split import split
    from allsight.recipes.common.staged import Stage

    whole = learned.data
    assert isinstance(whole, TrainingSet)
    dealt = split(whole.dataset, {f"part {i}": 1.0 for i in range(settings.rounds + 1)}, settings.seed)
    shares = [share for share in dealt.values() if len(share)]
    joined = [shares[0]]

    def data(number: int) -> "TrainingSet":
        if number > 0:
            joined.append(with_false_positives(model, shares[number]))
        return TrainingSet(join(joined), whole.longest, whole.transform, seed=settings.seed)

    def begin() -> "tuple[dict[str, Optimizer], FitConfig]":
        optimizers, config = usual.begin()
        epochs = max(1, settings.epochs // len(shares))
        return dict(optimizers), replace(config, epochs=epochs, warmup=config.warmup // len(shares))

    return [Stage(f"round_{i}" if settings.rounds else "", begin, partial(data, i)) for i in range(len(shares))]


def with_false_positives(model: "Model", part: "Dataset") -> "Dataset":
    """Return a part of the data with what the model finds there by mistake as examples of background."""
    from allsight.models.detection.bootstrap import add_negatives, false_positives
    from allsight.recipes.common.supervision import evaluation_of

    evaluation = evaluation_of(model, model.system, part)
    rows = zip(evaluation.examples, evaluation.predictions, evaluation.truths, strict=True)
    examples = (replace(e, annotation=add_negatives(t, false_positives(answer, t))) for e, answer, t in rows)
    return replace(part, examples=tuple(examples))
