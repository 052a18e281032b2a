"""Settings that several recipes share. Imports no torch, so that help stays fast."""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from allsight.recipes.common.ranges import Within


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the card of a model begins with."""

    title: str = ""
    """Heading of the model's card."""
    about: str = ""
    """What the card says of model and data."""
    licence: str = "not stated"
    """Licence of the weights, which follows from the data's."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What the settings of every recipe have."""

    seed: Annotated[int, Within(0, 2**32 - 1)] = 0
    """Of whatever is drawn: initial weights, order, augmentation, and what is made, drawn or held out."""

    def jobs(self) -> dict[str, Self]:
        """Return the settings of each training, by the name of its folder in the run's; "" for that folder itself."""
        return {"": self}


@dataclass(frozen=True, kw_only=True)
class OnTrunk:
    """What a system stands on."""

    trunk: str = "efficientnet_lite0"
    """Name of a trunk; see `allsight models`."""
    trunk_weights: str = ""
    """A torchvision checkpoint to begin with, for trunks whose weights are not on PyPI (ResNet, VGG, ...)."""


@dataclass(frozen=True, kw_only=True)
class Schedule(Recipe):
    """How large the steps of a training are."""

    batch_size: Annotated[int, Within(1, 4096)] = 8
    """Pictures a step."""
    learning_rate: Annotated[float, Within(0, 100)] = 2e-3
    """Of pyramid and heads (AdamW)."""
    weight_decay: Annotated[float, Within(0, 100)] = 0.02
    """Of AdamW."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the forward pass in training."""
    checkpoint_seconds: Annotated[float, Within(0)] = 60.0
    """Least time between checkpoints; no influence on the result."""


@dataclass(frozen=True, kw_only=True)
class Epochs(Schedule):
    """How long one training is."""

    epochs: Annotated[int, Within(1)] = 40
    """Times that the data are gone through."""


@dataclass(frozen=True, kw_only=True)
class FineTuning(Epochs):
    """How a trunk learns with what stands on it."""

    trunk_rate: Annotated[float, Within(0, 100)] = 0.1
    """Factor on the learning rate for the trunk."""
    ema_decay: Annotated[float, Within(0, 1)] = 0.99
    """Of the averaged weights, which are what is kept."""


@dataclass(frozen=True, kw_only=True)
class FewLabels(Schedule):
    """How a system learns where labels are few, and how sure its score is then."""

    frozen: bool = False
    """Hold the whole trunk still and learn from its features, computed once for each picture and view, kept on disk."""
    shots: Annotated[int, Within(0)] = 0
    """Learn from so many labelled pictures, drawn by the seed (of each class where they are tagged); 0 takes all."""
    resamples: Annotated[int, Within(1, 1000)] = 1
    """Draw and train so often, with the seeds that follow, and report the mean score and its 95% interval."""
    views: Annotated[int, Within(1, 1000)] = 8
    """Views of each picture with --frozen: the whole one, then augmented ones."""
    steps: Annotated[int, Within(0)] = 100
    """Least number of optimiser steps with --frozen or --shots: --epochs of few pictures would be too short."""
    cache_gib: Annotated[float, Within(0)] = 4.0
    """GiB that kept features may take on disk; the longest unused make room for new ones."""

    @property
    def few(self) -> bool:
        """Whether this is a training with few labels: at least so many steps, one evaluation at the end."""
        return self.frozen or self.shots > 0

    def epochs_of(self, epochs: int, steps_per_epoch: int) -> int:
        """Return how often the data are gone through: as asked for, or with few labels until `steps` are made."""
        return max(epochs, -(-self.steps // steps_per_epoch)) if self.few else epochs

    def jobs(self) -> dict[str, Self]:
        """Return the settings of each training by the name of its folder: one for each resample."""
        if self.resamples == 1:
            return {"": self}
        seeds = range(self.seed, self.seed + self.resamples)
        return {f"resample-{i}": replace(self, seed=seed, resamples=1) for i, seed in enumerate(seeds)}


@dataclass(frozen=True, kw_only=True)
class DenseSettings(FineTuning, FewLabels):
    """How a system that answers for places in the picture learns, from objects or regions."""

    freeze_until: str = ""
    """Last stage of the trunk that is not trained; "c5" freezes all of it, "" none of it."""
    longest: Annotated[int, Within(32, 8192)] = 384
    """Pixels of a picture's longer side in the model."""
    scale: Annotated[tuple[float, float], Within(0.01, 100)] = (0.7, 1.4)
    """Least and greatest random scale of a picture."""
    crop: Annotated[float, Within(0.1, 1)] = 1.0
    """Side of a training picture as a share of the model's."""
    evaluate_every: Annotated[int, Within(1)] = 10
    """Epochs between evaluations; the best weights are kept."""
