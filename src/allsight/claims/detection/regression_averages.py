"""Quadratic regression of a box averages several targets; classifying, then refining, picks one."""

from functools import partial

import torch

from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.data.made.shapes import made_scenes
from allsight.data.pictures.loading import TrainingSet, collate
from allsight.models.detection.box_regression import WAYS
from allsight.ops.boxes import pairwise_iou
from allsight.training import FitConfig, TrainingStep, fit

SIDE = 64
HELD_OUT = 500
UNSEEN = 10_000  # added to the seed: the pictures to be judged by are made of other random numbers


def overlap(run: Run, *, way: str) -> float:
    """Train one way of answering on pictures of several objects; return its mean IoU with the nearest object.

    Args:
        run: seed and size. way: of `WAYS`.
    """
    count, epochs = (400, 8) if run.quick else (2000, 30)
    torch.manual_seed(run.seed)
    system = WAYS[way](SIDE)
    fit(
        TrainingStep(system),
        {"adam": torch.optim.AdamW(system.parameters(), lr=2e-3)},
        TrainingSet(made_scenes(count, seed=run.seed, objects=(2, 3)), SIDE, seed=run.seed),
        config=FitConfig(epochs=epochs, batch_size=32, warmup=20, seed=run.seed, checkpoint_seconds=1e9),
        out=run.scratch / f"{way}-{run.seed}{'-quick' if run.quick else ''}",
        collate=collate,
        resume=True,
    )
    held_out = made_scenes(HELD_OUT, seed=UNSEEN + run.seed, objects=(2, 3))
    overlaps = []
    with torch.inference_mode():
        for start in range(0, HELD_OUT, 100):
            examples = [held_out[i] for i in range(start, start + 100)]
            batch = collate([TrainingSet(held_out, SIDE).load(i) for i in range(start, start + 100)])
            for found, example in zip(system.decode(system(batch.pictures), batch.frames), examples, strict=True):
                assert found.boxes is not None
                assert example.annotation.boxes is not None
                overlaps.append(float(pairwise_iou(found.boxes, example.annotation.boxes).max()))
    return sum(overlaps) / len(overlaps)


CLAIM = Claim(
    sentence="Regressing a box with a quadratic loss averages several objects; classifying, then refining, picks one.",
    source="the minimiser of the squared distance is the conditional mean (Bishop 2006, section 1.5.5)",
    published="none: a property of the loss",
    measure="mean IoU with the nearest of two or three objects",
    arms={way: partial(overlap, way=way) for way in WAYS},
    comparisons=[Comparison("refined", "quadratic"), Comparison("classified", "quadratic")],
)
