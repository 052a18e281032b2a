"""Which of many candidates a two-stage detector learns from."""

import torch
from torch import Tensor

from allsight.models.detection.matcher import BACKGROUND
from allsight.ops.selection import highest


def sample(labels: Tensor, size: int, positives: int) -> Tensor:
    """Draw some objects and some background from every picture, by torch's global random numbers.

    Without this the many candidates of background would drown the objects (Ren et al. 2015, section 3.1.3).

    Args:
        labels: (B, N) int64: class, BACKGROUND, or IGNORED, which is never drawn.
        size: candidates of each picture, fewer where there are not as many.
        positives: of these at most so many objects; background fills up what they leave.

    Returns:
        (B, N) bool.
    """
    chance = torch.rand(labels.shape, device=labels.device)
    objects = highest(chance, labels >= 0, positives)
    return objects | highest(chance, labels == BACKGROUND, size - objects.sum(1, keepdim=True))
