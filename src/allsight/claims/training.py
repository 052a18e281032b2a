"""What claims about trained systems share: a recipe, run once."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from allsight.claims.claim import Run
from allsight.recipes.job import train

# Of detectors on bccd: smaller pictures and shorter trainings than the recipes' own, so that many fit into hours.
FULL: dict[str, Any] = {"epochs": 8, "longest": 256}
QUICK: dict[str, Any] = {"epochs": 1, "steps": 60, "longest": 192, "views": 2}


class Trained(NamedTuple):
    """The scores of the weights that were kept, and the run's folder."""

    scores: dict[str, float]
    folder: Path


def trained(recipe: Any, run: Run, arm: str) -> Trained:
    """Train a recipe with the seed of a run; stopped and called again it goes on.

    Args:
        recipe: a recipe's dataclass. run: seed and folder. arm: names the folder of the training.

    Raises:
        AnnotationError, TrainingError: as `allsight.recipes.job.train`.
    """
    out = run.scratch / f"{arm.replace(' ', '-')}-{run.seed}{'-quick' if run.quick else ''}"
    resume = (out / "recipe.json").exists()
    return Trained(train(replace(recipe, seed=run.seed), out, resume=resume, say=lambda line: None), out)
