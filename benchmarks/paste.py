"""Pasting of masks: maps of 28 x 28 into boxes on a picture of 1024 x 1024, against one resized picture a mask.

Run it with `python benchmarks/paste.py [--json PATH] [--quick]`. The peer resizes each map to its box with OpenCV, as
is usual, and writes it into a mask of the picture's size.
"""

import cv2
import numpy as np
import torch
from torch import Tensor

from allsight.ops.masks import paste
from timing import Rows, arguments, line, milliseconds, report

SIZE = (1024, 1024)


def headline(rows: Rows) -> Rows:
    """Return what a picture with a hundred objects costs."""
    (row,) = (row for row in rows if row["masks"] == 100 and row["mean_side"] == 150)
    return [line("100 masks of mean side 150", row["allsight_ms"], "OpenCV", row["opencv_ms"], "ms")]


def made(count: int, side: int) -> tuple[Tensor, Tensor]:
    """Return maps and boxes of a mean side."""
    random = torch.Generator().manual_seed(0)
    sides = side * (0.5 + torch.rand((count, 2), generator=random))
    corner = torch.rand((count, 2), generator=random) * (torch.tensor(SIZE) - sides)
    return torch.rand((count, 28, 28), generator=random), torch.cat([corner, corner + sides], dim=1)


def by_opencv(maps: Tensor, boxes: Tensor) -> np.ndarray:
    masks = np.zeros((len(maps), *SIZE), dtype=bool)
    for mask, one, (x1, y1, x2, y2) in zip(masks, maps.numpy(), boxes.round().int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = cv2.resize(one, (x2 - x1, y2 - y1)) >= 0.5
    return masks


def main() -> None:
    given = arguments(__doc__ or "")
    rows = []
    for count, side in ((10, 150), (100, 150), (100, 400), (375, 20)):
        maps, boxes = made(count, side)
        ours, theirs = milliseconds(
            lambda maps=maps, boxes=boxes: paste(maps, boxes, SIZE).bits,
            lambda maps=maps, boxes=boxes: by_opencv(maps, boxes),
            repeats=3 if given.quick else 15,
        )
        rows.append(
            {"masks": count, "mean_side": side, "allsight_ms": ours, "opencv_ms": theirs, "ratio": ours / theirs}
        )
    report("paste", rows, given.json, headline)


if __name__ == "__main__":
    main()
