"""How systems that find objects are trained and judged."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from allsight.backbones.pictures.freezing import freeze
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset, join
from allsight.data.pictures.geometry import Affine, Crop, Flip, Part, QuarterTurn, Scale
from allsight.errors import TrainingError
from allsight.hub import Model, Spec
from allsight.models.vision import Vision
from allsight.recipes.common.card import card_of
from allsight.recipes.common.data import Data, checked, learned_and_held_out, training_window
from allsight.recipes.common.job import Job
from allsight.recipes.common.resamples import few_labels
from allsight.recipes.common.schedule import fit_config
from allsight.recipes.common.specs import system_specs, vocabulary_spec
from allsight.recipes.common.staged import Stage, StagedJob
from allsight.recipes.common.supervision import Supervision, supervision
from allsight.recipes.detection.measure import Measure, object_measure
from allsight.recipes.detection.settings import DetectorSettings, ObjectSettings
from allsight.scene import Vocabulary
from allsight.training import FitConfig, parameter_groups


def _one_stage(settings: ObjectSettings, usual: Stage, model: Model, learned: Supervision) -> list[Stage]:
    return [usual]


class Variation(NamedTuple):
    """In what the training of a system that finds objects differs from the usual one.

    Args:
        left_out: see `Model`.
        measure: how it is judged, on the held-out pictures.
        prepare: is given the system before it learns.
        stages: from the settings, the usual stage, the model and its supervision to the stages of the training.
        collate: from the usual way that examples become a batch to another.
    """

    left_out: tuple[str, ...] = ()
    measure: Callable[[ObjectSettings, Model, Supervision, Dataset], Measure] = object_measure
    prepare: Callable[[Vision], None] = lambda system: None
    stages: Callable[[Any, Stage, Model, Supervision], Sequence[Stage]] = _one_stage
    collate: Callable[[Callable[[list[Any]], Any]], Callable[[list[Any]], Any]] = lambda usual: usual


USUAL = Variation()


def build_detector(
    settings: DetectorSettings,
    system: str,
    arguments: dict[str, Any] | None = None,
    *,
    variation: Variation = USUAL,
) -> Job:
    """Check the data and put a detector on a trunk together, with few labels as its settings say.

    Args:
        settings: of the recipe.
        system: its name in `allsight.systems`; its builder is given a trunk and classes.
        arguments: of the builder besides.
        variation: in what its training is unusual.
    """

    def job(own: DetectorSettings, data: Data) -> StagedJob:
        given = {"classes": vocabulary_spec(data.train.object_classes), **(arguments or {})}
        start, saved = system_specs(system, own.trunk, own.trunk_weights, **given)
        return object_job(own, data, start=start, saved=saved, variation=variation)

    return few_labels(settings, read, job)


def read(settings: ObjectSettings) -> Data:
    """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""
    return read_objects(settings.data, settings.seed, masks=settings.outlined)


def read_objects(paths: Sequence[Path], seed: int, *, masks: bool = False) -> Data:
    """Return the objects to learn from, those to be judged by, and what the doctor has to say about them.

    Several data sets are joined under the classes of the first one and whatever classes the others add; see
    `learned_and_held_out`. Without `masks` these are left out, because they cost time.

    Raises:
        AnnotationError: a path cannot be read. TrainingError: the data cannot be learned from.
    """
    train, val = learned_and_held_out(paths, seed)
    for path, part in zip(paths, train, strict=True):
        if part.object_classes is None:
            raise TrainingError(f"{path}: has no boxes to learn from; give pictures with annotated objects")
    classes = Vocabulary.union([part.object_classes for part in train if part.object_classes is not None])
    sides = {"train": _joined(train, classes, masks), "val": _joined(val, classes, masks)}
    if masks and not all(_outlined(part) for part in sides.values()):
        raise TrainingError(
            f"{paths[0]}: has no outlines of objects to learn from and be judged by; a detector needs none"
        )
    return checked(sides, paths[0])


def _joined(parts: list[Dataset], classes: Vocabulary, masks: bool) -> Dataset:
    named = [part.with_classes(classes) for part in parts]
    return join(named if masks else [part.without_masks() for part in named])


def _outlined(dataset: Dataset) -> bool:
    return any(example.outlines is not None or example.annotation.masks is not None for example in dataset)


def _geometry(settings: ObjectSettings, window: tuple[int, int]) -> list[Part]:
    """Return the parts of the augmentation for training pictures of a size."""
    zoom = settings.longest / max(window)  # a window that is smaller than the model's pictures shows a part of them
    low, high = settings.frozen_scale if settings.frozen else settings.scale
    turns = [QuarterTurn()] if settings.turned else []
    return [Flip(), *turns, Affine(), Scale(low * zoom, high * zoom), Crop()]


def object_job(
    settings: ObjectSettings, data: Data, *, start: Spec, saved: Spec, variation: Variation = USUAL
) -> StagedJob:
    """Put the training of a system that finds objects together.

    Args:
        settings: of the recipe. data: as `read_objects` gives it.
        start: builds the system to begin with. saved: builds it for loading the trained weights.
        variation: in what the training is unusual.
    """
    system: Vision = start.build()
    variation.prepare(system)
    if settings.freeze_until:
        freeze(system.trunk, settings.freeze_until)
    fill = tuple(round(x) for x in system.trunk.mean.tolist())
    inputs = PictureInputs(settings.longest, fill=fill)
    card = card_of(settings, "objects", data.train.object_classes, data.train, data.val)
    model = Model(system, saved, inputs, left_out=variation.left_out, card=card)
    window = training_window(data.train, round(settings.longest * settings.crop))
    augmentation = Augmentation(window, _geometry(settings, window), fill=fill)
    usual = supervision(settings, model, data, augmentation)
    learned = usual._replace(collate=variation.collate(usual.collate))

    def begin() -> tuple[dict[str, torch.optim.Optimizer], FitConfig]:
        rate, factors, batch = settings.learning_rate, {"trunk.": settings.trunk_rate}, settings.batch_size
        if settings.frozen:
            rate, factors, batch = settings.frozen_rate, {}, settings.frozen_batch
        groups = parameter_groups(learned.learner, rate, settings.weight_decay, factors)
        config = fit_config(settings, len(data.train), epochs=settings.epochs, batch_size=batch)
        return {"adamw": torch.optim.AdamW(groups, fused=True)}, config

    measure = variation.measure(settings, model, learned, data.val)
    stages = variation.stages(settings, Stage("", begin), model, learned)
    return learned.job(model, stages, measure.scores, data.notes, measure.finish)
