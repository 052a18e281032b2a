"""All heads on one trunk, on made scenes of which everything is known."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from allsight.recipes.common.ranges import Within
from allsight.recipes.common.settings import Described, FineTuning, OnTrunk

if TYPE_CHECKING:
    import torch

    from allsight.recipes.common.job import Job
    from allsight.scene import Scene
    from allsight.training import FitConfig

UNSEEN = 10_000  # added to the seed: the scenes to be judged by are made of other random numbers


@dataclass(frozen=True, kw_only=True)
class StillLifes(Described, OnTrunk, FineTuning):
    """Tags, boxes, masks, regions, depth and normals from one trunk in one pass, on solids before a wall.

    With one name in --heads it trains that head alone, nothing else changed: the twin that the joint model is judged
    by. The deciding score is the mean of each head's own.

    Command: allsight train still_lifes --out runs/everything
    """

    heads: tuple[Literal["tags", "objects", "regions", "depth", "normals"], ...] = field(
        default=("tags", "objects", "regions", "depth", "normals"), kw_only=False
    )
    """What the model answers with."""
    pictures: Annotated[int, Within(0)] = 1500
    """Made to learn from."""
    held_out: int = 200
    """Made to be judged by."""
    longest: Annotated[int, Within(32, 8192)] = 128
    """Pixels of a picture's longer side; the shorter one has three quarters."""
    epochs: int = 12
    batch_size: int = 16
    trunk_rate: float = 0.25
    title: str = "Everything"
    licence: str = "Apache-2.0"


def build(settings: StillLifes) -> "Job":
    """Make the pictures and put the training together."""
    from allsight.data.inputs import PictureInputs
    from allsight.data.made.still_lifes import SOLIDS, SURFACES, still_lifes
    from allsight.data.pictures.loading import TrainingSet, collate
    from allsight.hub import Model
    from allsight.judge.evaluate import answers
    from allsight.predict import Predictor
    from allsight.recipes.common.card import card_of
    from allsight.recipes.common.specs import system_specs, vocabulary_spec
    from allsight.recipes.common.staged import Stage, StagedJob
    from allsight.scene import Scene

    size = (settings.longest * 3 // 4, settings.longest)
    train = still_lifes(settings.pictures, seed=settings.seed, size=size)
    val = still_lifes(settings.held_out, seed=settings.seed + UNSEEN, size=size)
    solids, surfaces = vocabulary_spec(SOLIDS), vocabulary_spec(SURFACES)
    names = {"object_classes": solids, "region_classes": surfaces, "tag_classes": solids}
    heads = list(settings.heads)
    start, saved = system_specs("sees_all", settings.trunk, settings.trunk_weights, heads=heads, **names)
    system = start.build()
    card = card_of(settings, "objects", SOLIDS, train, val)
    model = Model(system, saved, PictureInputs(settings.longest), card=card)

    def scores(learner: "torch.nn.Module") -> dict[str, float]:
        pairs = [
            (example.annotation, answer)
            for example, answer in answers(Predictor(model, precision="float32"), val)
            if isinstance(answer, Scene)
        ]
        truths, predictions = zip(*pairs, strict=True)
        return everything_scores(truths, predictions, settings.heads)

    return StagedJob(
        model=model,
        learner=system,
        data=TrainingSet(train, settings.longest, seed=settings.seed),
        collate=collate,
        stages=[Stage("", lambda: _begin(settings, system))],
        evaluate=scores,
    )


def _begin(settings: StillLifes, system: "torch.nn.Module") -> "tuple[dict[str, torch.optim.Optimizer], FitConfig]":
    import torch

    from allsight.training import FitConfig, parameter_groups

    factors = {"trunk.": settings.trunk_rate}
    groups = parameter_groups(system, settings.learning_rate, settings.weight_decay, factors)
    config = FitConfig(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        precision=settings.precision,
        clip_norm=10.0,
        warmup=100,
        ema_decay=settings.ema_decay,
        seed=settings.seed,
        evaluate_every=settings.epochs,
        checkpoint_seconds=settings.checkpoint_seconds,
    )
    return {"adamw": torch.optim.AdamW(groups, fused=True)}, config


def everything_scores(
    truths: "Sequence[Scene]", predictions: "Sequence[Scene]", heads: Sequence[str]
) -> dict[str, float]:
    """Return the scores of the heads that there are, each in [0, 1], and before them the mean over heads.

    Tags: mean average precision. Objects: AP50 of masks and of boxes. Regions: mean IoU. Depth: share of pixels within
    a factor of 1.25. Normals: share within 11.25 degrees. Objects and regions together: panoptic quality.
    """
    import torch

    from allsight.metrics.classification import mean_average_precision
    from allsight.metrics.coco import coco_scores
    from allsight.metrics.panoptic import panoptic_scores
    from allsight.metrics.segmentation import RegionCounts
    from allsight.metrics.surfaces import depth_scores, normal_scores

    scores: dict[str, float] = {}
    if "tags" in heads:
        given, true = (torch.stack([s.tags for s in scenes if s.tags is not None]) for scenes in (predictions, truths))
        scores["tags"] = mean_average_precision(given, true)[0]
    if "objects" in heads:
        scores["objects"] = coco_scores(truths, predictions, kind="masks").ap50
    if "regions" in heads:
        counts = RegionCounts(len(truths[0].region_classes or ()))
        for truth, prediction in zip(truths, predictions, strict=True):
            assert truth.regions is not None and prediction.regions is not None
            counts.add(prediction.regions, truth.regions)
        scores["regions"] = counts.scores().mean_iou
    if "depth" in heads:
        scores["depth"] = depth_scores(truths, predictions).within[0]
    if "normals" in heads:
        scores["normals"] = normal_scores(truths, predictions).within[0]
    scores = {"mean": sum(scores.values()) / len(scores), **scores}
    if "objects" in heads:
        scores["boxes"] = coco_scores(truths, predictions).ap50
    if {"objects", "regions"} <= set(heads):
        scores["panoptic"] = panoptic_scores(truths, predictions).pq
    return scores
