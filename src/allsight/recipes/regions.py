"""What the recipes for regions share."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from allsight.backbones.pictures.freezing import freeze
from allsight.data.formats.catalogue import open_dataset, splits
from allsight.data.inputs import PictureInputs
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset, join
from allsight.data.pictures.geometry import Crop, Flip, Scale
from allsight.data.split import split
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
from allsight.recipes.card import card_of
from allsight.recipes.job import Job, Stage
from allsight.recipes.objects import checked, training_window
from allsight.recipes.parts import live, on_features
from allsight.recipes.region_settings import LossName, RegionSettings
from allsight.recipes.schedule import fit_config
from allsight.scene import Scene, Vocabulary
from allsight.training import FitConfig, parameter_groups

LOVASZ_RATE = 1 / 3  # of the learning rate, in the stage that adds the Lovasz loss


def read_regions(recipe: RegionSettings) -> tuple[Dataset, Dataset, list[str]]:
    """Return the label maps to learn from, those to be judged by, and what the doctor has to say about them.

    Masks of objects serve as regions where there are no label maps.

    Raises:
        AnnotationError: the path cannot be read. TrainingError: the data cannot be learned from.
    """
    path, there = recipe.data, splits(recipe.data)
    named = [
        next((n for n in there for kind in kinds if n.startswith(kind)), None)
        for kinds in (("train",), ("val", "test"))
    ]
    if recipe.hold_out:
        parts = _held_out(join([open_dataset(path, name) for name in there]), recipe.hold_out)
    elif all(named):
        parts = {kind: open_dataset(path, name) for kind, name in zip(("train", "val"), named, strict=True)}
    else:
        parts = split(open_dataset(path), {"train": 1 - recipe.held_out, "val": recipe.held_out}, recipe.seed)
    parts = {name: part.with_regions() for name, part in parts.items()}
    if parts["train"].region_classes is None:
        raise TrainingError(f"{path}: has no regions to learn from; give label maps or outlines of objects")
    return checked(parts, path)


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
    recipe: RegionSettings,
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
        if not recipe.frozen:
            freeze(system.trunk, until or None)
        factors = {} if recipe.frozen else {"trunk.": recipe.trunk_rate}
        groups = parameter_groups(learner, rate, recipe.weight_decay, factors)
        config = fit_config(recipe, pictures, epochs=epochs, batch_size=recipe.batch_size)
        return {"adamw": torch.optim.AdamW(groups, fused=True)}, config

    return Stage(name, begin)


def region_job(
    recipe: RegionSettings, train: Dataset, val: Dataset, notes: Sequence[str], *, start: Spec, saved: Spec
) -> Job:
    """Put the training of a segmenter together: one stage, and a second one with the Lovasz loss if it is asked for.

    In the second stage the whole trunk learns.

    Args:
        recipe: its settings. train, val, notes: the data, as `read_regions` gives them.
        start: builds the system to begin with. saved: builds it for loading the trained weights.
    """
    system: Vision = start.build()
    fill = tuple(round(x) for x in system.trunk.mean.tolist())
    model = Model(
        system,
        saved,
        PictureInputs(recipe.longest, fill=fill),
        card=card_of(recipe, "regions", train.region_classes, train, val),
    )
    window = training_window(train, round(recipe.longest * recipe.crop))
    zoom = recipe.longest / max(window)
    augmentation = Augmentation(window, (Flip(), Scale(*(zoom * s for s in recipe.scale)), Crop()), fill=fill)
    parts = (on_features if recipe.frozen else live)(recipe, model, train, val, augmentation)
    losses = losses_of(recipe.loss, train)

    def scores(learner: System) -> dict[str, float]:
        # What learns is the model's system or a part of it, so that the model says what there is to judge.
        tally = RegionTally(val.region_classes or Vocabulary(()))
        for example, said in answers(Predictor(model, precision="float32"), val):
            if isinstance(said, Scene):
                tally.add(said, example.scene)
        return tally.summary()

    stage = partial(_stage, recipe, system, parts.learner, len(train))
    rate = recipe.learning_rate
    stages = [stage(epochs=recipe.epochs, rate=rate, losses=losses, until=recipe.freeze_until)]
    if recipe.lovasz_epochs:
        lovasz = {"lovasz": partial(_times, recipe.lovasz_weight, lovasz_softmax)} if recipe.lovasz_weight else {}
        both = losses | lovasz
        stages.append(stage("lovasz", epochs=recipe.lovasz_epochs, rate=rate * LOVASZ_RATE, losses=both, until=""))
    return parts.job(model, stages, scores, notes)
