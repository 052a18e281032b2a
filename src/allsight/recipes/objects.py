"""What the recipes of object detectors share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from allsight.backbones.pictures.freezing import freeze
from allsight.data.doctor import check
from allsight.data.formats.catalogue import open_dataset, splits
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset, join
from allsight.data.pictures.geometry import Affine, Crop, Flip, Part, QuarterTurn, Scale
from allsight.data.split import split
from allsight.errors import TrainingError
from allsight.hub import Display, Model, Spec
from allsight.judge.evaluate import Evaluation
from allsight.metrics.coco import coco_scores, enough
from allsight.metrics.detection import threshold_at_best_f1, threshold_at_precision
from allsight.metrics.instances import cross_fitted_bowl
from allsight.models.vision import Vision
from allsight.recipes.card import card_of
from allsight.recipes.job import Job, Stage
from allsight.recipes.parts import Parts, live, on_features
from allsight.recipes.schedule import fit_config
from allsight.recipes.settings import ObjectSettings
from allsight.scene import Vocabulary
from allsight.training import FitConfig, parameter_groups

SHOWN_PRECISION = 0.7  # objects are displayed from the score on at which held-out precision is at least this
LEAST_HITS = 3  # of a class that is right less often than this no precision can be told, and it is not displayed
HELD_OUT = 0.2  # share of pictures that are set aside where the data have no split of their own


def read_objects(paths: Sequence[Path], seed: int, *, masks: bool = False) -> tuple[Dataset, Dataset, list[str]]:
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
    parts = {"train": _joined(train, classes, masks), "val": _joined(val, classes, masks)}
    if masks and not all(_outlined(part) for part in parts.values()):
        raise TrainingError(
            f"{paths[0]}: has no outlines of objects to learn from and be judged by; a detector needs none"
        )
    return checked(parts, paths[0])


def checked(parts: dict[str, Dataset], path: Path) -> tuple[Dataset, Dataset, list[str]]:
    """Return train and val without what cannot be used, and what the doctor has to say about them.

    Raises:
        TrainingError: they cannot be learned from or judged by; `path` is named.
    """
    report = check(parts)
    if report.fatal:
        raise TrainingError(f"{path}: {report.fatal[0]}")
    if not len(report.datasets["val"]):  # now, not after the first epochs
        raise TrainingError(f"{path}: has no usable picture to be judged by; give it a val split, or more pictures")
    return report.datasets["train"], report.datasets["val"], report.lines(each=3)


def learned_and_held_out(paths: Sequence[Path], seed: int) -> tuple[list[Dataset], list[Dataset]]:
    """Return what to learn from of every data set, and what to be judged by of those that have some.

    What has no split called val (or test) is split by chance, unless it is one of several and has one called train:
    another one of them may be judged by.

    Raises:
        AnnotationError: a path cannot be read. TrainingError: there is nothing to be judged by.
    """
    train, val = [], []
    for path in paths:
        there = splits(path)
        held_out = next((name for kind in ("val", "test") for name in there if name.startswith(kind)), None)
        learned = next((name for name in there if name.startswith("train")), None)
        if learned is not None and held_out is not None:
            train.append(open_dataset(path, learned))
            val.append(open_dataset(path, held_out))
        elif len(paths) > 1 and learned is not None:
            train.append(open_dataset(path, learned))
        else:
            parts = split(open_dataset(path), {"train": 1 - HELD_OUT, "val": HELD_OUT}, seed)
            train.append(parts["train"])
            val.append(parts["val"])
    if not val:
        raise TrainingError(f"{paths[0]}: no pictures to be judged by; give a data set with a val split")
    return train, val


def _joined(parts: list[Dataset], classes: Vocabulary, masks: bool) -> Dataset:
    named = [part.with_classes(classes) for part in parts]
    return join(named if masks else [part.without_masks() for part in named])


def _outlined(dataset: Dataset) -> bool:
    return any(example.outlines is not None or example.annotation.masks is not None for example in dataset)


def training_window(dataset: Dataset, longest: int, multiple: int = 32) -> tuple[int, int]:
    """Return the (height, width) of training pictures: the usual shape of the data, the longer side `longest`."""
    sizes = torch.tensor([example.annotation.size for example in dataset], dtype=torch.float64)
    height, width = (sizes / sizes.amax(1, keepdim=True)).median(0).values.tolist()
    return (-(-round(height * longest) // multiple) * multiple, -(-round(width * longest) // multiple) * multiple)


def object_scores(evaluation: Evaluation) -> dict[str, float]:
    """Return COCO's AP50 (the deciding one), AP and AP75."""
    truths, predictions = evaluation.truths, evaluation.predictions
    found = coco_scores(truths, predictions, most=enough(truths))
    return {"AP50": found.ap50, "AP": found.ap, "AP75": found.ap75}


