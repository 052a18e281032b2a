"""How systems that give every pixel a class are trained and judged."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from allsight.backbones.pictures.freezing import freeze
from allsight.data.formats.catalogue import open_dataset, splits
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset, join
from allsight.data.pictures.geometry import Crop, Flip, Scale
from allsight.data.pictures.jitter import jittered
from allsight.data.split import shots, split
from allsight.errors import TrainingError
from allsight.hub import Model, Spec
from allsight.judge.evaluate import answers
from allsight.judge.region_scores import RegionTally
from allsight.losses.cross_entropy import median_frequency_weights, pixel_cross_entropy
from allsight.losses.dice import dice_loss
from allsight.losses.lovasz import lovasz_softmax
from allsight.losses.relaxation import relaxed_cross_entropy
from allsight.models.segmentation.region_head import RegionHead, RegionLoss
from allsight.models.system import System
from allsight.models.vision import Vision
from allsight.predict import Predictor
from allsight.recipes.common.card import card_of
from allsight.recipes.common.data import Data, checked, training_window
from allsight.recipes.common.job import Job
from allsight.recipes.common.resamples import few_labels
from allsight.recipes.common.schedule import fit_config
from allsight.recipes.common.specs import system_specs, vocabulary_spec
from allsight.recipes.common.staged import Stage, StagedJob
from allsight.recipes.common.supervision import supervision
from allsight.recipes.segmentation.settings import LossName, RegionSettings
from allsight.scene import Scene, Vocabulary
from allsight.training import FitConfig, parameter_groups

LOVASZ_RATE = 1 / 3  # of the learning rate, in the stage that adds the Lovasz loss


def build_segmenter(settings: RegionSettings, system: str, arguments: Mapping[str, Any]) -> Job:
    """Check the data and put a segmenter together, with few labels as its settings say.

    Args:
        settings: of the recipe.
        system: its name in `allsight.systems`; its builder is given a trunk and classes.
        arguments: of the builder besides.
    """

    def job(own: RegionSettings, data: Data) -> StagedJob:
        given = {"classes": vocabulary_spec(data.train.region_classes), **arguments}
        start, saved = system_specs(system, own.trunk, own.trunk_weights, **given)
        return region_job(own, data, start=start, saved=saved)

    return few_labels(settings, read_regions, job, draw_regions)


def draw_regions(settings: RegionSettings, train: Dataset) -> Dataset:
    """Return the pictures to learn from out of all that there are, their borders as careless as the settings say.

    Raises:
        AnnotationError: there are not so many.
    """
    drawn = shots(train, settings.shots, settings.seed) if settings.shots else train
    return jittered(drawn, settings.jitter, seed=settings.seed) if settings.jitter else drawn


def read_regions(settings: RegionSettings) -> Data:
    """Return the label maps to learn from, those to be judged by, and what the doctor has to say about them.

    Masks of objects serve as regions where there are no label maps.

    Raises:
        AnnotationError: the path cannot be read. TrainingError: the data cannot be learned from.
    """
    path, there = settings.data, splits(settings.data)
    named = [
        next((n for n in there for kind in kinds if n.startswith(kind)), None)
        for kinds in (("train",), ("val", "test"))
    ]
    if settings.hold_out:
        sides = _held_out(join([open_dataset(path, name) for name in there]), settings.hold_out)
    elif all(named):
        sides = {kind: open_dataset(path, name) for kind, name in zip(("train", "val"), named, strict=True)}
    else:
        sides = split(open_dataset(path), {"train": 1 - settings.held_out, "val": settings.held_out}, settings.seed)
    sides = {name: part.with_regions() for name, part in sides.items()}
    if sides["train"].region_classes is None:
        raise TrainingError(f"{path}: has no regions to learn from; give label maps or outlines of objects")
    return checked(sides, path)


def _held_out(dataset: Dataset, beginning: str) -> dict[str, Dataset]:
    """Return the pictures whose names do not begin so, and those that do."""
    held = {i for i, example in enumerate(dataset) if example.name.startswith(beginning)}
    if not held or len(held) == len(dataset):
        raise TrainingError(
            f"{dataset.name}: {len(held)} of {len(dataset)} names begin with {beginning!r}; give another"
        )
    rest = (i for i in range(len(dataset)) if i not in held)
    return {"train": dataset.subset(rest, split="train"), "val": dataset.subset(sorted(held), split="val")}


def losses_of(name: LossName, train: Dataset) -> dict[str, RegionLoss]:
    """Return the losses that a setting means, with weights from the data where it asks for them."""
    if name == "weighted":
        classes = len(train.region_classes or ())
        counts = [count for example in train if (count := example.region_counts(classes)) is not None]
        return {"cross_entropy": partial(pixel_cross_entropy, weights=median_frequency_weights(torch.stack(counts)))}
    if name == "relaxed":
        return {"relaxed": relaxed_cross_entropy}
    return {"cross_entropy": pixel_cross_entropy} | ({"dice": dice_loss} if name == "dice" else {})


def _times(weight: float, loss: RegionLoss, logits: Tensor, truth: Tensor) -> Tensor:
    return weight * loss(logits, truth)


def _stage(
    settings: RegionSettings,
    system: Vision,
    learner: System,
    pictures: int,
    name: str = "",
    *,
    epochs: int,
    rate: float,
    losses: dict[str, RegionLoss],
    until: str,
) -> Stage:
    """Return a stage in which the trunk learns behind `until` ("" all of it), unless it is held still for good.

    Args:
        learner: what the loop trains, the system or what stands on its trunk.
        pictures: how many there are to learn from. name: of the stage.
    """

    def begin() -> tuple[dict[str, torch.optim.Optimizer], FitConfig]:
        for head in system.heads.values():
            if isinstance(head, RegionHead):
                head.losses = losses
        if not settings.frozen:
            freeze(system.trunk, until or None)
        factors = {} if settings.frozen else {"trunk.": settings.trunk_rate}
        groups = parameter_groups(learner, rate, settings.weight_decay, factors)
        config = fit_config(settings, pictures, epochs=epochs, batch_size=settings.batch_size)
        return {"adamw": torch.optim.AdamW(groups, fused=True)}, config

    return Stage(name, begin)


def region_job(settings: RegionSettings, data: Data, *, start: Spec, saved: Spec) -> StagedJob:
    """Put the training of a segmenter together: one stage, and a second one with the Lovasz loss if it is asked for.

    In the second stage the whole trunk learns.

    Args:
        settings: of the recipe. data: as `read_regions` gives it.
        start: builds the system to begin with. saved: builds it for loading the trained weights.
    """
    train, val, notes = data
    system: Vision = start.build()
    fill = tuple(round(x) for x in system.trunk.mean.tolist())
    model = Model(
        system,
        saved,
        PictureInputs(settings.longest, fill=fill),
        card=card_of(settings, "regions", train.region_classes, train, val),
    )
    window = training_window(train, round(settings.longest * settings.crop))
    zoom = settings.longest / max(window)
    augmentation = Augmentation(window, (Flip(), Scale(*(zoom * s for s in settings.scale)), Crop()), fill=fill)
    learned = supervision(settings, model, data, augmentation)
    losses = losses_of(settings.loss, train)

    def scores(learner: System) -> dict[str, float]:
        # What learns is the model's system or a part of it, so that the model says what there is to judge.
        tally = RegionTally(val.region_classes or Vocabulary(()))
        for example, answer in answers(Predictor(model, precision="float32"), val):
            if isinstance(answer, Scene):
                tally.add(answer, example.scene)
        return tally.summary()

    stage = partial(_stage, settings, system, learned.learner, len(train))
    rate = settings.learning_rate
    stages = [stage(epochs=settings.epochs, rate=rate, losses=losses, until=settings.freeze_until)]
    if settings.lovasz_epochs:
        weighted = partial(_times, settings.lovasz_weight, lovasz_softmax)
        both = losses | ({"lovasz": weighted} if settings.lovasz_weight else {})
        stages.append(stage("lovasz", epochs=settings.lovasz_epochs, rate=rate * LOVASZ_RATE, losses=both, until=""))
    return learned.job(model, stages, scores, notes)
