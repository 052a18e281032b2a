"""COCO's scores of made pictures: our fast path (hotcoco) against pycocotools, conversion from Scenes included.

Run it with `python benchmarks/coco.py [--json PATH] [--quick]`.
"""

import time

import numpy as np
import torch

from allsight.metrics.coco import CocoScores, coco_scores
from allsight.scene import Scene, Vocabulary
from timing import Rows, arguments, line, report

CLASSES = Vocabulary(tuple(f"class {i}" for i in range(80)))


def scenes(count: int) -> tuple[list[Scene], list[Scene]]:
    """Return truths with about 7 objects a picture and predictions with three times as many, half of them good."""
    numbers = np.random.default_rng(0)

    def scene(low: np.ndarray, sides: np.ndarray, labels: np.ndarray, scores: np.ndarray | None) -> Scene:
        boxes = torch.from_numpy(np.concatenate([low, low + sides], axis=1)).float()
        given = None if scores is None else torch.from_numpy(scores).float()
        labels = torch.from_numpy(labels)
        return Scene((480, 640), boxes=boxes, labels=labels, scores=given, object_classes=CLASSES)

    truths, predictions = [], []
    for _ in range(count):
        n = int(numbers.poisson(7))
        low, sides = numbers.uniform(0, 400, (n, 2)), np.exp(numbers.uniform(2, 5.4, (n, 2)))
        labels = numbers.integers(0, 80, n)
        truths.append(scene(low, sides, labels, None))
        noise = np.repeat(np.array([2.0, 30.0, 60.0]), n)[:, None]
        shift = numbers.normal(0, 1, (3 * n, 2)) * noise
        scores = numbers.random(3 * n)
        predictions.append(scene(np.tile(low, (3, 1)) + shift, np.tile(sides, (3, 1)), np.tile(labels, 3), scores))
    return truths, predictions


def headline(rows: Rows) -> Rows:
    """Return the only row."""
    words, seconds = f"scores of {rows[0]['pictures']:,} pictures", rows[0]["seconds"]
    return [line(words, seconds["hotcoco"], "pycocotools", seconds["pycocotools"], "s")]


def main() -> None:
    given = arguments(__doc__ or "")
    torch.set_num_threads(1)
    pictures = 200 if given.quick else 5000
    truths, predictions = scenes(pictures)
    seconds: dict[str, float] = {}
    scores: dict[str, CocoScores] = {}
    for backend in ("hotcoco", "pycocotools"):
        start = time.perf_counter()
        scores[backend] = coco_scores(truths, predictions, backend=backend)
        seconds[backend] = time.perf_counter() - start
    row = {
        "pictures": pictures,
        "seconds": seconds,
        "ratio": seconds["hotcoco"] / seconds["pycocotools"],
        "ap_difference": abs(scores["hotcoco"].ap - scores["pycocotools"].ap),
    }
    report("coco", [row], given.json, headline)


if __name__ == "__main__":
    main()
