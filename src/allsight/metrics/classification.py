"""Accuracy, average precision and confusion of whole-picture labels."""

import torch
from torch import Tensor


def top_k(scores: Tensor, labels: Tensor, k: int = 1) -> float:
    """Return the share of examples whose label is among the k best scores.

    Ties and NaN count against the label, so that a model which says the same of everything is not right.

    Args:
        scores: (N, C), logits or probabilities. labels: (N,) int64.
        k: how many guesses.

    Returns:
        A number in [0, 1]; NaN without examples.
    """
    own = scores.gather(1, labels[:, None])
    rank = (~(scores < own)).sum(dim=1)
    return float((rank <= k).double().mean())


def mean_average_precision(scores: Tensor, targets: Tensor) -> tuple[float, Tensor]:
    """Return the average precision of multi-label scores, as the area under each class's precision-recall steps.

    Args:
        scores: (N, C), higher means more likely. targets: (N, C) bool, whether example n has label c.

    Returns:
        The mean over classes, and (C,) float64 per class; NaN, and not in the mean, for a class without examples.
    """
    ordered, order = scores.double().sort(dim=0, descending=True)
    hits = targets.gather(0, order).double().cumsum(0)
    count = len(scores)
    place = torch.arange(count, device=scores.device)[:, None].expand_as(hits)
    # Examples of equal score come in together: precision is read at the last of them.
    ends = torch.ones_like(hits, dtype=torch.bool)
    ends[:-1] = ordered[:-1] != ordered[1:]
    last = place.masked_fill(~ends, count).flip(0).cummin(0).values.flip(0) if count else place
    precision = hits.gather(0, last) / (last + 1)
    gained = torch.diff(hits, dim=0, prepend=torch.zeros_like(hits[:1]))
    per_class = (gained * precision).sum(0) / targets.sum(0)
    return float(per_class.nanmean()), per_class


def confusion_matrix(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count how often each class is taken for each other one.

    Args:
        predicted, labels: (N,) int64. classes: how many there are.

    Returns:
        (C, C) int64, rows are the truth, columns what was predicted.
    """
    return torch.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
