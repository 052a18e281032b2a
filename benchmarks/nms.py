"""Non-maximum suppression: ours against OpenCV's on the same boxes, over 100 to 20,000 of them.

Run it with `python benchmarks/nms.py [--json PATH] [--quick]`. Two kinds of boxes: spread evenly over the picture, of
which many stay, and crowded around 30 objects, as a detector gives them, of which few stay.
"""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from allsight.ops.nms import nms
from timing import Rows, arguments, line, milliseconds, report

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


def compare(kind: str, count: int) -> dict[str, Any]:
    boxes, scores = boxes_of(kind, count)
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:].astype(np.float64) - boxes[:, :2]], axis=1)
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
    kept = nms(*tensors, THRESHOLD)
    ours, theirs = milliseconds(
        lambda: nms(*tensors, THRESHOLD),
        lambda: cv2.dnn.NMSBoxes(sides, scores, 0.0, THRESHOLD),
        repeats=7,
    )
    return {
        "boxes": count,
        "kind": kind,
        "kept": len(kept),
        "same": kept.tolist() == list(cv2.dnn.NMSBoxes(sides, scores, 0.0, THRESHOLD)),
        "allsight_ms": ours,
        "opencv_ms": theirs,
    }


def headline(rows: Rows) -> Rows:
    """Return a usual number of crowded boxes, and the most of each kind."""
    most = max(row["boxes"] for row in rows)
    return [
        line(f"{row['boxes']:,} {row['kind']} boxes", row["allsight_ms"], "OpenCV", row["opencv_ms"], "ms")
        for row in rows
        if row["boxes"] == most or (row["boxes"], row["kind"]) == (1000, "crowded")
    ]


def main() -> None:
    given = arguments(__doc__ or "")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    counts = COUNTS[:3] if given.quick else COUNTS
    report("nms", [compare(kind, count) for kind in ("spread", "crowded") for count in counts], given.json, headline)


if __name__ == "__main__":
    main()
