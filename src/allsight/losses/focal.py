"""Focal loss."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def sigmoid_focal_loss(
    logits: Tensor, targets: Tensor, judged: Tensor | None = None, *, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """Cross-entropy in which what is already right counts little: -alpha_t (1 - p_t)^gamma log p_t.

    Lin et al. 2017, "Focal loss for dense object detection", equation 5. Computed in float32.

    Args:
        logits: (...) raw scores.
        targets: (...) 0 or 1.
        judged: broadcast to (...), bool: what counts at all; the loss is 0 elsewhere.
        alpha: weight of the positives, 1 - alpha that of the negatives; negative means no weighting.
        gamma: focusing; 0 gives (weighted) cross-entropy.

    Returns:
        (...) the loss of every element; sum it and divide by the number of positives.
    """
    logits, targets = logits.float(), targets.float()
    loss = _Focal.apply(logits, 2 * targets - 1, gamma)
    if alpha >= 0:
        loss = loss * torch.where(targets > 0, alpha, 1 - alpha)
    return loss if judged is None else loss * judged


class _Focal(torch.autograd.Function):
    """Without alpha, as one step: detectors have millions of logits, and each pass over them takes time.

    With q = 1 - p_t the loss is -q^gamma log(1 - q), and its derivative by the signed logit
    q^gamma (gamma (1 - q) log(1 - q) - q).
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, signs: Tensor, gamma: float) -> Tensor:
        """Return the loss of every element; `signs` are 1 for positives and -1 for negatives."""
        against = torch.mul(logits, signs).neg_()
        # log p_t = -softplus(-x) for positives, of the opposite sign for negatives: safe for any logit.
        cross_entropy, wrong = F.softplus(against), against.sigmoid_()
        focus = wrong**gamma
        slope = torch.sub(1, wrong).mul_(cross_entropy).mul_(gamma).add_(wrong).mul_(focus).mul_(signs).neg_()
        ctx.save_for_backward(slope)
        return cross_entropy.mul_(focus)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient by the logits."""
        (slope,) = ctx.saved_tensors
        return gradients[0] * slope, None, None
