"""How far predicted boxes are from the true ones."""

import torch.nn.functional as F
from torch import Tensor

from allsight.ops.boxes import aligned_giou, decode, encode


def smooth_l1(deltas: Tensor, anchors: Tensor, boxes: Tensor, *, beta: float = 1 / 9) -> Tensor:
    """Return the smooth L1 distance of regressed deltas (Girshick 2015, Fast R-CNN, equation 3).

    Args:
        deltas: (..., 4) predictions. anchors: (..., 4) where they start from. boxes: (..., 4) the truth, in pixels.
        beta: where the quadratic part ends.

    Returns:
        (...) summed over the four numbers.
    """
    target = encode(boxes, anchors)
    return F.smooth_l1_loss(deltas.float(), target, beta=beta, reduction="none").sum(-1)


def giou(deltas: Tensor, anchors: Tensor, boxes: Tensor) -> Tensor:
    """Return 1 - GIoU of the boxes that the deltas mean (Rezatofighi et al. 2019); arguments as in `smooth_l1`."""
    return 1 - aligned_giou(decode(deltas.float(), anchors), boxes)
