"""Directives that make tables when the documentation is built, so that no figure is ever copied by hand.

model-card NAME         what is known of a shipped model, from its config.json
model-table             all shipped models
trunk-table             all trunks, from the code
recipe-settings NAME    the settings of a recipe, from its dataclass
benchmark-table NAME    the figures of a benchmark, from benchmarks/results/NAME.json
bench-summary           all benchmarks in one table, from the headlines of benchmarks/results/*.json
claims-summary          all claims there are, and what became of each
claims-table            all claims that have been tested, from their records
shots-table             scores over the number of labels, from the records of the claims named pretrained-...
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, ClassVar

import torch
from docutils import nodes
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

import allsight
from allsight.claims.ledger import CLAIMS, claim
from allsight.cli import bench
from allsight.metrics.interval import mean_interval
from allsight.recipes import recipe_class
from allsight.systems import TRUNKS, builder
from allsight.weights.find import PACKAGES

WEIGHTS = Path(allsight.__file__).parent / "weights"
RECORDS = Path(allsight.__file__).parent / "claims" / "results"
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
ELSEWHERE = {"title", "description", "scores", "command", "recipe"}  # entries of a card that are no rows of its table
TITLES = {"licence": "licence of the weights"}
MAPS = ("c1", "c2", "c3", "c4", "c5")

Cell = str | nodes.Node


def code(text: str) -> nodes.literal:
    """Return text set as code."""
    return nodes.literal(text, text)


def table(head: Sequence[str], rows: Iterable[Sequence[Cell]]) -> nodes.table:
    """Return a table; without a head if all its titles are empty."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=1) for _ in head]
    if any(head):
        group += nodes.thead("", _row(head))
    group += nodes.tbody("", *map(_row, rows))
    return nodes.table("", group)


def _row(cells: Sequence[Cell]) -> nodes.row:
    entries = [nodes.Text(cell) if isinstance(cell, str) else cell for cell in cells]
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", entry)) for entry in entries))


def note(text: str) -> nodes.paragraph:
    """Return a line of emphasised text."""
    return nodes.paragraph("", "", nodes.emphasis(text, text))


def plain(value: Any) -> str:
    """Return a figure as a person would write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


class _Directive(SphinxDirective):
    """A directive that reads files and remembers that the page depends on them."""

    def json(self, path: Path) -> Any:
        self.env.note_dependency(str(path))
        return json.loads(path.read_text(encoding="utf-8"))


class ModelCard(_Directive):
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
        preprocessing = config["preprocessing"]
        rows: list[Sequence[Cell]] = [
            *scores,
            *told,
            ("longer side", f"{preprocessing['longest']} pixels"),
            ("size on disk", f"{megabytes(folder):.1f} MB"),
        ]
        if "command" in card:
            rows.append(("command", code(card["command"])))
        described = [nodes.paragraph(text=card["description"])] if card.get("description") else []
        return [*described, table(self.head, rows)]


class ModelTable(_Directive):
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


class TrunkTable(_Directive):
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


class RecipeSettings(_Directive):
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


class BenchmarkTable(_Directive):
    """The figures of one benchmark."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table and what machine it is from, or a line where the benchmark has not been run."""
        path = RESULTS / f"{self.arguments[0]}.json"
        if not path.is_file():
            return [note(f"No figures are stored; run python benchmarks/{path.stem}.py.")]
        found = self.json(path)
        rows = [_flat(row) for row in found["rows"]]
        head = list(dict.fromkeys(name for row in rows for name in row))
        machine = ", ".join(f"{name.replace('_', ' ')} {plain(value)}" for name, value in found["machine"].items())
        titles = [name.replace("_", " ") for name in head]
        return [table(titles, [[plain(row.get(name)) for name in head] for row in rows]), note(machine)]


class BenchSummary(_Directive):
    """What all benchmarks found, as `allsight bench --recorded` shows it."""

    def run(self) -> list[nodes.Node]:
        """Return the table and what machines it is from, and a line on what has not been measured."""
        paths = [RESULTS / f"{name}.json" for name in bench.BENCHMARKS]
        records = [bench.read(path) for path in paths if path.is_file()]
        for path in paths:
            self.env.note_dependency(str(path))
        head = [name.removeprefix(">") for name in bench.COLUMNS]
        rows = [(code(name), *cells) for name, *cells in bench.rows(records)]
        missing = ", ".join(path.stem for path in paths if not path.is_file())
        return [
            *([table(head, rows)] if rows else []),
            *map(note, bench.machines(records)),
            *([note(f"Not measured yet: {missing}.")] if missing else []),
        ]


