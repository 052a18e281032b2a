"""Choosing a few of many without waiting for the device."""

import torch
from torch import Tensor


def highest(values: Tensor, among: Tensor, count: Tensor | int) -> Tensor:
    """Mark the highest values of every row.

    Args:
        values: (B, A). among: (B, A) bool: what may be chosen.
        count: how many of each row, (B, 1) or one number; all where there are fewer.

    Returns:
        (B, A) bool. Of equal values the first is the higher.
    """
    order = values.masked_fill(~among, -torch.inf).argsort(dim=1, descending=True, stable=True)
    places = torch.arange(order.shape[1], device=order.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, places)
    return among & (rank < count)
