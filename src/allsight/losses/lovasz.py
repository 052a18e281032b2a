"""Lovasz losses: intersection over union, made smooth enough to be descended (Berman et al. 2018).

"The Lovász-Softmax loss: A tractable surrogate for the optimization of the intersection-over-union measure in neural
networks."
"""

import torch
from torch import Tensor

from allsight.losses.cross_entropy import at_least_float32
from allsight.scene.vocabulary import IGNORE


def lovasz_softmax(logits: Tensor, truth: Tensor, *, present: bool = True, per_image: bool = False) -> Tensor:
    """Return the Lovasz extension of 1 - IoU of softmax probabilities, averaged over classes.

    Equations 11 and 12: the error of a pixel is 1 - p of its own class, and p of every other class. Computed in float32
    or better.

    Args:
        logits: (B, C, H, W).
        truth: (B, H, W) int64, 255 = ignore.
        present: average over the classes that the truth shows; else over all, and what is predicted of an absent class
            costs its largest probability.
        per_image: the IoU of every picture by itself, then the mean; else of the batch as one large picture.

    Returns:
        A scalar in [0, 1]; 0 if no pixel is known.
    """
    probabilities = at_least_float32(logits).softmax(1)
    if not per_image:
        return _of_softmax(probabilities, truth, present)
    pictures = zip(probabilities.split(1), truth.split(1), strict=True)
    return torch.stack([_of_softmax(*picture, present) for picture in pictures]).mean()


def _of_softmax(probabilities: Tensor, truth: Tensor, present: bool) -> Tensor:
    """Return the loss of all pixels together, from probabilities (B, C, H, W) and truth (B, H, W).

    The order of the errors is given, so the loss is linear in the probabilities: only its slopes are worked out, class
    by class, and what is as large as the logits is written once.
    """
    classes = range(probabilities.shape[1])
    slopes = torch.empty_like(probabilities, requires_grad=False)
    with torch.no_grad():
        known = truth != IGNORE
        counted = torch.stack([(truth == label).any() if present else known.any() for label in classes])
        shares = counted / counted.sum().clamp_min(1).to(probabilities)
        offset = probabilities.new_zeros(())
        for label, share in enumerate(shares):
            own, one = truth == label, probabilities[:, label]
            weights = _weights(torch.where(own, 1 - one, one).flatten(), own.flatten(), known.flatten())
            weights = weights.view_as(one).mul_(share)
            offset += (weights * own).sum()
            torch.where(own, -weights, weights, out=slopes[:, label])
    return offset + probabilities.flatten() @ slopes.flatten()


def lovasz_hinge(logits: Tensor, truth: Tensor, *, per_image: bool = True) -> Tensor:
    """Return the Lovasz extension of 1 - IoU of one foreground under hinge errors. Computed in float32 or better.

    Equation 9: the error of a pixel is max(1 - F y, 0) with y = 1 on the foreground, -1 elsewhere.

    Args:
        logits: (B, H, W), positive means foreground.
        truth: (B, H, W) int64, 0 or 1, 255 = ignore.
        per_image: the IoU of every picture by itself, then the mean; else of the batch as one large picture.

    Returns:
        A scalar, at least 0; 0 if no pixel is known.
    """
    own, known = truth == 1, truth != IGNORE
    errors = (1 - at_least_float32(logits) * torch.where(own, 1.0, -1.0)).clamp_min(0)
    rows = [x.flatten(1) if per_image else x.flatten()[None] for x in (errors, own, known)]
    losses = [row[0] @ _weights(*(x.detach() for x in row)) for row in zip(*rows, strict=True)]
    return torch.stack(losses).mean()


def _weights(errors: Tensor, own: Tensor, known: Tensor) -> Tensor:
    """Return what each pixel's error counts (Algorithm 1): what it adds to the Jaccard loss of those that are larger.

    That is a difference of neighbours in the paper. Written out, a pixel of the class takes one from the intersection
    and adds 1 / union; another one adds one to the union, and (intersection / (union - 1)) / union to the loss. So
    nothing is cancelled, and float32 is enough.

    Args:
        errors: (P,). own: (P,) bool, within known. known: (P,) bool.

    Returns:
        (P,); 0 where not known.
    """
    order = _descending(errors.masked_fill(~known, -1.0))  # what is not known comes last
    rank = torch.arange(1, len(errors) + 1, dtype=torch.int32, device=errors.device)
    mine, total = own[order], own.sum(dtype=torch.int32)
    intersection = total - mine.cumsum(0, dtype=torch.int32)
    union = intersection + rank
    gained = torch.where(mine, 1.0, intersection / (union - 1).clamp_min_(1)).div_(union)
    gained[0] += total == 0  # of a class that is not there, the largest error is all of the loss
    return torch.zeros_like(errors).scatter_(0, order, gained.mul_(rank <= known.sum()).to(errors))


def _descending(values: Tensor) -> Tensor:
    """Return the order of float values (P,), the greatest first.

    On the CPU the bits of float32 are sorted as whole numbers, by radix: 94 ms for 11 rows of 885,000 against 790. From
    0 on these are in the order of the numbers, and below them are those of negative ones; turned over, they ascend.
    """
    if values.dtype == torch.float32 and values.device.type == "cpu":
        return (~values.view(torch.int32)).sort(stable=True).indices
    return values.sort(descending=True).indices
