"""torchvision's published detectors: the names of their tensors, and the conventions that they were trained with."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from allsight.models.detection.anchors import RATIOS, SCALES, Anchors
from allsight.models.vision import Vision
from allsight.scene import Vocabulary
from allsight.weights.files import load_state, read_state
from allsight.weights.find import find

LAST_ID = 90  # of COCO's sparse numbers of classes

# Each name in two layouts: of the published files, and as torchvision's modules have called it since version 0.13.
_NAMES = (
    (r"backbone\.body\.", "trunk."),
    (r"backbone\.fpn\.inner_blocks\.(\d)(\.0)?\.", r"neck.lateral.\1."),
    (r"backbone\.fpn\.layer_blocks\.(\d)(\.0)?\.", r"neck.smooth.\1."),
    (r"backbone\.fpn\.extra_blocks\.p6\.", "neck.coarser.0."),
    (r"backbone\.fpn\.extra_blocks\.p7\.", "neck.coarser.1."),
    (r"rpn\.head\.conv(\.0\.0)?\.", "heads.objects.proposals.hidden."),
    (r"rpn\.head\.cls_logits\.", "heads.objects.proposals.objectness."),
    (r"rpn\.head\.bbox_pred\.", "heads.objects.proposals.deltas."),
    (r"roi_heads\.box_head\.fc6\.", "heads.objects.regions.body.1."),
    (r"roi_heads\.box_head\.fc7\.", "heads.objects.regions.body.3."),
    (r"roi_heads\.box_predictor\.cls_score\.", "heads.objects.regions.classification."),
    (r"roi_heads\.box_predictor\.bbox_pred\.", "heads.objects.regions.regression."),
    *(
        (rf"roi_heads\.mask_head\.(mask_fcn{number + 1}|{number}\.0)\.", f"heads.objects.masks.body.{2 * number}.")
        for number in range(4)
    ),
    (r"roi_heads\.mask_predictor\.conv5_mask\.", "heads.objects.masks.body.8."),
    (r"roi_heads\.mask_predictor\.mask_fcn_logits\.", "heads.objects.masks.last."),
    (r"head\.(classification|regression)_head\.(cls_logits|bbox_reg)\.", r"heads.objects.\1.last."),
    (r"head\.(classification|regression)_head\.conv\.(\d)\.0\.", r"heads.objects.\1.hidden.\2."),
    *(
        (rf"head\.(classification|regression)_head\.conv\.{2 * number}\.", rf"heads.objects.\1.hidden.{number}.")
        for number in range(4)  # with the activations counted in between
    ),
)


def torchvision_key(name: str) -> str:
    """Return how `faster_rcnn_fpn`, `mask_rcnn_fpn` or `retinanet` calls a tensor of torchvision's detector.

    Args:
        name: in the state dict of fasterrcnn_resnet50_fpn, maskrcnn_resnet50_fpn or retinanet_resnet50_fpn; any other
            is returned as it is.
    """
    for pattern, ours in _NAMES:
        renamed, count = re.subn("^" + pattern, ours, name)
        if count:
            return renamed
    return name


def load_published(system: Vision, place: str | Path) -> None:
    """Load fasterrcnn_resnet50_fpn_coco, maskrcnn_resnet50_fpn_coco or retinanet_resnet50_fpn_coco.

    Both were trained with batch norms that add nothing to the variance (torchvision sets their eps to 0 when it loads
    them). Ours add their eps, so that it is taken off the variances.

    Args:
        system: `faster_rcnn_fpn`, `mask_rcnn_fpn` or `retinanet` on a ResNet-50, built with `torchvision=True` and with
            `published_classes`.
        place: of the checkpoint, as `allsight.weights.find.find` takes it.

    Raises:
        WeightsError: nothing there, or a checkpoint of another architecture or with other classes.
    """
    path = find(place)
    load_state(system, read_state(path), source=str(path), rename=torchvision_key)
    for norm in system.trunk.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None:
            norm.running_var -= norm.eps


def published_classes(coco: Vocabulary, first: int) -> Vocabulary:
    """Return a class for each of COCO's numbers, also those that it never uses, as the published detectors have.

    Args:
        coco: the 80 classes with COCO's numbers, as any of its annotation files has them.
        first: 1 for Faster R-CNN, whose background stands before; 0 for RetinaNet, where it takes a class's place.
    """
    names = dict(zip(coco.ids, coco.names, strict=True))
    return Vocabulary(
        tuple(names.get(number, f"unused {number}") for number in range(first, LAST_ID + 1)),
        tuple(range(first, LAST_ID + 1)),
    )


class TorchvisionAnchors(Anchors):
    """Anchors of whole pixels around the corner of each cell, every scale of one ratio before the next ratio's.

    torchvision takes the distance of two anchors from the size of the picture, which is the stride if the picture's
    sides are multiples of the largest one.

    Args:
        strides, size, scales: see `Anchors`.
    """

    def __init__(self, strides: Sequence[int], *, size: float = 4.0, scales: Sequence[float] = SCALES) -> None:
        super().__init__(strides, size=size, scales=scales, offset=0.0)
        sides = torch.tensor([[float(int(size * stride * scale)) for scale in scales] for stride in strides])
        root = torch.tensor(RATIOS).sqrt()[:, None]
        width, height = (1 / root * sides[:, None]).flatten(1), (root * sides[:, None]).flatten(1)
        self.base = (torch.stack([-width, -height, width, height], dim=-1) / 2).round()
