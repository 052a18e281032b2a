"""`everyday`: one frozen trunk that names what is there and boxes it."""

from allsight.backbones.efficientnet_lite import efficientnet_lite0
from allsight.models.classification.located import LocatedTagHead
from allsight.models.detection.retinanet import narrow_parts
from allsight.models.vision import Vision
from allsight.scene import Vocabulary
from allsight.weights.imagenet import imagenet_classes


def everyday(*, classes: Vocabulary, channels: int = 64, depth: int = 3) -> Vision:
    """Return ImageNet tags with their places and a narrow RetinaNet, on one pass of EfficientNet-Lite0.

    Args:
        classes: of the boxes. channels, depth: of pyramid and subnets; see `retinanet_narrow`.
    """
    trunk = efficientnet_lite0()
    classifier = trunk.get_submodule("_fc")
    trunk.cut("head")
    tags = LocatedTagHead(source="head", classifier=classifier, classes=Vocabulary(imagenet_classes()))  # type: ignore[arg-type]
    neck, objects = narrow_parts(trunk, classes, channels=channels, depth=depth)
    return Vision(trunk=trunk, neck=neck, heads={"tags": tags, "objects": objects})
