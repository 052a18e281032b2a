"""Focal loss."""

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
    # log p_t = -softplus(-x) for positives, of the opposite sign for negatives: safe for any logit.
    signed = logits * (2 * targets - 1)
    cross_entropy = F.softplus(-signed)
    loss = cross_entropy * (-signed).sigmoid() ** gamma
    if alpha >= 0:
        loss = loss * (alpha * targets + (1 - alpha) * (1 - targets))
    return loss if judged is None else loss * judged
