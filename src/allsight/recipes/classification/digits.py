"""Distorted digits, read with and without spatial transformers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from allsight.recipes.common.ranges import Within
from allsight.recipes.common.settings import Described, Epochs

if TYPE_CHECKING:
    import torch

    from allsight.data.made.digits import DigitSet
    from allsight.models.system import System
    from allsight.recipes.common.job import Job
    from allsight.training import FitConfig


@dataclass(frozen=True, kw_only=True)
class Digits(Described, Epochs):
    """A small net on made pictures of MNIST's digits, seen through spatial transformers (Jaderberg et al. 2015).

    The digits are distorted anew each time that they are seen. The score is the share of the test digits, each
    distorted once, that are read rightly.

    Command: allsight train digits DATA --task rotated --transformers 1 --out runs/digits
    """

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")] = field(kw_only=False)
    """A folder with MNIST's four files, or with others of their form."""
    task: Literal["plain", "rotated", "rts", "cluttered", "addition"] = "rotated"
    """rts: turned, scaled, shifted. cluttered: anywhere among pieces of others. addition: the sum of two turned."""
    transformers: Annotated[int, Within(0, 16)] = 1
    """Side by side; 0 for a plain convolutional net."""
    form: Literal["attention", "affine", "projective", "thin_plate"] = "affine"
    """Of the maps that a transformer chooses from."""
    filters: Annotated[int, Within(1, 4096)] = 32
    """Of both convolutions of the classifier."""
    pictures: Annotated[int, Within(0)] = 0
    """Learn from so many digits; 0 takes all."""
    epochs: int = 10
    batch_size: int = 128
    """Pictures a step."""
    learning_rate: float = 2e-3
    """Of the classifier (AdamW)."""
    localisation_rate: Annotated[float, Within(0, 100)] = 0.3
    """Factor on the learning rate for the transformers, which easily run away."""
    weight_decay: float = 0.01
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the forward pass in training; places are computed in float32 in any case."""
    title: str = "Digits"


def build(settings: Digits) -> "Job":
    """Put system, data, measure and schedule together."""
    from allsight.data.formats.idx import read_idx
    from allsight.data.inputs import PictureInputs
    from allsight.data.made.digits import TASKS, DigitSet
    from allsight.hub import Model, Spec
    from allsight.recipes.common.card import card_of
    from allsight.recipes.common.specs import vocabulary_spec
    from allsight.recipes.common.staged import Stage, StagedJob

    distortion = TASKS[settings.task]
    learned, judged = read_idx(settings.data, "train"), read_idx(settings.data, "test")
    learned = learned.subset(range(settings.pictures or len(learned)))
    train, test = (DigitSet(part, distortion, seed=seed) for part, seed in ((learned, settings.seed), (judged, 0)))
    arguments = {
        "classes": vocabulary_spec(train.classes),
        "transformers": settings.transformers,
        "form": settings.form,
        "size": distortion.size,
        "channels": distortion.digits,
        "filters": settings.filters,
    }
    spec = Spec("digit_net", arguments)
    system = spec.build()
    card = card_of(settings, "tags", train.classes, learned, judged)
    model = Model(system, spec, PictureInputs(distortion.size, multiple=1, fill=(0, 0, 0)), card=card)
    return StagedJob(
        model=model,
        learner=system,
        data=train,
        collate=train.collate,
        stages=[Stage("", lambda: _begin(settings, system))],
        evaluate=lambda learner: accuracy(learner, test),
    )


def _begin(settings: Digits, system: "System") -> "tuple[dict[str, torch.optim.Optimizer], FitConfig]":
    import torch

    from allsight.training import FitConfig, parameter_groups

    factors = {"transformers.": settings.localisation_rate} if settings.transformers else {}
    groups = parameter_groups(system, settings.learning_rate, settings.weight_decay, factors)
    config = FitConfig(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        precision=settings.precision,
        clip_norm=1.0,
        warmup=100,
        seed=settings.seed,
        evaluate_every=settings.epochs,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    return {"adamw": torch.optim.AdamW(groups, fused=True)}, config


def accuracy(system: "System", digits: "DigitSet", batch_size: int = 500) -> dict[str, float]:
    """Return "top1", the share of made pictures that are read rightly, each as epoch 0 makes it."""
    right = 0
    for start in range(0, len(digits), batch_size):
        batch = digits.collate([digits[0, i] for i in range(start, min(start + batch_size, len(digits)))])
        labels = system(batch.pictures).logits.argmax(1).tolist()
        truth = [int(scene.tags.argmax()) for scene in batch.scenes if scene.tags is not None]
        right += sum(map(int.__eq__, labels, truth))
    return {"top1": right / len(digits)}
