"""Directives that make tables of what there is to use, when the documentation is built.

model-card NAME         what is known of a shipped model, from its config.json
model-table             all shipped models
trunk-table             all trunks, from the code
recipe-settings NAME    the settings of a recipe, from its dataclass
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import torch
from docutils import nodes
from sphinx.pycode import ModuleAnalyzer
from tables import Cell, FileDirective, code, note, plain, table

import allsight
from allsight.recipes import recipe_class
from allsight.systems import TRUNKS, builder
from allsight.weights.find import PACKAGES

WEIGHTS = Path(allsight.__file__).parent / "weights"
ELSEWHERE = {"title", "description", "scores", "command", "recipe"}  # entries of a card that are no rows of its table
TITLES = {"licence": "licence of the weights"}
MAPS = ("c1", "c2", "c3", "c4", "c5")


class ModelCard(FileDirective):
    """What is known of one shipped model."""

    required_arguments = 1
    head: ClassVar[Sequence[str]] = ("", "")

    def run(self) -> list[nodes.Node]:
        """Return the table, or a line where the model is not there."""
        folder = WEIGHTS / self.arguments[0]
        if not (folder / "config.json").is_file():
            return [note(f"The model {folder.name} is not shipped yet.")]
        config = self.json(folder / "config.json")
        card = dict(config["card"])
        scores = [(f"held-out {name}", plain(value)) for name, value in card.get("scores", {}).items()]
        told = [(TITLES.get(key, key), plain(value)) for key, value in card.items() if key not in ELSEWHERE]
        prepared = config["inputs"]["arguments"] if "inputs" in config else config["preprocessing"]  # format 1
        sides = [("longer side", f"{prepared['longest']} pixels")] if "longest" in prepared else []
        rows: list[Sequence[Cell]] = [
            *scores,
            *told,
            *sides,
            ("size on disk", f"{megabytes(folder):.1f} MB"),
        ]
        if "command" in card:
            rows.append(("command", code(card["command"])))
        described = [nodes.paragraph(text=card["description"])] if card.get("description") else []
        return [*described, table(self.head, rows)]


class ModelTable(FileDirective):
    """All shipped models."""

    def run(self) -> list[nodes.Node]:
        """Return the table, or a line where no model is there."""
        rows: list[Sequence[Cell]] = []
        for path in sorted(WEIGHTS.glob("*/config.json")):
            card = self.json(path)["card"]
            scores = ", ".join(f"{name} {plain(value)}" for name, value in card.get("scores", {}).items())
            licence = str(card.get("licence", "not stated"))
            size = f"{megabytes(path.parent):.1f}"
            rows.append((code(path.parent.name), str(card.get("task", "")), scores, size, licence))
        if not rows:
            return [note("No model is shipped yet.")]
        return [table(("model", "what it does", "held-out scores", "MB", "licence of the weights"), rows)]


def megabytes(folder: Path) -> float:
    """Return the size of a folder's files."""
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


class TrunkTable(FileDirective):
    """All trunks: built without memory for their weights, and asked what they give."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        rows: list[Sequence[Cell]] = []
        for name in TRUNKS:
            with torch.device("meta"):
                trunk = builder(name)(weights=False if name in PACKAGES else None)
            millions = sum(parameter.numel() for parameter in trunk.parameters()) / 1e6
            maps = [f"{trunk.channels[m]} / {trunk.strides[m]}" for m in MAPS]
            others = [each for each in trunk.channels if each not in MAPS]
            rows.append((code(name), f"{millions:.1f}", *maps, ", ".join(others)))
        return [table(("trunk", "million parameters", *MAPS, "further names"), rows)]


class RecipeSettings(FileDirective):
    """The settings of a recipe, each with its default and its own docstring."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        recipe = recipe_class(self.arguments[0])
        meanings: dict[str, str] = {}
        for one in reversed(recipe.__mro__[:-1]):
            found = ModuleAnalyzer.for_module(one.__module__).find_attr_docs()
            meanings |= {name: " ".join(lines).strip() for (cls, name), lines in found.items() if cls == one.__name__}
        rows: list[Sequence[Cell]] = []
        for field in fields(recipe):
            if hasattr(recipe, field.name):  # one without a default is no option but an argument
                default = getattr(recipe, field.name)
                words = default if isinstance(default, tuple) else [default]
                rows.append(
                    (
                        code("--" + field.name.replace("_", "-")),
                        code(" ".join('""' if w == "" else str(w) for w in words)),
                        meanings.get(field.name, ""),
                    )
                )
        return [table(("option", "default", "meaning"), rows)]


def setup(app: Any) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive("model-card", ModelCard)
    app.add_directive("model-table", ModelTable)
    app.add_directive("trunk-table", TrunkTable)
    app.add_directive("recipe-settings", RecipeSettings)
    return {"parallel_read_safe": True}
