"""Dice: the overlap of regions as a loss."""

import torch
from torch import Tensor

from allsight.losses.cross_entropy import at_least_float32
from allsight.scene.vocabulary import IGNORE


def dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Return 1 - 2 sum(p g) / (sum(p^2) + sum(g^2)), averaged over the classes that the batch shows.

    The sums run over all known pixels of the batch. Deviation from the paper, which has one foreground: the mean over
    classes, p by softmax. Computed in float32 or better.

    Args:
        logits: (B, C, H, W).
        truth: (B, H, W) int64, 255 = ignore.

    Returns:
        A scalar in [0, 1]; 0 if no pixel is known.

    Source:
        Milletari et al. 2016, "V-Net", section 3.
    """
    known = (truth != IGNORE)[:, None]
    probabilities = at_least_float32(logits).softmax(1) * known
    own = truth[:, None] == torch.arange(logits.shape[1], device=logits.device)[:, None, None]
    common = (probabilities * own).sum((0, 2, 3))
    pixels = own.sum((0, 2, 3))
    overlap = 2 * common / (probabilities.square().sum((0, 2, 3)) + pixels).clamp_min(1e-6)
    present = pixels > 0
    return torch.where(present, 1 - overlap, 0.0).sum() / present.sum().clamp_min(1)
