"""Cached features: a training step from what a frozen trunk saw before, against one that runs the trunk each time.

Run it with `python benchmarks/feature_cache.py [--json PATH] [--quick]`. The system is a narrow RetinaNet, the batch
that of `allsight train retinanet --frozen`. Ours reads the features from disk and puts the batch together; the files
have just been written, so that the system holds them in memory, as it does in a training. The peer has its pictures in
memory, decoded and augmented beforehand: all that it does besides is to run the trunk. `fill` is what the cache costs,
once: augmenting, seeing and writing all views of a picture.
"""

import itertools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.freezing import freeze
from allsight.data.feature_cache import FeatureCache
from allsight.data.features import FeatureSet, collate_features
from allsight.data.made.shapes import SHAPE_CLASSES, made_scenes
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.geometry import Affine, Crop, Flip, Scale
from allsight.data.pictures.loading import Sample, collate
from allsight.data.views import AugmentedLooks
from allsight.models.detection.retinanet import retinanet_narrow
from allsight.models.frozen import AfterTrunk, eyes_of
from allsight.models.system import System
from allsight.training import parameter_groups
from timing import Rows, arguments, line, milliseconds, report

WINDOW, BATCH, VIEWS = (288, 384), 4, 8
LOOKS = AugmentedLooks(Augmentation(WINDOW, (Flip(), Affine(), Scale(0.8, 1.25), Crop())), VIEWS)


def sample(example: Example, number: int) -> Sample:
    """Return a picture as the trunk sees it: decoded and augmented."""
    look = LOOKS(example.annotation, number)[1]
    return Sample(look.picture(example.picture()), look.scene(example.scene), example.name, look.frame)


def step(system: System, optimizer: torch.optim.Optimizer, precision: str) -> Callable[[Any], None]:
    """Return what learns from one batch."""

    def learn(batch: Any) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            losses = system.loss(batch)
        torch.stack([loss.float() for loss in losses.values()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(system.parameters(), 10.0)
        optimizer.step()

    return learn


def compare(dataset: Dataset, folder: Path, precision: Any, repeats: int) -> dict[str, Any]:
    torch.manual_seed(0)
    vision = retinanet_narrow(trunk=efficientnet_lite0(weights=False), classes=SHAPE_CLASSES).train()
    freeze(vision.trunk, "c5")
    vision.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learner = AfterTrunk(vision).train()
    optimizer = torch.optim.AdamW(parameter_groups(learner, 1e-4, 0.02))

    features = FeatureSet(dataset, LOOKS, eyes_of(vision.trunk, learner.wanted, precision), FeatureCache(folder, 2**34))
    waiting, start = features.missing(), time.perf_counter()
    for _ in features.fill(waiting):
        pass
    filled = time.perf_counter() - start

    places = [range(i, i + BATCH) for i in range(0, len(dataset), BATCH)]
    ready = [collate([sample(dataset[i], i) for i in place]) for place in places]
    order, batches = itertools.cycle(enumerate(places)), itertools.cycle(ready)
    from_features, from_pictures = (step(system, optimizer, precision) for system in (learner, vision))

    def read() -> Any:
        epoch, place = next(order)
        return collate_features([features[epoch, i] for i in place])

    ours, theirs, reading = milliseconds(
        lambda: from_features(read()), lambda: from_pictures(next(batches)), read, repeats=repeats
    )
    return {
        "precision": precision,
        "allsight_ms": ours,
        "trunk_each_time_ms": theirs,
        "ratio": ours / theirs,
        "of_this_reading_ms": reading,
        "fill_pictures_per_second": len(waiting) / filled,
        "views": VIEWS,
        "mb_per_picture": features.bytes / len(waiting) / 1e6,
    }


def headline(rows: Rows) -> Rows:
    """Return the step in each precision."""
    return [
        line(
            f"step of {BATCH} pictures, {row['precision']}",
            row["allsight_ms"],
            "trunk each time",
            row["trunk_each_time_ms"],
            "ms",
        )
        for row in rows
    ]


def main() -> None:
    given = arguments(__doc__ or "")
    pictures, repeats = (2 * BATCH, 2) if given.quick else (8 * BATCH, 25)
    dataset = made_scenes(pictures, size=(480, 640), objects=(10, 10), sides=(30, 150)).without_masks()
    with tempfile.TemporaryDirectory() as folder:
        rows = [compare(dataset, Path(folder), precision, repeats) for precision in ("float32", "bfloat16")]
    report("feature_cache", rows, given.json, headline)


if __name__ == "__main__":
    main()
