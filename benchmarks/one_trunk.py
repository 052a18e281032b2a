"""One pass of a model with five heads against a pass of each of five single models: processor time and memory.

    python benchmarks/one_trunk.py runs/claims/one-trunk [--json PATH] [--quick]

Needs the trainings of `allsight claims one-trunk` (those of seed 0): what is trained finds as many objects as there
are. From picture to Scene, on one thread. Each model runs in a process of its own; its memory is how far the peak lies
above what the process held before.
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from allsight.data.made.still_lifes import still_lifes
from allsight.models.whole.everything import HEADS
from allsight.predict import load
from timing import STATUS, Rows, cpu_milliseconds, line, memory_mib, report

JOINT, SUM = "one trunk", "single models, summed"
SEEN = 20  # pictures


class Cost(NamedTuple):
    """Of one picture: processor time in ms, and the peak of memory in MiB."""

    ms: float
    mib: float


def peak_mib() -> float:
    """Return the most memory that this process has held, in MiB; NaN where the system does not tell."""
    if STATUS.is_file():
        for told in STATUS.read_text().splitlines():
            if told.startswith("VmHWM:"):
                return int(told.split()[1]) / 1024
    return float("nan")


def cost(folder: Path, repeats: int) -> Cost:
    """Load a model and ask it about made pictures; runs in a process of its own."""
    pictures = [example.picture() for example in still_lifes(SEEN, seed=1)]
    before = memory_mib()
    predictor = load(folder)
    spent = cpu_milliseconds(lambda i: predictor(pictures[i]), len(pictures), repeats)
    return Cost(spent, peak_mib() - before)


def headline(rows: Rows) -> Rows:
    """Return what the heads' common trunk saves."""
    joint, apart = (next(row for row in rows if row["model"] == name) for name in (JOINT, SUM))
    return [
        line("a picture through all heads", joint["ms"], SUM, apart["ms"], "ms"),
        line("memory for that", joint["mib"], SUM, apart["mib"], "MiB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder of the claim's trainings")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    given = parser.parse_args()
    end = "-0-quick" if given.quick else "-0"
    models = {JOINT: "-".join(HEADS) + end} | {f"{head} alone": head + end for head in HEADS}
    costs = {}
    for name, folder in models.items():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
            costs[name] = apart.submit(cost, given.runs / folder, 1 if given.quick else 10).result()
    singles = [one for name, one in costs.items() if name != JOINT]
    costs[SUM] = Cost(*map(sum, zip(*singles, strict=True)))
    report("one_trunk", [{"model": name, **one._asdict()} for name, one in costs.items()], given.json, headline)


if __name__ == "__main__":
    main()
