"""`allsight models`: what is shipped, and what can be trained."""

import json as json_module
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from allsight.cli.terminal import only_json, refuse_result, show, table, write_result
from allsight.errors import WeightsError
from allsight.recipes import RECIPES, recipe_class
from allsight.systems import TRUNKS


def models(
    *, json: Annotated[str | None, arg(metavar="FILE|-", help_behavior_hint="")] = None, force: bool = False
) -> int:
    """List the models that are shipped, the systems that `train` knows and the trunks that they stand on.

    Args:
        json: Write the list as JSON there; "-" is stdout.
        force: Replace a file that exists already.

    Returns:
        The exit code.
    """
    refuse_result(json, force)
    shipped = [_entry(folder) for folder in sorted(Path(str(files("allsight.weights"))).iterdir()) if _is_model(folder)]
    systems = {name: (recipe_class(name).__doc__ or "").strip().splitlines()[0] for name in RECIPES}
    with only_json(json == "-") as stdout:
        write_result({"models": shipped, "systems": systems, "trunks": list(TRUNKS)}, json, stdout)
        if json is None:
            _show(shipped, systems)
    return 0


def _is_model(folder: Path) -> bool:
    return (folder / "config.json").is_file()


def _entry(folder: Path) -> dict[str, Any]:
    """Return what a model's card says, without building it: that would take torch."""
    try:
        config = json_module.loads((folder / "config.json").read_text(encoding="utf-8"))
        card = dict(config["card"])
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        return {
            "name": folder.name,
            "task": card.get("task", config["spec"]["builder"]),
            "scores": card.get("scores", {}),
            "data": card.get("data", ""),
            "licence": card.get("licence", "not stated"),
            "megabytes": round(size, 6),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / 'config.json'}: is damaged ({error}); install allsight again") from error


def _show(shipped: list[dict[str, Any]], systems: dict[str, str]) -> None:
    made = table(("model", "what it does", "score", ">MB", "licence of the weights"))
    for entry in shipped:
        scores = ", ".join(f"{key} {value}" for key, value in entry["scores"].items())
        made.add_row(entry["name"], entry["task"], scores, f"{entry['megabytes']:.1f}", entry["licence"])
    trainable = table(("system", "what it is"))
    for name, line in systems.items():
        trainable.add_row(name, line)
    if shipped:
        show("shipped models, for `allsight see --model`", made, "")
    show("systems, for `allsight train`", trainable, f"trunks: {', '.join(TRUNKS)}")