class ClaimsSummary(_Directive):
    """The ledger of claims."""

    def run(self) -> list[nodes.Node]:
        """Return a row a claim: how it is called, what it says, and the verdict as far as there is one."""
        rows: list[Sequence[Cell]] = []
        for name in CLAIMS:
            path, one = RECORDS / f"{name}.json", claim(name)
            record = self.json(path) if path.is_file() else {}
            made, wanted = sum(map(len, record.get("scores", {}).values())), len(one.arms) * len(one.seeds)
            state = record.get("outcome") or (f"{made} of {wanted} runs made" if made else "not tested yet")
            rows.append((code(name), one.sentence, state))
        return [table(("claim", "what it says", "verdict"), rows)]


class ClaimsTable(_Directive):
    """What was found about each claim."""

    def run(self) -> list[nodes.Node]:
        """Return for each claim its sentence, source and verdicts."""
        result: list[nodes.Node] = []
        for path in sorted(RECORDS.glob("*.json")):
            if path.name.endswith(".quick.json"):
                continue
            record = self.json(path)
            if "outcome" not in record:  # not all of it has been measured yet
                continue
            minutes = sum(sum(runs.values()) for runs in record["seconds"].values()) / 60
            seeds = len(next(iter(record["scores"].values())))
            result += [
                nodes.rubric("", record["sentence"]),
                nodes.paragraph(
                    "", f"{record['source'][:1].upper()}{record['source'][1:]}. Published: {record['published']}."
                ),
                table(
                    ("comparison", "difference", "95% interval", "verdict"),
                    [
                        (
                            f"{v['better']} > {v['worse']}",
                            f"{v['difference']:+.3f}",
                            f"{v['low']:+.3f} to {v['high']:+.3f}",
                            v["outcome"],
                        )
                        for v in record["verdicts"]
                    ],
                ),
                note(
                    f"{record['claim']}: {record['measure']}; {seeds} seeds, {minutes:.0f} minutes; {record['machine']}"
                ),
            ]
        return result or [note("No claim has been tested yet.")]


class ShotsTable(_Directive):
    """What few labels do: the arms of the claims on pretraining side by side, over the number of pictures."""

    def run(self) -> list[nodes.Node]:
        """Return the table, or a line where nothing has been measured."""
        rows: list[Sequence[Cell]] = []
        for path in sorted(RECORDS.glob("pretrained-*.json")):
            if path.name.endswith(".quick.json"):
                continue
            record = self.json(path)
            if "outcome" not in record:
                continue
            for name, scores in record["scores"].items():
                count, _, arm = name.partition(", ")
                if arm == "pretrained":
                    other = record["scores"].get(f"{count}, scratch", {})
                    rows.append((record["measure"], count, *(spread(each) for each in (scores, other))))
        if not rows:
            return [note("No figures are stored; run allsight claims pretrained-boxes.")]
        return [table(("score", "labelled", "pretrained", "scratch"), rows)]


def spread(scores: dict[str, float]) -> str:
    """Return the mean of scores by seed with half of its 95% interval."""
    if not scores:
        return ""
    mean, half = mean_interval(list(scores.values()))
    return f"{mean:.3f} ± {half:.3f}"


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in which figures of figures stand side by side."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= {f"{key} {name}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def setup(app: Any) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive("model-card", ModelCard)
    app.add_directive("model-table", ModelTable)
    app.add_directive("trunk-table", TrunkTable)
    app.add_directive("recipe-settings", RecipeSettings)
    app.add_directive("benchmark-table", BenchmarkTable)
    app.add_directive("bench-summary", BenchSummary)
    app.add_directive("claims-summary", ClaimsSummary)
    app.add_directive("claims-table", ClaimsTable)
    app.add_directive("shots-table", ShotsTable)
    return {"parallel_read_safe": True}
