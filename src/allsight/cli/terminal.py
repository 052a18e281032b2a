"""What commands say: notes and progress to stderr, results to stdout as text for a person or JSON for a program."""

import io
import json
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from allsight.files import refuse_to_overwrite, write_text
from allsight.text import visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

T = TypeVar("T")


def note(text: str) -> None:
    """Say something to a person that is no result."""
    print(f"allsight: {visible(text)}", file=sys.stderr, flush=True)


def silent(text: str) -> None:
    """Say nothing: in place of `note` where a person wants to hear of trouble only."""


@contextmanager
def waiting(words: str) -> Iterator[None]:
    """Show on the terminal's stderr what is waited for meanwhile; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(words):
        yield


@contextmanager
def only_json(wanted: bool) -> Iterator[TextIO]:
    """Give stdout for JSON and, if `wanted`, send all else that is printed meanwhile to stderr."""
    out = sys.stdout
    if not wanted:
        yield out
        return
    if isinstance(out, io.TextIOWrapper):
        # JSON is UTF-8; a name that is not, keeps its odd bytes as the escapes that JSON has for them.
        out.reconfigure(encoding="utf-8", errors="backslashreplace")
    with redirect_stdout(sys.stderr):
        yield out


def refuse_result(target: str | None, force: bool = False) -> None:
    """Raise an OutputError before any work if the JSON's file exists already."""
    if target not in (None, "-"):
        refuse_to_overwrite(str(target), force)


def write_result(value: Any, target: str | None, out: TextIO) -> None:
    """Write a result as JSON; numbers that JSON does not have (NaN: nothing to measure) become null.

    Args:
        value: plain values.
        target: a file, "-" for `out`, None for nowhere.
        out: what `only_json` gave.
    """
    if target is None:
        return
    text = json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n"
    if target == "-":
        out.write(text)
    else:
        write_text(Path(target), text)


def finite(value: Any) -> Any:
    """Return plain values with None in place of NaN and infinity."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def progress(items: Iterable[T], total: int, words: str) -> Iterator[T]:
    """Pass items on while a bar on the terminal's stderr counts them; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(words, total=total)
        for item in items:
            yield item
            bar.advance(task)


def table(columns: Iterable[str]) -> "Table":
    """Return an empty table in the house's style; columns whose names start with ">" are of numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        made.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    return made


def show(*things: "RenderableType") -> None:
    """Print tables and text to stdout, as wide as the terminal, or 120 characters where there is none."""
    from rich.console import Console

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120, highlight=False, markup=False)
    with console.capture() as text:  # written by us: where the reader has gone, rich would exit with a code of its own
        for i, thing in enumerate(map(_seen, things)):
            if i and not (isinstance(thing, str) and isinstance(things[i - 1], str)):
                console.print()
            console.print(thing, soft_wrap=isinstance(thing, str))
    sys.stdout.write(text.get())


def _seen(thing: "RenderableType") -> "RenderableType":
    """Return text, and the cells of a table, with what would command the terminal made visible."""
    from rich.table import Table

    if isinstance(thing, str):
        return visible(thing, keep="\n")
    for column in thing.columns if isinstance(thing, Table) else ():
        column._cells = [visible(cell) if isinstance(cell, str) else cell for cell in column._cells]
    return thing


def number(value: float, digits: int = 3) -> str:
    """Return a score for a table; a dash where nothing could be measured."""
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"
