"""RetinaNet: a feature pyramid, a dense head, focal loss (Lin et al. 2017, "Focal loss for dense object detection")."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.layers.conv import DepthwiseSeparable, Tower
from allsight.layers.fpn import FeaturePyramid
from allsight.losses.boxes import giou
from allsight.losses.focal import sigmoid_focal_loss
from allsight.losses.hard_negatives import hard_negative_loss
from allsight.models.detection.anchors import Anchors
from allsight.models.detection.dense import DenseHead, set_prior
from allsight.models.detection.torchvision_keys import TorchvisionAnchors
from allsight.models.vision import Vision
from allsight.scene import Vocabulary

TRUNK_MAPS = ("c3", "c4", "c5")
ClassLoss = Literal["focal", "hard_negatives", "cross_entropy"]
CLASS_LOSSES: dict[ClassLoss, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "focal": sigmoid_focal_loss,
    "hard_negatives": hard_negative_loss,
    "cross_entropy": partial(sigmoid_focal_loss, alpha=-1.0, gamma=0.0),
}


def retinanet(
    *,
    trunk: Trunk,
    classes: Vocabulary,
    channels: int = 256,
    depth: int = 4,
    class_loss: ClassLoss = "focal",
    torchvision: bool = False,
) -> Vision:
    """Return the paper's form: p3 to p7, two subnets of four 3x3 convolutions of 256 channels, smooth L1.

    Args:
        trunk: gives c3, c4, c5.
        classes: of objects.
        channels: width of pyramid and subnets.
        depth: hidden convolutions of a subnet.
        class_loss: see `retinanet_narrow`.
        torchvision: take p6 from p5 and anchors as its published weights were trained with; see
            `allsight.models.detection.torchvision_keys`.
    """
    maps = {name: trunk.channels[name] for name in TRUNK_MAPS}
    neck = FeaturePyramid(maps, channels, extra_from="pyramid" if torchvision else "trunk")
    anchors = (TorchvisionAnchors if torchvision else Anchors)(_strides(trunk, len(neck.outputs)))
    head = DenseHead(
        inputs=neck.outputs,
        classification=Tower(channels, anchors.per_cell * len(classes), depth=depth),
        regression=Tower(channels, anchors.per_cell * 4, depth=depth),
        anchors=anchors,
        classes=classes,
        class_loss=CLASS_LOSSES[class_loss],
    )
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    set_prior(head.classification)
    return Vision(trunk=_without_classifier(trunk), neck=neck, heads={"objects": head})


def retinanet_narrow(
    *,
    trunk: Trunk,
    classes: Vocabulary,
    channels: int = 64,
    depth: int = 3,
    anchor_size: float = 3.0,
    class_loss: ClassLoss = "focal",
) -> Vision:
    """Return the form that we ship: depthwise separable convolutions, batch norms per level, GIoU loss.

    With 64 channels it weighs 0.2 million parameters against 8 million of the paper's pyramid and
    subnets over the same trunk.

    Args:
        trunk: gives c3, c4, c5.
        classes: of objects.
        channels: width of pyramid and subnets.
        depth: hidden convolutions of a subnet.
        anchor_size: side of the square anchor of scale 1, in strides. Less than the paper's 4, because pictures of
            320 pixels show smaller objects than pictures of 800.
        class_loss: how the many easy negatives are dealt with: focal loss, the hardest ones alone, or not at all.
    """
    neck, head = narrow_parts(
        trunk, classes, channels=channels, depth=depth, anchor_size=anchor_size, class_loss=class_loss
    )
    return Vision(trunk=_without_classifier(trunk), neck=neck, heads={"objects": head})


def narrow_parts(
    trunk: Trunk,
    classes: Vocabulary,
    *,
    channels: int,
    depth: int,
    anchor_size: float = 3.0,
    class_loss: ClassLoss = "focal",
) -> tuple[FeaturePyramid, DenseHead]:
    """Return the pyramid and the head of `retinanet_narrow`, for systems that put them beside other heads."""
    neck = FeaturePyramid({name: trunk.channels[name] for name in TRUNK_MAPS}, channels, block=DepthwiseSeparable)
    levels = len(neck.outputs)
    anchors = Anchors(_strides(trunk, levels), size=anchor_size)

    def tower(out: int) -> Tower:
        return Tower(channels, anchors.per_cell * out, depth=depth, block=DepthwiseSeparable, levels=levels)

    head = DenseHead(
        inputs=neck.outputs,
        classification=tower(len(classes)),
        regression=tower(4),
        anchors=anchors,
        classes=classes,
        class_loss=CLASS_LOSSES[class_loss],
        box_loss=giou,
    )
    set_prior(head.classification)
    return neck, head


def _strides(trunk: Trunk, levels: int) -> list[int]:
    return [trunk.strides[TRUNK_MAPS[0]] * 2**i for i in range(levels)]


def _without_classifier(trunk: Trunk) -> Trunk:
    """Cut what lies behind c5: it would never be used, and distributed training wants every parameter used."""
    return trunk.cut(TRUNK_MAPS[-1]) if list(trunk.channels)[-1] != TRUNK_MAPS[-1] else trunk
