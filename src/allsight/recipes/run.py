"""The one way to run a recipe."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from allsight.machine.memory import keep_freed_memory
from allsight.recipes.common.folder import run_in_folder
from allsight.recipes.common.job import Job
from allsight.recipes.common.ranges import check_ranges
from allsight.recipes.common.settings import Recipe
from allsight.recipes.table import build_of

Settings = TypeVar("Settings", bound=Recipe)


def train(
    settings: Settings,
    out: Path,
    *,
    build: Callable[[Settings], Job] | None = None,
    resume: bool = False,
    force: bool = False,
    say: Callable[[str], None] = print,
) -> dict[str, float]:
    """Run a recipe; the run's folder gets recipe.json, model/ and what the job writes: log.jsonl, checkpoints, ...

    With several resamples each has a folder of its own, resample-0 and so on; resamples.json has all scores, and model/
    is that of the first.

    Args:
        settings: what to train, a recipe's dataclass.
        out: the run's folder.
        build: puts the job together; what the table names for these settings, if it is not said.
        resume: go on with the run in `out`, which must have been started by the same recipe.
        force: replace a run that stands in `out`.
        say: is handed lines for a person.

    Returns:
        The scores of the weights that were kept, their means over resamples.

    Raises:
        OutputError: there is a run in `out` already, or it was another recipe's. TrainingError: nothing to train on, or
            a setting that makes no sense.
    """
    check_ranges(settings)
    keep_freed_memory()  # now and not with the loop: caching features takes a quarter less time
    chosen: Callable[[Settings], Job] = build or build_of(settings)
    return run_in_folder(out, settings, partial(chosen, settings), resume=resume, force=force, say=say).scores
