"""Quality focal loss: the score of a class learns how well the box fits."""

import torch.nn.functional as F
from torch import Tensor


def quality_focal_loss(logits: Tensor, quality: Tensor, *, beta: float = 2.0) -> Tensor:
    """Return the cross-entropy with a soft label, in which what is nearly right counts little. Computed in float32.

    -|y - s|^beta ((1 - y) log(1 - s) + y log s), s the sigmoid of the logit.

    Args:
        logits: (...) raw scores.
        quality: (...) y in [0, 1]: the overlap of the box with its object at the object's class, 0 everywhere else.
        beta: focusing; 0 gives cross-entropy.

    Returns:
        (...) the loss of every element; sum it and divide by the number of positives.

    Source:
        Li et al. 2020, "Generalized focal loss", equation 5.
    """
    logits, quality = logits.float(), quality.float()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return cross_entropy * (quality - logits.sigmoid()).abs().pow(beta)
