"""How a classifier is trained and judged."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from allsight.backbones.pictures.freezing import freeze
from allsight.data.formats.catalogue import open_dataset, splits
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset
from allsight.data.pictures.geometry import Crop, Flip, Scale
from allsight.data.split import split
from allsight.errors import TrainingError
from allsight.hub import Model, Spec
from allsight.metrics.classification import mean_average_precision, top_k
from allsight.models.system import System
from allsight.models.vision import Vision
from allsight.recipes.card import card_of
from allsight.recipes.job import Job, Stage
from allsight.recipes.objects import checked, training_window
from allsight.recipes.parts import live, on_features
from allsight.training import FitConfig, parameter_groups

if TYPE_CHECKING:
    from allsight.recipes.classifier import Classifier


def read_tags(
    path: Path, held_out: float, seed: int, *, multi_label: bool = False
) -> tuple[Dataset, Dataset, list[str]]:
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
        parts = {kind: open_dataset(path, name) for kind, name in zip(("train", "val"), names, strict=True)}
    else:
        parts = split(open_dataset(path), {"train": 1 - held_out, "val": held_out}, seed)
    if parts["train"].tag_classes is None:
        if parts["train"].object_classes is None:
            raise TrainingError(f"{path}: has no tags to learn from; give a folder per class")
        if not multi_label:
            raise TrainingError(f"{path}: has objects but no tags; add --multi-label to learn which classes are there")
        parts = {name: part.without_masks().with_object_tags() for name, part in parts.items()}
    if len(parts["train"].tag_classes or ()) < 2 and not multi_label:
        raise TrainingError(f"{path}: has one class only, so that there is nothing to tell apart; give a second one")
    return checked(parts, path)


def tag_scores(found: Tensor, truth: Tensor, *, multi_label: bool) -> dict[str, float]:
    """Return top-1 and top-5 accuracy, or the mean average precision, of probabilities (N, C) against tags (N, C)."""
    if multi_label:
        return {"mAP": mean_average_precision(found, truth)[0]}
    labels = truth.argmax(1)
    return {f"top{k}": top_k(found, labels, k) for k in (1, 5) if k < found.shape[1]}


def tag_job(
    recipe: "Classifier", train: Dataset, val: Dataset, notes: Sequence[str], *, start: Spec, saved: Spec
) -> Job:
    """Put the training of a classifier together: the last layer first, then fine-tuning.

    Args:
        recipe: its settings. train, val, notes: the data, as `read_tags` gives them.
        start: builds the system to begin with. saved: builds it for loading the trained weights.
    """
    system: Vision = start.build()
    fill = tuple(round(x) for x in system.trunk.mean.tolist())
    card = card_of(recipe, "tags", train.tag_classes, train, val)
    model = Model(system, saved, PictureInputs(recipe.longest, fill=fill), card=card)
    window = training_window(train, recipe.longest)
    augmentation = Augmentation(window, (Flip(), Scale(0.9, 1.4), Crop()), fill=fill)
    parts = (on_features if recipe.frozen else live)(recipe, model, train, val, augmentation)

    def scores(learner: System) -> dict[str, float]:
        said = parts.judge(learner)
        pairs = [(found.tags, true.tags) for found, true in zip(said.predictions, said.truths, strict=True)]
        known = [(found, true) for found, true in pairs if found is not None and true is not None]
        found, truth = (torch.stack(tags) for tags in zip(*known, strict=True))
        return tag_scores(found, truth, multi_label=recipe.multi_label)

    def stage(name: str, epochs: int, rate: float, until: str) -> Stage:
        def begin() -> tuple[dict[str, torch.optim.Optimizer], FitConfig]:
            freeze(system.trunk, until or None)
            groups = parameter_groups(parts.learner, rate, recipe.weight_decay)
            times = recipe.epochs_of(epochs, max(1, len(train) // recipe.batch_size))
            config = FitConfig(
                epochs=times,
                batch_size=recipe.batch_size,
                precision=recipe.precision,
                clip_norm=10.0,
                warmup=10,
                ema_decay=0.98,
                seed=recipe.seed,
                evaluate_every=times if recipe.few else 1,
                checkpoint_seconds=recipe.checkpoint_seconds,
            )
            return {"adamw": torch.optim.AdamW(groups, fused=True)}, config

        return Stage(name, begin)

    rate = recipe.frozen_rate if recipe.frozen else recipe.learning_rate
    stages = [stage("last_layer", recipe.frozen_epochs, rate, list(system.trunk.channels)[-1])]
    if recipe.tuned_epochs and not recipe.frozen:
        stages.append(stage("fine_tuned", recipe.tuned_epochs, recipe.tuned_rate, recipe.freeze_until))
    return parts.job(model, stages, scores, notes)
