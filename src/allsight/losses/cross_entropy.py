"""Cross-entropy of every pixel, and weights for classes that are rare."""

import torch
import torch.nn.functional as F
from torch import Tensor

from allsight.machine.processes import mean_over_ranks
from allsight.scene.vocabulary import IGNORE


def pixel_cross_entropy(logits: Tensor, truth: Tensor, *, weights: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy over the pixels whose class is known. Computed in float32 or better.

    Args:
        logits: (B, C, H, W).
        truth: (B, H, W) int64, 255 = ignore.
        weights: (C,) of the classes, or None for 1 each; the mean is weighted too, so that their scale is of no matter.

    Returns:
        A scalar; 0 if no pixel is known.
    """
    logits, known = at_least_float32(logits), truth != IGNORE
    weights = None if weights is None else weights.to(logits)
    summed = F.cross_entropy(logits, truth, weights, ignore_index=IGNORE, reduction="sum")
    if weights is None:
        return summed / mean_over_ranks(known.sum())
    weighed = torch.where(known, weights[truth.where(known, 0)], 0.0)
    # Held at 1 or more, the sum of tiny weights would be too large: their mean is brought to 1 first.
    scale = 1 / weights.mean()
    return summed * scale / mean_over_ranks(weighed.sum() * scale)


def at_least_float32(logits: Tensor) -> Tensor:
    """Return logits in a type in which sums over a picture keep their digits."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def median_frequency_weights(counts: Tensor) -> Tensor:
    """Return a weight for every class, greater for rarer ones: the median frequency over the class's own.

    A class's frequency is its share of the pixels of those pictures that show it.

    Args:
        counts: (N, C) how many pixels of each class each picture has.

    Returns:
        (C,) float32; 0 for classes that no picture shows.

    Source:
        Eigen and Fergus 2015, "Predicting depth, surface normals and semantic labels with a common multi-scale
        convolutional architecture", section 6.3; used by SegNet (Badrinarayanan et al. 2017, section 4).
    """
    counts = counts.double()
    own = counts.sum(0)
    among = (counts.sum(1, keepdim=True) * (counts > 0)).sum(0)
    there = own > 0
    frequency = own / among.clamp_min(1)
    # The mean of the two middle ones where they are even in number, as the median of a list is.
    median = torch.quantile(frequency[there], 0.5) if bool(there.any()) else torch.tensor(0.0)
    return torch.where(there, median / frequency.clamp_min(1e-300), 0.0).float()
