"""Settings that several recipes share. Imports no torch, so that help stays fast."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset
    from allsight.recipes.job import Job


@dataclass(frozen=True, kw_only=True)
class FewLabels(ABC):
    """How a system learns where labels are few, and how sure its score is then."""

    frozen: bool = False
    """Hold the whole trunk still and learn from its features, computed once for each picture and view, kept on disk."""
    shots: int = 0
    """Learn from so many labelled pictures, drawn by the seed (of each class where they are tagged); 0 takes all."""
    resamples: int = 1
    """Draw and train so often, with the seeds that follow, and report the mean score and its 95% interval."""
    views: int = 8
    """Views of each picture with --frozen: the whole one, then augmented ones."""
    steps: int = 100
    """Least number of optimiser steps with --frozen or --shots: --epochs of few pictures would be too short."""
    cache_gib: float = 4.0
    """GiB that kept features may take on disk; the longest unused make room for new ones."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Of the forward pass in training."""
    seed: int = 0
    """Of initial weights, order, augmentation, and of what is drawn or held out."""

    @property
    def few(self) -> bool:
        """Whether this is a training with few labels: at least so many steps, one evaluation at the end."""
        return self.frozen or self.shots > 0

    @abstractmethod
    def read(self) -> "tuple[Dataset, Dataset, list[str]]":
        """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""

    @abstractmethod
    def job(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        """Put system, data, measure and schedule together."""

    def drawn(self, train: "Dataset") -> "Dataset":
        """Return the pictures to learn from out of all that there are.

        Raises:
            AnnotationError: there are not so many.
        """
        from allsight.recipes.shots import draw

        return draw(train, self.shots, self.seed) if self.shots else train

    def build(self) -> "Job":
        """Check the data and put system, data, measure and schedule together."""
        train, val, notes = self.read()
        return self.job(self.drawn(train), val, notes)

    def epochs_of(self, epochs: int, steps_per_epoch: int) -> int:
        """Return how often the data are gone through: as asked for, or with few labels until `steps` are made."""
        return max(epochs, -(-self.steps // steps_per_epoch)) if self.few else epochs


@dataclass(frozen=True)
class ObjectSettings(FewLabels):
    """How a detector is trained and described."""

    data: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="DATA ...", help_behavior_hint="")]
    """Annotated pictures in any form that `allsight check` reads; several are joined."""
    freeze_until: str = "c2"
    """Last stage of the trunk that is not trained; "c5" freezes all of it, "" none of it."""
    longest: int = 384
    """Pixels of a picture's longer side in the model."""
    epochs: int = 40
    """Times that the data are gone through."""
    batch_size: int = 8
    """Pictures a step."""
    learning_rate: float = 2e-3
    """Of pyramid and head (AdamW)."""
    trunk_rate: float = 0.1
    """Factor on the learning rate for the trunk."""
    weight_decay: float = 0.02
    """Of AdamW."""
    scale: tuple[float, float] = (0.7, 1.4)
    """Least and greatest random scale of a picture."""
    crop: float = 1.0
    """Side of a training picture as a share of the model's."""
    turned: bool = False
    """Learn from pictures turned by quarters too: those of microscopes have no up and down."""
    frozen_batch: int = 4
    """Pictures a step with --frozen: small, as it is the number of steps that counts where they are few."""
    frozen_rate: float = 1e-2
    """Of pyramid and head with --frozen (AdamW): high, for the same reason."""
    frozen_scale: tuple[float, float] = (0.8, 1.25)
    """Least and greatest scale of a view with --frozen."""
    ema_decay: float = 0.99
    """Of the averaged weights, which are what is kept."""
    evaluate_every: int = 10
    """Epochs between evaluations; the best weights are kept."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; no influence on the result."""
    title: str = "Detector"
    """Heading of the model's card."""
    about: str = ""
    """What the card says of model and data."""
    licence: str = "not stated"
    """Licence of the weights, which follows from the data's."""

    @property
    def outlined(self) -> bool:
        """Whether the masks of objects are learned, and decide."""
        return False
