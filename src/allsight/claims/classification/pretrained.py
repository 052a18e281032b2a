"""How few labels do: a trunk that knows ImageNet, held still, against the same net from random weights, at every k.

Pictures are counted in all where they have boxes, of each class where they are tagged. Both arms see the same draws
and make the same number of steps. The one from scratch is trained whole from the first step on, on views made anew each
time, and its batch norms learn their statistics ten times as fast as published; so few steps teach it little all the
same.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch.nn import BatchNorm2d

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.claims.method.claim import Claim, Comparison, Run
from allsight.claims.method.training import FULL, trained
from allsight.models.vision import Vision
from allsight.recipes.classification.classifier import Classifier
from allsight.recipes.classification.tags import build_classifier
from allsight.recipes.common.job import Job
from allsight.recipes.common.settings import FewLabels
from allsight.recipes.detection.objects import USUAL, build_detector
from allsight.recipes.detection.retinanet import RetinaNet

ALL = 0
ARMS = ("pretrained", "scratch")


class Scratch:
    """Settings for a trunk that knows nothing; it is evaluated at the end alone, like the frozen one."""

    @property
    def few(self) -> bool:
        """Also with all pictures."""
        return True


@dataclass(frozen=True, kw_only=True)
class ScratchDetector(Scratch, RetinaNet):
    """RetinaNet, every layer from random weights."""

    freeze_until: str = ""
    trunk_rate: float = 1.0
    batch_size: int = RetinaNet.frozen_batch
    scale: tuple[float, float] = RetinaNet.frozen_scale
    learning_rate: float = 1e-2


@dataclass(frozen=True, kw_only=True)
class ScratchClassifier(Scratch, Classifier):
    """The classifier, every layer from random weights, in one stage."""

    freeze_until: str = ""
    tuned_rate: float = 3e-3


def forget(system: Vision) -> None:
    """Give the trunk random weights."""
    trunk = system.trunk
    trunk.load_state_dict(efficientnet_lite0(weights=False).cut(list(trunk.channels)[-1]).state_dict())
    for module in trunk.modules():
        if isinstance(module, BatchNorm2d):
            module.momentum = 0.1  # the published 0.01 would take hundreds of steps to know the statistics


def build_scratch(settings: Any) -> Job:
    """Put the training of an arm from random weights together."""
    if isinstance(settings, ScratchClassifier):
        return build_classifier(settings, prepare=forget, at_once=True)
    return build_detector(settings, "retinanet_narrow", variation=USUAL._replace(prepare=forget))


def detector(data: Path, arm: str, settings: dict[str, Any]) -> FewLabels:
    """Return the recipe of an arm for pictures with boxes."""
    return RetinaNet((data,), frozen=True, **settings) if arm == "pretrained" else ScratchDetector((data,), **settings)


def classifier(data: Path, arm: str, settings: dict[str, Any]) -> FewLabels:
    """Return the recipe of an arm for tagged pictures."""
    return Classifier(data, frozen=True, **settings) if arm == "pretrained" else ScratchClassifier(data, **settings)


class Subject(NamedTuple):
    """A data set of the claim.

    Args:
        data: name of its folder. recipe: `detector` or `classifier`. counts: of labelled pictures. score: the deciding
            one. settings: of both arms. quick: further ones that make it a matter of minutes.
    """

    data: str
    recipe: Any
    counts: tuple[int, ...]
    score: str
    settings: dict[str, Any]
    quick: dict[str, Any]


def name_of(count: int, arm: str) -> str:
    """Return what an arm is called in the record."""
    return f"{count or 'all'} pictures, {arm}"


def score(run: Run, *, subject: Subject, count: int, arm: str) -> float:
    """Train an arm on so many labelled pictures; return its score on the held-out ones."""
    settings = {**subject.settings, **(subject.quick if run.quick else {}), "shots": count}
    recipe = subject.recipe(run.data / subject.data, arm, settings)
    build = build_scratch if isinstance(recipe, Scratch) else None
    return trained(recipe, run, name_of(count, arm), build=build).scores[subject.score]


def claim_on(subject: Subject, what: str) -> Claim:
    """Return the claim for one data set."""
    arms = {
        name_of(count, arm): partial(score, subject=subject, count=count, arm=arm)
        for count in subject.counts
        for arm in ARMS
    }
    return Claim(
        sentence=f"A trunk that knows ImageNet beats random weights, however many labels there are: {what}.",
        source="Yosinski et al. 2014, section 4.2; Kornblith et al. 2019, section 4.4",
        published="pretraining helps most where labels are few; with very many the gap closes (He et al. 2019)",
        measure=f"{subject.score} on held-out pictures of {subject.data}, {subject.settings['longest']} pixels",
        arms=arms,
        comparisons=[Comparison(*(name_of(count, arm) for arm in ARMS)) for count in subject.counts],
    )


BOXES = claim_on(
    Subject(
        data="bccd",
        recipe=detector,
        counts=(1, 2, 5, 10, 20, 50, ALL),
        score="AP50",
        settings=FULL,
        quick={"epochs": 1, "steps": 20, "longest": 96, "views": 2},
    ),
    "boxes of blood cells",
)
PHOTOGRAPHS = claim_on(
    Subject(
        data="caltech7",
        recipe=classifier,
        counts=(1, 2, 5, 10, 20, ALL),
        score="top1",
        settings={"longest": 96},
        quick={"steps": 20, "longest": 64, "views": 2},
    ),
    "photographs of seven kinds of things",
)
THUMBNAILS = claim_on(
    Subject(
        data="cifar100_subset",
        recipe=classifier,
        counts=(1, 2, 5, 10, 20, 50, ALL),
        score="top1",
        settings={"longest": 64, "views": 4, "tuned_epochs": 3},
        quick={"steps": 20, "longest": 32, "views": 1},
    ),
    "thumbnails of a hundred kinds of things",
)
