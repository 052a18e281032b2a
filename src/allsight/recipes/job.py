"""What a recipe builds, and the one way to run it."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch.optim import Optimizer

from allsight.errors import OutputError
from allsight.files import write_json
from allsight.hub import RUN_MODEL, Model
from allsight.machine.memory import keep_freed_memory
from allsight.models.system import System
from allsight.recipes.card import DESCRIBING
from allsight.recipes.ranges import check_ranges
from allsight.recipes.settings import FewLabels
from allsight.recipes.shots import together, told
from allsight.training import FitConfig, TrainingData, TrainingStep, fit


class Stage(NamedTuple):
    """One call of the training loop.

    Args:
        name: of its folder in the run's; "" for the run's folder itself.
        begin: freezes or thaws, then gives optimisers by name and how long, how large, how often.
    """

    name: str
    begin: Callable[[], tuple[Mapping[str, Optimizer], FitConfig]]


@dataclass
class Job:
    """A training, ready to start.

    Args:
        model: what is trained, with what travels with its weights.
        learner: what the loop trains: the model's system, or the part of it that learns.
        data, collate: what it learns from.
        stages: one after the other, each beginning with the best weights of the one before.
        evaluate: called with the learner, gives scores, the deciding one first.
        finish: called with the model once it is trained, for display thresholds and the like.
        notes: lines that the doctor has to say about the data.
    """

    model: Model
    learner: System
    data: TrainingData
    collate: Callable[[list[Any]], Any]
    stages: Sequence[Stage]
    evaluate: Callable[[Any], Mapping[str, float]]
    finish: Callable[[Model], None] = lambda model: None
    notes: Sequence[str] = ()


class Recipe(Protocol):
    """A dataclass with typed defaults and one `build()`."""

    def build(self) -> Job:
        """Check the data and put everything together."""
        ...


def train(
    recipe: Recipe, out: Path, *, resume: bool = False, force: bool = False, say: Callable[[str], None] = print
) -> dict[str, float]:
    """Run a recipe; the run's folder gets recipe.json, log.jsonl, checkpoints and model/.

    With several resamples each has a folder of its own, resample-0 and so on; resamples.json has all scores, and model/
    is that of the first.

    Args:
        recipe: what to train.
        out: the run's folder.
        resume: go on with the run in `out`, which must have been started by the same recipe.
        force: replace a run that stands in `out`.
        say: is handed lines for a person.

    Returns:
        The scores of the weights that were kept, their means over resamples.

    Raises:
        OutputError: there is a run in `out` already, or it was another recipe's. TrainingError: nothing to train on, or
            a setting that makes no sense.
    """
    check_ranges(recipe)
    keep_freed_memory()  # now and not with the loop: caching features takes a quarter less time
    if isinstance(recipe, FewLabels) and recipe.resamples > 1:
        return _train_resamples(recipe, out, resume=resume, force=force, say=say)
    return _run(recipe, recipe.build, out, resume=resume, force=force, say=say)[0]


def _train_resamples(
    recipe: FewLabels, out: Path, *, resume: bool, force: bool, say: Callable[[str], None]
) -> dict[str, float]:
    """Draw and train again and again; see `train`."""
    resolved, leads = _resolved(recipe), _leads()
    if leads:
        _refuse_unless_free(out, resolved, resume, force)
    train, val, notes = recipe.read()
    each = [replace(recipe, seed=recipe.seed + number, resamples=1) for number in range(recipe.resamples)]
    drawn = [one.drawn(train) for one in each]
    for note in notes if leads else ():
        say(note)
    if leads:
        write_json(out / "recipe.json", resolved)
    rows: list[dict[str, float]] = []
    first: Model | None = None
    for number, (one, some) in enumerate(zip(each, drawn, strict=True)):
        build = partial(one.job, some, val, ())
        scores, model = _run(one, build, out / f"resample-{number}", resume=resume, force=force, say=say)
        rows.append(scores)
        first = first or model
        if leads:
            say(f"resample {number}, {len(some)} pictures: {told(scores)}")
    means, halves = together(rows)
    if leads and first is not None:
        say(f"mean of {len(rows)} resamples, with 95% interval: {told(means, halves)}")
        found = {"scores": rows, "mean": means, "interval95": halves}
        write_json(out / "resamples.json", {"shots": recipe.shots, "seeds": [one.seed for one in each], **found})
        first.card["over resamples"] = {name: f"{means[name]:.3f} ± {halves[name]:.3f}" for name in means}
        first.save(out / RUN_MODEL)
    return means


def _leads() -> bool:
    """Tell whether this is the process that speaks and writes, of several that torchrun started."""
    return int(os.environ.get("RANK", 0)) == 0


def _resolved(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's name and settings as JSON has them."""
    return {"recipe": type(recipe).__name__, **_plain(recipe)}


def _run(
    recipe: Recipe,
    build: Callable[[], Job],
    out: Path,
    *,
    resume: bool,
    force: bool,
    say: Callable[[str], None],
) -> tuple[dict[str, float], Model]:
    """Run one job; return its scores and the trained model."""
    resolved, leads = _resolved(recipe), _leads()
    if leads:
        _refuse_unless_free(out, resolved, resume, force)
    torch.manual_seed(resolved.get("seed", 0))
    job = build()
    for note in job.notes if leads else ():
        say(note)
    if leads:
        write_json(out / "recipe.json", resolved)
    step = TrainingStep(job.learner)
    seconds = 0.0
    for stage in job.stages:
        optimizers, config = stage.begin()
        folder = out / stage.name
        if leads and not resume:
            for name in ("last.pt", "best.pt"):
                (folder / "checkpoints" / name).unlink(missing_ok=True)
        result = fit(
            step,
            optimizers,
            job.data,
            config=config,
            out=folder,
            collate=job.collate,
            evaluate=job.evaluate,
            evaluate_on="cpu",  # where pictures are decoded and scenes compared
            resume=resume,
        )
        seconds += result.seconds
    if not leads:
        return result.scores, job.model
    job.model.system.eval()
    job.finish(job.model)
    threads = torch.get_num_threads()
    job.model.card |= {
        "scores": {name: round(score, 4) for name, score in result.scores.items()},
        "command": shlex.join(["allsight", *sys.argv[1:]]) if sys.argv[1:2] == ["train"] else "from Python",
        "recipe": {name: value for name, value in resolved.items() if name not in DESCRIBING},
        "duration": f"{seconds / 60:.1f} minutes on {threads} thread{'s' if threads > 1 else ''}",
        "machine": f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}",
    }
    job.model.save(out / RUN_MODEL)
    return result.scores, job.model


def _refuse_unless_free(out: Path, resolved: Mapping[str, Any], resume: bool, force: bool) -> None:
    """Raise an OutputError unless the folder is free, or holds the same recipe and is to be gone on with."""
    written = out / "recipe.json"
    if not written.exists():
        return
    if not (resume or force):
        raise OutputError(
            f"{out}: holds a run already; add --resume to go on, --force to replace it, or choose another"
        )
    if resume:
        try:
            before = json.loads(written.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{written}: cannot be read ({error}); start anew with --force") from error
        for key in resolved:
            if key in before and before[key] != resolved[key]:  # an older version's run may lack a setting
                raise OutputError(
                    f"{out}: was started with {key} = {before.get(key)}, not {resolved[key]}; give the same"
                )


def _plain(value: Any) -> Any:
    """Return dataclasses, paths and tuples as JSON has them."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(item) for key, item in asdict(value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
