"""Which of many candidates a detector learns from."""

import torch
from torch import Tensor

from allsight.models.detection.matcher import BACKGROUND
from allsight.ops.selection import highest


def sample(labels: Tensor, size: int, positives: int, first: Tensor | None = None) -> Tensor:
    """Draw some objects and some background from every picture, by torch's global random numbers.

    Without this the many candidates of background would drown the objects (Ren et al. 2015, section 3.1.3).

    Args:
        labels: (B, N) int64: class, BACKGROUND, or IGNORED, which is never drawn.
        size: candidates of each picture, fewer where there are not as many.
        positives: of these at most so many objects; background fills up what they leave.
        first: (B, N) bool: up to half of the background is drawn from what is marked here, before all the rest.

    Returns:
        (B, N) bool.
    """
    chance = torch.rand(labels.shape, device=labels.device)
    objects, background = highest(chance, labels >= 0, positives), labels == BACKGROUND
    left = size - objects.sum(1, keepdim=True)
    if first is not None:
        chance = chance + highest(chance, first & background, left // 2)
    return objects | highest(chance, background, left)
