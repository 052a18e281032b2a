"""How classifiers are trained and judged."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from allsight.backbones.pictures.freezing import freeze
from allsight.data.formats.catalogue import open_dataset, splits
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.geometry import Crop, Flip, Scale
from allsight.data.split import split
from allsight.errors import TrainingError
from allsight.hub import Model, Spec
from allsight.metrics.classification import mean_average_precision, top_k
from allsight.models.system import System
from allsight.models.vision import Vision
from allsight.recipes.classification.settings import TagSettings
from allsight.recipes.common.card import card_of
from allsight.recipes.common.data import Data, checked, training_window
from allsight.recipes.common.job import Job
from allsight.recipes.common.resamples import few_labels
from allsight.recipes.common.specs import system_specs, vocabulary_spec
from allsight.recipes.common.staged import Stage, StagedJob
from allsight.recipes.common.supervision import Supervision, supervision
from allsight.training import FitConfig, parameter_groups


def read_tags(path: Path, held_out: float, seed: int, *, multi_label: bool = False) -> Data:
    """Return the tagged pictures to learn from, those to be judged by, and what the doctor has to say about them.

    With `multi_label`, pictures that have objects but no tags are tagged by the classes of their objects.

    Raises:
        AnnotationError: the path cannot be read. TrainingError: the data cannot be learned from.
    """
    there = splits(path)
    names = [
        next((n for kind in kinds for n in there if n.startswith(kind)), None)
        for kinds in (("train",), ("val", "test"))
    ]
    if all(names):
        sides = {kind: open_dataset(path, name) for kind, name in zip(("train", "val"), names, strict=True)}
    else:
        sides = split(open_dataset(path), {"train": 1 - held_out, "val": held_out}, seed)
    if sides["train"].tag_classes is None:
        if sides["train"].object_classes is None:
            raise TrainingError(f"{path}: has no tags to learn from; give a folder per class")
        if not multi_label:
            raise TrainingError(f"{path}: has objects but no tags; add --multi-label to learn which classes are there")
        sides = {name: part.without_masks().with_object_tags() for name, part in sides.items()}
    if len(sides["train"].tag_classes or ()) < 2 and not multi_label:
        raise TrainingError(f"{path}: has one class only, so that there is nothing to tell apart; give a second one")
    return checked(sides, path)


def tag_scores(probabilities: Tensor, truth: Tensor, *, multi_label: bool) -> dict[str, float]:
    """Return top-1 and top-5 accuracy, or the mean average precision, of probabilities (N, C) against tags (N, C)."""
    if multi_label:
        return {"mAP": mean_average_precision(probabilities, truth)[0]}
    labels = truth.argmax(1)
    return {f"top{k}": top_k(probabilities, labels, k) for k in (1, 5) if k < probabilities.shape[1]}


def build_classifier(
    settings: TagSettings, *, prepare: Callable[[Vision], None] = lambda system: None, at_once: bool = False
) -> Job:
    """Check the data and put a classifier together, with few labels as its settings say.

    Args:
        settings: of the recipe.
        prepare: is given the system before it learns.
        at_once: leave out the stage in which the last layer learns alone.
    """

    def read(own: TagSettings) -> Data:
        return read_tags(own.data, own.held_out, own.seed, multi_label=own.multi_label)

    def job(own: TagSettings, data: Data) -> StagedJob:
        arguments = {
            "classes": vocabulary_spec(data.train.tag_classes),
            "multi_label": own.multi_label,
            "smoothing": own.smoothing,
        }
        start, saved = system_specs("classifier", own.trunk, own.trunk_weights, **arguments)
        return tag_job(own, data, start=start, saved=saved, prepare=prepare, at_once=at_once)

    return few_labels(settings, read, job)


def tag_job(
    settings: TagSettings,
    data: Data,
    *,
    start: Spec,
    saved: Spec,
    prepare: Callable[[Vision], None],
    at_once: bool,
) -> StagedJob:
    """Put the training of a classifier together: the last layer first, then fine-tuning.

    Args:
        settings: of the recipe. data: as `read_tags` gives it.
        start: builds the system to begin with. saved: builds it for loading the trained weights.
        prepare, at_once: see `build_classifier`.
    """
    train, val, notes = data
    system: Vision = start.build()
    prepare(system)
    fill = tuple(round(x) for x in system.trunk.mean.tolist())
    card = card_of(settings, "tags", train.tag_classes, train, val)
    model = Model(system, saved, PictureInputs(settings.longest, fill=fill), card=card)
    window = training_window(train, settings.longest)
    augmentation = Augmentation(window, (Flip(), Scale(0.9, 1.4), Crop()), fill=fill)
    learned = supervision(settings, model, data, augmentation)

    def scores(learner: System) -> dict[str, float]:
        evaluation = learned.judge(learner)
        pairs = [(p.tags, t.tags) for p, t in zip(evaluation.predictions, evaluation.truths, strict=True)]
        known = [
            (probabilities, true) for probabilities, true in pairs if probabilities is not None and true is not None
        ]
        probabilities, truth = (torch.stack(tags) for tags in zip(*known, strict=True))
        return tag_scores(probabilities, truth, multi_label=settings.multi_label)

    return learned.job(model, _stages(settings, system, learned, len(train), at_once), scores, notes)


def _stages(settings: TagSettings, system: Vision, learned: Supervision, pictures: int, at_once: bool) -> list[Stage]:
    """Return the stages of a training on so many pictures; see `tag_job`."""

    def stage(name: str, epochs: int, rate: float, until: str) -> Stage:
        def begin() -> tuple[dict[str, torch.optim.Optimizer], FitConfig]:
            freeze(system.trunk, until or None)
            groups = parameter_groups(learned.learner, rate, settings.weight_decay)
            times = settings.epochs_of(epochs, max(1, pictures // settings.batch_size))
            config = FitConfig(
                epochs=times,
                batch_size=settings.batch_size,
                precision=settings.precision,
                clip_norm=10.0,
                warmup=10,
                ema_decay=0.98,
                seed=settings.seed,
                evaluate_every=times if settings.few else 1,
                checkpoint_seconds=settings.checkpoint_seconds,
            )
            return {"adamw": torch.optim.AdamW(groups, fused=True)}, config

        return Stage(name, begin)

    rate = settings.frozen_rate if settings.frozen else settings.learning_rate
    first = stage("last_layer", settings.frozen_epochs, rate, list(system.trunk.channels)[-1])
    if settings.frozen or not settings.tuned_epochs:
        return [first]
    second = stage("" if at_once else "fine_tuned", settings.tuned_epochs, settings.tuned_rate, settings.freeze_until)
    return [second] if at_once else [first, second]
