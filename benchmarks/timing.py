"""What the benchmarks share: made photographs, median times, memory in use, and how figures are told and written."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from allsight.files import write_json
from machine import machine

STATUS = Path("/proc/self/status")
Rows = Sequence[dict[str, Any]]


def arguments(text: str) -> argparse.Namespace:
    """Read the command line that every benchmark has."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="see that it works; the figures mean little")
    return parser.parse_args()


def milliseconds(*works: Callable[[], Any], repeats: int = 9) -> list[float]:
    """Return the median time of each of several pieces of work, which take turns after one warm-up each.

    Taking turns lets whatever else the machine does disturb all of them alike.
    """
    for work in works:
        work()
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats):
        for mine, work in zip(times, works, strict=True):
            start = time.perf_counter()
            work()
            mine.append(time.perf_counter() - start)
    return [1000 * float(np.median(mine)) for mine in times]


def cpu_milliseconds(work: Callable[[int], Any], count: int, repeats: int = 5) -> float:
    """Return the processor time of work(0) to work(count - 1) for each, on one thread, after a warm-up.

    Other programs disturb it less than the time on the clock.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for i in range(count):
            work(i)
        start = time.process_time()
        for _ in range(repeats):
            for i in range(count):
                work(i)
        return 1000 * (time.process_time() - start) / (repeats * count)
    finally:
        torch.set_num_threads(threads)


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a made picture with soft shapes and some grain: it compresses about as a photograph does."""
    numbers = np.random.default_rng(seed)
    coarse = numbers.integers(0, 256, (height // 40 + 2, width // 40 + 2, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    grain = numbers.normal(0, 6, (height, width, 1))
    return Image.fromarray((soft + grain).clip(0, 255).astype(np.uint8))


def photographs(folder: Path, count: int, width: int = 640, height: int = 480) -> list[Path]:
    """Write JPEGs into a folder; every eighth picture is another one."""
    folder.mkdir(parents=True)
    paths = [folder / f"{i:05d}.jpg" for i in range(count)]
    contents: list[bytes] = []
    for i, path in enumerate(paths):
        if i < 8:
            photograph(width, height, seed=i).save(path, quality=90)
            contents.append(path.read_bytes())
        else:
            path.write_bytes(contents[i % 8])
    return paths


def memory_mib() -> float:
    """Return the memory that this process holds now, in MiB; NaN where the system does not tell."""
    if STATUS.is_file():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return float("nan")


def line(what: str, ours: float, peer: str, theirs: float, unit: str) -> dict[str, Any]:
    """Return one line of a headline: ours, the peer's, and how many times better ours is.

    Args:
        unit: of both figures; what ends in "/s" is better where it is more, all else where it is less.
    """
    ratio = ours / theirs if unit.endswith("/s") else theirs / ours
    return {"what": what, "ours": f"{_told(ours)} {unit}", "peer": f"{peer} {_told(theirs)} {unit}", "ratio": ratio}


def report(name: str, rows: Rows, path: Path | None, headline: Callable[[Rows], Rows]) -> None:
    """Print a row a line, and write all as JSON with what machine it was.

    Args:
        headline: from the rows to the one to three lines that say most; see `line`.
    """
    for row in rows:
        print("   ".join(f"{key} {_told(value)}" for key, value in row.items()))
    lines = headline(rows)
    for one in lines:
        print(f"{one['what']}: {one['ours']}, {one['peer']}, {one['ratio']:.2f} times better")
    print(f"on {machine()}")
    if path:
        write_json(path, {"benchmark": name, "machine": machine(), "headline": list(lines), "rows": list(rows)})
        print(f"written to {path}; torch used {torch.get_num_threads()} threads")


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_told(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)
