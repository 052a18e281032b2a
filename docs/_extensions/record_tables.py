"""Directives that make tables of what was measured, when the documentation is built.

benchmark-table NAME    the figures of a benchmark, from benchmarks/results/NAME.json
bench-summary           all benchmarks in one table, from the headlines of benchmarks/results/*.json
claims-summary          all claims there are, and what became of each
claims-table            all claims that have been tested, from their records
shots-table             scores over the number of labels, from the records of the claims named pretrained-...
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from tables import Cell, FileDirective, code, note, plain, table

import allsight
from allsight.claims.method.ledger import CLAIMS, claim
from allsight.cli import bench
from allsight.metrics.interval import mean_interval

RECORDS = Path(allsight.__file__).parent / "claims" / "results"
RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


class BenchmarkTable(FileDirective):
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


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row in which figures of figures stand side by side."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= {f"{key} {name}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat


class BenchSummary(FileDirective):
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


class ClaimsSummary(FileDirective):
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


def _finished(directive: FileDirective, pattern: str) -> Iterator[dict[str, Any]]:
    """Yield the records of claims of which all has been measured, in the order of their names."""
    for path in sorted(RECORDS.glob(pattern)):
        if not path.name.endswith(".quick.json") and "outcome" in (record := directive.json(path)):
            yield record


class ClaimsTable(FileDirective):
    """What was found about each claim."""

    def run(self) -> list[nodes.Node]:
        """Return for each claim its sentence, source and verdicts."""
        result: list[nodes.Node] = []
        for record in _finished(self, "*.json"):
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


class ShotsTable(FileDirective):
    """What few labels do: the arms of the claims on pretraining side by side, over the number of pictures."""

    def run(self) -> list[nodes.Node]:
        """Return the table, or a line where nothing has been measured."""
        rows: list[Sequence[Cell]] = []
        for record in _finished(self, "pretrained-*.json"):
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


def setup(app: Any) -> dict[str, Any]:
    """Add the directives."""
    app.add_directive("benchmark-table", BenchmarkTable)
    app.add_directive("bench-summary", BenchSummary)
    app.add_directive("claims-summary", ClaimsSummary)
    app.add_directive("claims-table", ClaimsTable)
    app.add_directive("shots-table", ShotsTable)
    return {"parallel_read_safe": True}
