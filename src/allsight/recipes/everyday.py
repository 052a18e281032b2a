"""`everyday`: ImageNet's names with their places, and boxes of everyday objects learned from a few photographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from allsight.recipes.settings import ObjectSettings

if TYPE_CHECKING:
    from allsight.data.dataset import Dataset
    from allsight.recipes.job import Job


@dataclass(frozen=True)
class Everyday(ObjectSettings):
    """A narrow RetinaNet on a trunk that is not trained at all, so that the same pass still names ImageNet's classes.

    Command: allsight train everyday COCO256 COCO_MINI --out runs/everyday
    """

    freeze_until: str = "head"
    longest: int = 288
    epochs: int = 60
    learning_rate: float = 2e-3
    scale: tuple[float, float] = (0.6, 1.8)

    def read(self) -> "tuple[Dataset, Dataset, list[str]]":
        """Return all that can be learned from, what is judged by, and what the doctor has to say about them."""
        from allsight.recipes.objects import read_objects

        return read_objects(self.data, self.seed)

    def job(self, train: "Dataset", val: "Dataset", notes: Sequence[str]) -> "Job":
        """Put system, data, measure and schedule together."""
        from allsight.hub import Spec
        from allsight.recipes.objects import object_job

        spec = Spec("everyday", {"classes": Spec("vocabulary", {"names": list(train.object_classes or ())})})
        return object_job(self, train, val, notes, start=spec, saved=spec, left_out=("trunk.", "heads.tags."))
