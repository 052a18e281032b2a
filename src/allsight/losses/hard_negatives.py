"""Online hard negatives: of the many that are easy, only the worst few count."""

import torch.nn.functional as F
from torch import Tensor

from allsight.ops.selection import highest


def hard_negative_loss(
    logits: Tensor, targets: Tensor, judged: Tensor | None = None, *, ratio: float = 3.0, least: int = 3
) -> Tensor:
    """Cross-entropy of all positives of a picture and of the negatives that it is most wrong about, 3 for each.

    An anchor is a positive if one of its targets is 1; it is as hard as its loss summed over the classes. Deviation
    from SSD: each class is decided by itself (sigmoid), as in the head that this loss is compared in, not by a softmax
    with a background.

    Args:
        logits: (B, A, C) raw scores.
        targets: (B, A, C) 0 or 1.
        judged: (B, A, 1) bool: anchors that count at all.
        ratio: negatives per positive.
        least: negatives of a picture whose positives ask for fewer, or that has none.

    Returns:
        (B, A, C) the loss of every element, 0 for what is not chosen; sum it and divide by the number of positives.

    Source:
        Liu et al. 2016, "SSD", section 2.2, "Hard negative mining"; the idea is in Shrivastava et al. 2016, "Training
        region-based object detectors with online hard example mining", section 4.
    """
    loss = F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none")
    positive = targets.amax(-1) > 0
    negative = ~positive
    if judged is not None:
        positive, negative = positive & judged[..., 0], negative & judged[..., 0]
    wanted = (ratio * positive.sum(1, keepdim=True)).clamp_min(least)
    chosen = positive | highest(loss.detach().sum(-1), negative, wanted)
    return loss * chosen[..., None]
