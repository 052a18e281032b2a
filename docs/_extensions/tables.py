"""How the documentation's directives make tables, so that no figure is ever copied by hand."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

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


class FileDirective(SphinxDirective):
    """A directive that reads files and remembers that the page depends on them."""

    def json(self, path: Path) -> Any:
        self.env.note_dependency(str(path))
        return json.loads(path.read_text(encoding="utf-8"))
