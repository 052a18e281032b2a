"""Distribution focal loss: where a side lies, as a distribution."""

from torch import Tensor


def distribution_focal_loss(logits: Tensor, distance: Tensor) -> Tensor:
    """Return the cross-entropy of a distribution over 0, 1, ... with the two whole numbers next to the truth.

    -((r - y) log S_l + (y - l) log S_r), l and r = l + 1 the numbers around y. It is least where the distribution has
    all its weight on these two and y for its mean. Computed in float32.

    Args:
        logits: (..., N) of the numbers 0 to N - 1.
        distance: (...) y, in [0, N - 1].

    Returns:
        (...) the loss of every distance.

    Source:
        Li et al. 2020, "Generalized focal loss", equation 6.
    """
    logs = logits.float().log_softmax(-1)
    left = distance.floor().clamp(0, logits.shape[-1] - 2)
    share = distance - left
    place = left.long()[..., None]
    lower, upper = logs.gather(-1, place)[..., 0], logs.gather(-1, place + 1)[..., 0]
    return -((1 - share) * lower + share * upper)
