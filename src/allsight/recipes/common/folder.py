"""The folder of a run: what it is, that it is free, and the model that is saved in the end."""

import json
import platform
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from allsight.errors import OutputError
from allsight.files import write_json
from allsight.hub import RUN_MODEL, Model
from allsight.recipes.common.card import DESCRIBING, duration
from allsight.recipes.common.job import Job, leads
from allsight.recipes.common.settings import Recipe


class Trained(NamedTuple):
    """What a run came to."""

    scores: dict[str, float]
    model: Model


def run_in_folder(
    out: Path,
    settings: Recipe,
    build: Callable[[], Job],
    *,
    resume: bool,
    force: bool,
    say: Callable[[str], None],
) -> Trained:
    """Build a job and run it; the folder gets recipe.json, what the job writes, and model/.

    Args:
        out: the run's folder. settings: what is written into recipe.json. build: puts the job together, seeded.
        resume, force, say: see `allsight.recipes.run.train`.

    Raises:
        OutputError: there is a run in `out` already, or it was another recipe's.
    """
    resolved = _resolved(settings)
    if leads():
        for name, each in {"": settings, **settings.jobs()}.items():  # all, before the first of them begins
            _refuse_unless_free(out / name, _resolved(each), resume, force)
    torch.manual_seed(settings.seed)
    job = build()
    if leads():
        write_json(out / "recipe.json", resolved)
    begun = time.monotonic()
    scores = job.run(out, resume, say)
    if leads():
        _finish_card(job.model.card, scores, resolved, time.monotonic() - begun)
        job.model.save(out / RUN_MODEL)
    return Trained(scores, job.model)


def _resolved(settings: Recipe) -> dict[str, Any]:
    """Return a recipe's name and settings as JSON has them."""
    return {"recipe": type(settings).__name__, **_plain(settings)}


def _finish_card(card: dict[str, Any], scores: Mapping[str, float], resolved: dict[str, Any], seconds: float) -> None:
    """Write on a model's card what came out and how, unless runs inside of this one have done so."""
    if "scores" in card:
        return
    took = card.pop("duration", duration(seconds))
    card |= {
        "scores": {name: round(score, 4) for name, score in scores.items()},
        "command": shlex.join(["allsight", *sys.argv[1:]]) if sys.argv[1:2] == ["train"] else "from Python",
        "recipe": {name: value for name, value in resolved.items() if name not in DESCRIBING},
        "duration": took,
        "machine": f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}",
    }


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