def mask_scores(evaluation: Evaluation) -> dict[str, float]:
    """Return COCO's AP50 of masks (the deciding one), AP, AP75, those of boxes, and the Data Science Bowl's measure."""
    truths, predictions = evaluation.truths, evaluation.predictions
    found = coco_scores(truths, predictions, kind="masks", most=enough(truths))
    masks = {"mask AP50": found.ap50, "mask AP": found.ap, "mask AP75": found.ap75}
    return {**masks, **object_scores(evaluation), "bowl": cross_fitted_bowl(truths, predictions)}


def _geometry(recipe: ObjectSettings, window: tuple[int, int]) -> list[Part]:
    """Return the parts of the augmentation for training pictures of a size."""
    zoom = recipe.longest / max(window)  # a window that is smaller than the model's pictures shows a part of them
    low, high = recipe.frozen_scale if recipe.frozen else recipe.scale
    turns = [QuarterTurn()] if recipe.turned else []
    return [Flip(), *turns, Affine(), Scale(low * zoom, high * zoom), Crop()]


def shown_from(evaluation: Evaluation) -> dict[str, float]:
    """Return the score from which each class is displayed: precise enough on held-out pictures, and well balanced."""
    truths, predictions = evaluation.truths, evaluation.predictions
    precise = threshold_at_precision(truths, predictions, SHOWN_PRECISION, least_hits=LEAST_HITS)
    balanced = threshold_at_best_f1(truths, predictions)
    return {name: round(max(precise[name], balanced[name]), 3) for name in precise}


class Measure(NamedTuple):
    """How a training is judged: `Job.evaluate` and `Job.finish`."""

    scores: Callable[[Any], dict[str, float]]
    finish: Callable[[Model], None]


def object_measure(recipe: ObjectSettings, model: Model, parts: Parts, val: Dataset) -> Measure:
    """Return the measure of a detector: COCO's scores, and at the end the display thresholds."""
    said: list[Evaluation] = []  # what was evaluated last

    def scores(learner: Vision) -> dict[str, float]:
        said[:] = [parts.judge(learner)]
        return (mask_scores if recipe.outlined else object_scores)(said[0])

    def finish(model: Model) -> None:
        once = recipe.few and said  # evaluated at the end alone, and so the weights that were kept
        model.display = Display(shown_from(said[0] if once else parts.judge(parts.learner)))

    return Measure(scores, finish)


def object_job(
    recipe: ObjectSettings,
    train: Dataset,
    val: Dataset,
    notes: Sequence[str],
    *,
    start: Spec,
    saved: Spec,
    left_out: tuple[str, ...] = (),
    measure: Callable[[ObjectSettings, Model, Parts, Dataset], Measure] = object_measure,
    prepare: Callable[[Vision], None] = lambda system: None,
) -> Job:
    """Put the training of a detector together.

    Args:
        recipe: its settings.
        train, val, notes: the data, as `read_objects` gives them.
        start: builds the system to begin with. saved: builds it for loading the trained weights.
        left_out: see `Model`.
        measure: how it is judged, on `val`. prepare: is given the system before it learns.
    """
    system: Vision = start.build()
    prepare(system)
    if recipe.freeze_until:
        freeze(system.trunk, recipe.freeze_until)
    fill = tuple(round(x) for x in system.trunk.mean.tolist())
    preprocessing = PictureInputs(recipe.longest, fill=fill)
    card = card_of(recipe, "objects", train.object_classes, train, val)
    model = Model(system, saved, preprocessing, left_out=left_out, card=card)
    window = training_window(train, round(recipe.longest * recipe.crop))
    augmentation = Augmentation(window, _geometry(recipe, window), fill=fill)
    parts = (on_features if recipe.frozen else live)(recipe, model, train, val, augmentation)

    def begin() -> tuple[dict[str, torch.optim.Optimizer], FitConfig]:
        rate, factors, batch = recipe.learning_rate, {"trunk.": recipe.trunk_rate}, recipe.batch_size
        if recipe.frozen:
            rate, factors, batch = recipe.frozen_rate, {}, recipe.frozen_batch
        groups = parameter_groups(parts.learner, rate, recipe.weight_decay, factors)
        config = fit_config(recipe, len(train), epochs=recipe.epochs, batch_size=batch)
        return {"adamw": torch.optim.AdamW(groups, fused=True)}, config

    measured = measure(recipe, model, parts, val)
    return parts.job(model, [Stage("", begin)], measured.scores, notes, measured.finish)
