"""Boundary label relaxation: near a border, any of the classes that meet there is right."""

import torch
import torch.nn.functional as F
from torch import Tensor

from allsight.losses.cross_entropy import at_least_float32
from allsight.machine.processes import mean_over_ranks
from allsight.scene.vocabulary import IGNORE


def relaxed_cross_entropy(logits: Tensor, truth: Tensor, *, radius: int = 1, weights: Tensor | None = None) -> Tensor:
    """Return the mean of -log sum of the probabilities of all classes in the window around a pixel.

    Where the window shows one class, this is cross-entropy. Computed in float32 or better, in logarithms: with L the
    logsumexp over all classes and N that over those of the window, the loss is L - N, which no logit makes infinite.

    Args:
        logits: (B, C, H, W).
        truth: (B, H, W) int64, 255 = ignore: such a pixel has no loss and adds no class to its neighbours' windows.
        radius: of the window in pixels; 1 is the paper's 3 x 3.
        weights: (C,) of the classes, by the pixel's own class; see `pixel_cross_entropy`.

    Returns:
        A scalar, at least 0; 0 if no pixel is known.

    Source:
        Zhu et al. 2019, "Improving semantic segmentation via video propagation and label relaxation", section 3.3.
    """
    logits, known = at_least_float32(logits), truth != IGNORE
    classes = torch.arange(logits.shape[1], device=logits.device)[:, None, None]
    near = _widened(truth[:, None] == classes, radius)
    # Elsewhere every class is allowed: the loss is 0 there, and no logsumexp is one of nothing.
    near = near | ~known[:, None]
    loss = logits.logsumexp(1) - logits.masked_fill(~near, -torch.inf).logsumexp(1)
    if weights is None:
        return loss.sum() / mean_over_ranks(known.sum())
    weights = weights.to(logits) / weights.to(logits).mean()
    weighed = torch.where(known, weights[truth.where(known, 0)], 0.0)
    return (loss * weighed).sum() / mean_over_ranks(weighed.sum())


def _widened(masks: Tensor, radius: int) -> Tensor:
    """Return masks (..., H, W) bool that are true wherever one is in the square window; rows first, then columns."""
    for axis in (-2, -1):
        length = masks.shape[axis]
        side = (0, 0, radius, radius) if axis == -2 else (radius, radius)
        padded = F.pad(masks, side)
        masks = torch.stack([padded.narrow(axis, i, length) for i in range(2 * radius + 1)]).any(0)
    return masks
