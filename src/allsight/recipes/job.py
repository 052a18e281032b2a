"""What a recipe builds, and the one way to run it."""

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from torch.optim import Optimizer

from allsight.data.loading import Batch, Sample, TrainingSet
from allsight.errors import OutputError
from allsight.files import write_json
from allsight.hub import RUN_MODEL, Model
from allsight.training import FitConfig, TrainingStep, fit


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
        data, collate: what it learns from.
        stages: one after the other, each beginning with the best weights of the one before.
        evaluate: called with the system, gives scores, the deciding one first.
        finish: called with the model once it is trained, for display thresholds and the like.
        notes: lines that the doctor has to say about the data.
    """

    model: Model
    data: TrainingSet
    collate: Callable[[list[Sample]], Batch]
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

    Args:
        recipe: what to train.
        out: the run's folder.
        resume: go on with the run in `out`, which must have been started by the same recipe.
        force: replace a run that stands in `out`.
        say: is handed lines for a person.

    Returns:
        The scores of the weights that were kept.

    Raises:
        OutputError: there is a run in `out` already, or it was another recipe's. TrainingError: nothing to train on.
    """
    resolved = {"recipe": type(recipe).__name__, **_plain(recipe)}
    leads = int(os.environ.get("RANK", 0)) == 0  # torchrun's; of several processes one speaks and writes
    if leads:
        _refuse_unless_free(out, resolved, resume, force)
    torch.manual_seed(resolved.get("seed", 0))
    job = recipe.build()
    for note in job.notes if leads else ():
        say(note)
    if leads:
        write_json(out / "recipe.json", resolved)
    step = TrainingStep(job.model.system)
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
            resume=resume,
        )
        seconds += result.seconds
    if not leads:
        return result.scores
    job.model.system.eval()
    job.finish(job.model)
    job.model.card |= {
        "scores": {name: round(score, 4) for name, score in result.scores.items()},
        "command": "allsight train " + " ".join(sys.argv[2:]) if sys.argv[1:2] == ["train"] else "from Python",
        "recipe": resolved,
        "duration": f"{seconds / 60:.1f} minutes on {torch.get_num_threads()} threads",
        "machine": f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}",
    }
    job.model.save(out / RUN_MODEL)
    return result.scores


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
            if before.get(key) != resolved[key]:
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
