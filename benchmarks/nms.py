"""Non-maximum suppression: ours against OpenCV's on the same boxes, over 100 to 20,000 of them.

Run it with `python benchmarks/nms.py [--json PATH]`. Two kinds of boxes: spread evenly over the picture, of which many
stay, and crowded around 30 objects, as a detector gives them, of which few stay.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from allsight.files import write_json
from allsight.ops.nms import nms
from machine import machine

COUNTS = (100, 300, 1000, 4000, 10_000, 20_000)
THRESHOLD = 0.5


def boxes_of(kind: str, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    numbers = np.random.default_rng(0)
    if kind == "spread":
        centre, sides = numbers.uniform(0, 640, (count, 2)), numbers.uniform(10, 100, (count, 2))
    else:
        which = numbers.integers(0, 30, count)
        sides = numbers.uniform(20, 120, (30, 2))[which]
        centre = numbers.uniform(0, 640, (30, 2))[which] + numbers.normal(0, 0.2, (count, 2)) * sides
        sides = sides * np.exp(numbers.normal(0, 0.2, (count, 2)))
    boxes = np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)
    return boxes.astype(np.float32), numbers.uniform(0.01, 1, count).astype(np.float32)


def milliseconds(work: Callable[[], Any], repeats: int = 7) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))


def compare(kind: str, count: int) -> dict[str, Any]:
    boxes, scores = boxes_of(kind, count)
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:].astype(np.float64) - boxes[:, :2]], axis=1)
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
    kept = nms(*tensors, THRESHOLD)
    return {
        "boxes": count,
        "kind": kind,
        "kept": len(kept),
        "same": kept.tolist() == list(cv2.dnn.NMSBoxes(sides, scores, 0.0, THRESHOLD)),
        "allsight_ms": milliseconds(lambda: nms(*tensors, THRESHOLD)),
        "opencv_ms": milliseconds(lambda: cv2.dnn.NMSBoxes(sides, scores, 0.0, THRESHOLD)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows = [compare(kind, count) for kind in ("spread", "crowded") for count in COUNTS]
    print(f"{'boxes':>7} {'kind':>8} {'kept':>6} {'same':>5} {'allsight':>12} {'OpenCV':>12} {'ratio':>7}")
    for row in rows:
        ours, theirs = row["allsight_ms"], row["opencv_ms"]
        print(
            f"{row['boxes']:>7} {row['kind']:>8} {row['kept']:>6} {row['same']!s:>5} {ours:>9.2f} ms {theirs:>9.2f} ms"
            f" {ours / theirs:>7.2f}"
        )
    if arguments.json:
        write_json(arguments.json, {"benchmark": "nms", "machine": machine(), "rows": rows})


if __name__ == "__main__":
    main()
