"""What a training learns from and is judged by: pictures as they come, or the features of a frozen trunk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import torch

from allsight.backbones.pictures.freezing import freeze
from allsight.data.feature_cache import FeatureCache
from allsight.data.features import FeatureSet, collate_features
from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.dataset import Dataset
from allsight.data.pictures.loading import TrainingSet, collate
from allsight.data.views import AugmentedLooks, Looks, PlainLook
from allsight.hub import Model
from allsight.judge.evaluate import Evaluation, evaluate, truth_of
from allsight.models.frozen import AfterTrunk, eyes_of
from allsight.models.system import System
from allsight.predict import Predictor
from allsight.recipes.common.data import Data
from allsight.recipes.common.settings import FewLabels
from allsight.recipes.common.staged import Stage, StagedJob
from allsight.training import TrainingData
from allsight.training.progress import ProgressBar
from allsight.weights.fetch import cache_folder


class Supervision(NamedTuple):
    """What of a job depends on whether the trunk is held still.

    Args:
        learner: what the loop trains.
        data, collate: what it learns from.
        judge: from the learner to its answers on the held-out pictures, beside the truth, computed in float32.
        notes: lines about the features.
    """

    learner: System
    data: TrainingData
    collate: Callable[[list[Any]], Any]
    judge: Callable[[Any], Evaluation]
    notes: tuple[str, ...] = ()

    def job(
        self,
        model: Model,
        stages: Sequence[Stage],
        evaluate: Callable[[Any], Mapping[str, float]],
        notes: Sequence[str],
        finish: Callable[[Model], None] = lambda model: None,
    ) -> StagedJob:
        """Return the training by it; for the arguments see `StagedJob`, whose notes end with those on features."""
        lines = [*notes, *self.notes]
        return StagedJob(model, self.learner, self.data, self.collate, stages, evaluate, finish, lines)


def supervision(settings: FewLabels, model: Model, data: Data, augmentation: Augmentation) -> Supervision:
    """Return what a training learns from and is judged by, as the settings say: features with --frozen, else pictures.

    Raises:
        PictureError, TrainingError: as `on_features`.
    """
    return (on_features if settings.frozen else on_pictures)(settings, model, data, augmentation)


def on_pictures(settings: FewLabels, model: Model, data: Data, augmentation: Augmentation) -> Supervision:
    """Return that of a training on pictures: decoded, augmented and seen anew each time."""
    longest = round(model.inputs.longest * 1.25)
    pictures = TrainingSet(data.train, longest, augmentation, seed=settings.seed)
    return Supervision(
        learner=model.system,
        data=pictures,
        collate=partial(collate, fill=augmentation.fill),
        judge=lambda system: evaluation_of(model, system, data.val),
    )


def evaluation_of(model: Model, system: System, dataset: Dataset) -> Evaluation:
    """Return a system's answers on a data set beside the truth, computed in float32."""
    return evaluate(Predictor(replace(model, system=system), precision="float32"), dataset)


def on_features(settings: FewLabels, model: Model, data: Data, augmentation: Augmentation) -> Supervision:
    """Return that of a training of what stands on the trunk, which is frozen whole.

    The trunk's features are computed here if they are not in the cache, those of held-out pictures in float32.

    Args:
        settings: say how many views, the trunk's precision on them, and the bound of the cache.
        model: with a `Vision`; heads whose weights it does not store do not learn.
        data: the pictures. augmentation: makes all views but the first.

    Raises:
        PictureError: a picture cannot be read. TrainingError: the features are too large for the cache.
    """
    vision: Any = model.system
    freeze(vision.trunk, list(vision.trunk.channels)[-1])
    vision.trunk.to(memory_format=torch.channels_last)  # 13 ms a picture in bfloat16 against 22
    learner = AfterTrunk(vision, [name for name in vision.heads if f"heads.{name}.".startswith(model.left_out or "\0")])
    cache = FeatureCache(cache_folder() / "features", round(settings.cache_gib * 2**30))

    def features(dataset: Dataset, looks: Looks, precision: Literal["float32", "bfloat16"]) -> FeatureSet:
        return FeatureSet(dataset, looks, eyes_of(vision.trunk, learner.wanted, precision), cache)

    plain = PlainLook(model.inputs.frame, augmentation.fill)
    train = features(data.train, AugmentedLooks(augmentation, settings.views), settings.precision)
    val = features(data.val, plain, "float32")
    notes = tuple(line for each in (train, val) for line in _filled(each))
    return Supervision(learner, train, collate_features, partial(evaluation_on_features, features=val), notes)


def _filled(features: FeatureSet) -> list[str]:
    """Compute what the cache lacks, and say so."""
    cache, name, waiting = features.cache, features.dataset.split or "train", features.missing()
    with ProgressBar(len(waiting)) as bar:
        for left in features.fill(waiting):
            bar.advance(f"features of {name} pictures" if left else None)
    lines = [f"{name}: damaged files of features, made anew: {features.damaged}"] if features.damaged else []
    if waiting:
        room = f"{cache.limit / 2**30:g} GiB"
        lines.append(
            f"{name}: features of {len(waiting)} of {len(features)} pictures computed "
            f"({features.bytes / 1e6:.0f} MB in {cache.folder}, which may hold {room})"
        )
    return lines


@torch.inference_mode()
def evaluation_on_features(system: AfterTrunk, *, features: FeatureSet) -> Evaluation:
    """Return a system's answers on features beside the truth, computed in float32."""
    device = next(system.eval().parameters()).device
    predictions = []
    for index in range(len(features)):
        batch = collate_features([features.sample(index)]).to(device)
        predictions += [scene.with_(source=batch.names[0]) for scene in system.decode(system(batch), batch.frames)]
    examples = features.dataset.examples
    truths = tuple(truth_of(example, answer) for example, answer in zip(examples, predictions, strict=True))
    return Evaluation(examples, truths, tuple(predictions))
