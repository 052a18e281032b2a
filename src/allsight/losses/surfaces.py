"""Losses on depth and on surface normals."""

import torch.nn.functional as F
from torch import Tensor

from allsight.machine.processes import mean_over_ranks


def scale_invariant(logs: Tensor, truth: Tensor, *, balance: float = 0.5) -> Tensor:
    """Return the scale-invariant error of logarithms of depth, mean over the pictures that have any.

    With d the difference of logarithms at n known pixels of a picture: sum(d^2) / n - balance (sum d)^2 / n^2.

    Args:
        logs: (B, H, W) natural logarithms of depth.
        truth: (B, H, W) metres; what is not finite or not above 0 is not known.
        balance: 0 is the plain squared error, 1 forgives any common factor of a picture's depths.

    Returns:
        A scalar; 0 if no pixel is known.

    Source:
        Eigen et al. 2014, equation 4.
    """
    known = truth.isfinite() & (truth > 0)
    difference = (logs.float() - truth.where(known, 1.0).log()) * known
    count = known.sum((1, 2)).clamp_min(1)
    each = difference.square().sum((1, 2)) / count - balance * (difference.sum((1, 2)) / count).square()
    annotated = known.any(2).any(1)
    return (each * annotated).sum() / mean_over_ranks(annotated.sum())


def cosine_distance(vectors: Tensor, truth: Tensor) -> Tensor:
    """Return the mean of 1 - cos of the angle between vectors, over the pixels whose true vector has a length.

    Args:
        vectors: (B, 3, H, W), of any length. truth: (B, 3, H, W) unit vectors, 0 or NaN where not known.

    Returns:
        A scalar in [0, 2]; 0 if no pixel is known.

    Source:
        Eigen and Fergus 2015, section 4.2: the elementwise loss on normals.
    """
    truth = truth.nan_to_num()
    known = truth.norm(dim=1) > 0.5
    cosine = (F.normalize(vectors.float(), dim=1) * truth).sum(1)
    return ((1 - cosine) * known).sum() / mean_over_ranks(known.sum())
