"""`allsight train`: the command line of each recipe is made from its dataclass."""

import difflib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from allsight.cli.terminal import note, number, show, table
from allsight.errors import ModelError, TrainingError
from allsight.recipes import RECIPES, recipe_class

# From the kind of a model's inputs to what a person does with it.
NEXT_STEPS = {"pictures": "look at pictures with: allsight see PATH --model {run}"}


def of_system(words: list[str]) -> tuple[Callable[..., int], str, list[str]]:
    """Return the command of the system that the first word names, its name for help, and the other words.

    Raises:
        ModelError: no system is called so.
    """
    if not words or words[0].startswith("-"):
        return systems, "train", words
    name, *rest = words
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(RECIPES)}"
        raise ModelError(f"train: no system is called {name!r}; {hint}")
    return _command(recipe_class(name)), f"train {name}", rest


def systems() -> int:
    """Train a system: `allsight train SYSTEM DATA ... --out RUN`; `allsight train SYSTEM --help` says more."""
    rows = table(("system", "what it is"))
    for name in RECIPES:
        rows.add_row(name, _headline(recipe_class(name)))
    show("usage: allsight train SYSTEM DATA ... --out RUN [options]", rows)
    show("`allsight train SYSTEM --help` lists the settings of a system")
    return 0


def _headline(recipe: type[Any]) -> str:
    return (recipe.__doc__ or "").strip().splitlines()[0]


def _next_step(out: Path) -> str:
    """Say how a trained model is used, by the kind of its inputs: pictures, where its configuration names none."""
    config = json.loads((out / "model" / "config.json").read_text(encoding="utf-8"))
    kind = config.get("inputs", {}).get("builder", "pictures")
    return NEXT_STEPS.get(kind, 'open it with: allsight.load("{run}")').format(run=out)


def _command(recipe_type: type[Any]) -> Callable[..., int]:
    """Return a function whose signature, and so whose command line, holds the settings of a recipe."""

    def train(
        recipe: Any,
        *,
        out: Annotated[Path, arg(metavar="RUN")],
        resume: bool = False,
        force: bool = False,
    ) -> int:
        if not getattr(recipe, "data", True):  # made pictures need none
            raise TrainingError("train: no data; give one data set or several (see `allsight check`)")
        from allsight.recipes.run import train as run  # here, because help must not wait for torch

        scores = run(recipe, out, resume=resume, force=force, say=note)
        rows = table(("score", ">value"))
        for name, value in scores.items():
            rows.add_row(name, number(value))
        show(rows, f"the model is in {out / 'model'}; {_next_step(out)}")
        return 0

    train.__annotations__["recipe"] = Annotated[recipe_type, arg(name="")]
    train.__doc__ = f"""{(recipe_type.__doc__ or "").strip()}

    Args:
        out: Folder of the run: settings, log, checkpoints, and in the end the model.
        resume: Go on with the run that stands in --out.
        force: Replace the run that stands in --out.
    """
    return train
