"""`allsight bench`: measure against the peers, and show all that was found in one table."""

import json as text
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

import allsight
from allsight.cli.terminal import note, only_json, refuse_result, show, table, write_result
from allsight.errors import ModelError, OutputError
from allsight.files import write_json

# All that run by themselves, without data, in minutes.
BENCHMARKS = ("trunk", "see", "nms", "roi_align", "paste", "reading", "training_step", "feature_cache", "coco")
COLUMNS = ("benchmark", "what", ">ours", ">peer", ">times better")


def bench(
    names: Annotated[Positional[tuple[str, ...]], arg(metavar="NAME ...", help_behavior_hint="")] = (),
    *,
    quick: bool = False,
    recorded: bool = False,
    folder: Annotated[Path | None, arg(metavar="FOLDER", help_behavior_hint="(default: the clone's own)")] = None,
    json: Annotated[str | None, arg(metavar="FILE|-", help_behavior_hint="")] = None,
    force: bool = False,
) -> int:
    """Run the benchmarks of a clone one after the other; let the machine do nothing else meanwhile.

    Figures take the place of the older ones in FOLDER/results, but for those of --quick, which mean little.

    Args:
        names: Benchmarks to run; all of them by default.
        quick: See that they work.
        recorded: Measure nothing, show what is stored.
        folder: Where the benchmarks lie.
        json: Write what was found as JSON there; "-" is stdout, and nothing else goes there.
        force: Replace the file that --json names.

    Returns:
        The exit code: 1 if a benchmark failed.
    """
    refuse_result(json, force)
    home = folder or Path(allsight.__file__).parents[2] / "benchmarks"
    chosen = _chosen(home, names)
    records: dict[str, dict[str, Any]] = {}
    with only_json(json == "-") as stdout:
        for number, name in enumerate(chosen, 1):
            stored = home / "results" / f"{name}.json"
            if recorded:
                found = read(stored) if stored.is_file() else None
            else:
                found = _measured(home, name, quick, f"{number}/{len(chosen)} {name}")
                if found is not None and not quick:
                    write_json(stored, found)
            records |= {name: found} if found is not None else {}
        if json is None and records:
            made = table(COLUMNS)
            for row in rows(records.values()):
                made.add_row(*row)
            show(made, *machines(records.values()))
        write_result(list(records.values()), json, stdout)
    if missing := [name for name in chosen if name not in records]:
        note(f"{'not measured yet' if recorded else 'failed'}: {', '.join(missing)}")
    return 1 if missing and not recorded else 0


def _chosen(folder: Path, names: Sequence[str]) -> list[str]:
    """Return the names of what shall be run, all that there is if none is asked for."""
    there = [name for name in BENCHMARKS if (folder / f"{name}.py").is_file()]
    if not there:
        raise OutputError(f"{folder}: no benchmarks are here, they come with a clone of the repository; give --folder")
    for name in names:
        if name not in there:
            raise ModelError(f"{folder}: no benchmark is called {name!r}; there are {', '.join(there)}")
    return list(dict.fromkeys(names)) or there


def _measured(folder: Path, name: str, quick: bool, title: str) -> dict[str, Any] | None:
    """Run one benchmark in a process of its own; say why if nothing comes of it."""
    note(f"{title}: running")
    with tempfile.TemporaryDirectory() as nowhere:
        found = Path(nowhere, f"{name}.json")
        words = [sys.executable, f"{name}.py", "--json", str(found), *(["--quick"] if quick else [])]
        start = time.perf_counter()
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace")
        if done.returncode:
            last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
            note(f"{title}: failed with exit code {done.returncode} ({last}); the others go on")
            return None
        note(f"{title}: {time.perf_counter() - start:.0f} s")
        try:
            return read(found)
        except OutputError as error:
            note(f"{error}; the others go on")
            return None


def read(path: Path) -> dict[str, Any]:
    """Return what a benchmark wrote: its name, machine, headline and rows.

    Raises:
        OutputError: the file is not what a benchmark writes.
    """
    try:
        found: dict[str, Any] = text.loads(path.read_text(encoding="utf-8"))
        rows([found]), machines([found])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(f"{path}: is not what a benchmark writes ({error}); run it again") from error
    return found


def rows(records: Iterable[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Return the cells of the one table: a line for each line of each headline."""
    return [
        (record["benchmark"], line["what"], line["ours"], line["peer"], f"{line['ratio']:.2f}")
        for record in records
        for line in record["headline"]
    ]


def machines(records: Iterable[dict[str, Any]]) -> list[str]:
    """Return a line for each machine and number of threads, which says what was measured there."""
    there: dict[str, list[str]] = {}
    for record in records:
        told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in record["machine"].items())
        there.setdefault(told, []).append(record["benchmark"])
    return [f"{', '.join(names)}: {told}" for told, names in there.items()]
