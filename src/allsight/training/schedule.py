"""Learning rates over time."""

import math

from torch.optim import Optimizer


def warmup_cosine(step: int, total: int, warmup: int = 0) -> float:
    """Give the factor on the learning rate: a straight rise, then half a cosine down to nothing.

    Args:
        step: optimiser steps already made, 0 to total - 1.
        total: steps of the whole training.
        warmup: steps of the rise; step `warmup - 1` is the first at full rate.

    Returns:
        (step + 1) / warmup during the rise, afterwards (1 + cos(pi t)) / 2 with t = (step - warmup) / (total - warmup).

    Source: Goyal et al. 2017 (arXiv:1706.02677), section 2.2; Loshchilov and Hutter 2017 (arXiv:1608.03983), equation
    5.
    """
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1))) / 2


def scale_learning_rates(optimizer: Optimizer, factor: float) -> None:
    """Set each group's rate to `factor` times the rate that it was made with."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
