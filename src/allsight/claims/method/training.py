"""What claims about trained systems share: a recipe, run once, and the learning rate that suits it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from allsight.claims.method.claim import Run
from allsight.recipes.common.job import Job
from allsight.recipes.run import train

# Of detectors on bccd: smaller pictures and shorter trainings than the recipes' own, so that many fit into hours.
FULL: dict[str, Any] = {"epochs": 8, "longest": 256}
QUICK: dict[str, Any] = {"epochs": 1, "steps": 60, "longest": 192, "views": 2}


class Trained(NamedTuple):
    """The scores of the weights that were kept, and the run's folder."""

    scores: dict[str, float]
    folder: Path


def trained(recipe: Any, run: Run, arm: str, *, build: Callable[[Any], Job] | None = None) -> Trained:
    """Train a recipe with the seed of a run; stopped and called again it goes on.

    Args:
        recipe: a recipe's dataclass. run: seed and folder. arm: names the folder of the training.
        build: see `train`.

    Raises:
        AnnotationError, TrainingError: as `allsight.recipes.run.train`.
    """
    out = run.scratch / f"{arm.replace(' ', '-')}-{run.seed}{'-quick' if run.quick else ''}"
    resume = (out / "recipe.json").exists()
    return Trained(train(replace(recipe, seed=run.seed), out, build=build, resume=resume, say=lambda line: None), out)


TUNING_SEED = 7  # none of those that are compared


def tuned(
    recipe: Any,
    run: Run,
    arm: str,
    *,
    score: str,
    rates: Sequence[float] = (0.003, 0.01, 0.03),
    setting: str = "learning_rate",
) -> Any:
    """Return a recipe with the best of some learning rates, by one training of half the length each.

    They are made once for all seeds of a claim, with a seed of their own. The quick form takes the middle rate untried.

    Args:
        recipe: with `epochs`. run, arm: see `trained`. score: the name of the one that decides.
        rates: to choose from. setting: the recipe's name for them.
    """
    if run.quick:
        return replace(recipe, **{setting: sorted(rates)[len(rates) // 2]})
    best = _best(recipe, replace(run, seed=TUNING_SEED), arm, score, tuple(rates), setting)
    return replace(recipe, **{setting: best})


@cache
def _best(recipe: Any, run: Run, arm: str, score: str, rates: tuple[float, ...], setting: str) -> float:
    """Return the rate of the best score."""

    def found(rate: float) -> float:
        half = replace(recipe, epochs=max(1, recipe.epochs // 2), **{setting: rate})
        return trained(half, run, f"{arm} at {rate:g}").scores[score]

    return max(rates, key=found)
