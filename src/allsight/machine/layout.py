"""The order in memory of the weights of convolutions over pictures."""

import torch
from torch import nn


def order_convolutions(module: nn.Module, form: torch.memory_format) -> None:
    """Lay the weights of two-dimensional convolutions out in memory, in place.

    Those over clips or sound have no such order, and four dimensions elsewhere mean something else: they stay.

    Args:
        module: whose. form: `torch.channels_last`, which most of them are faster in, or `torch.contiguous_format`.
    """
    for each in module.modules():
        if isinstance(each, nn.Conv2d | nn.ConvTranspose2d):
            for parameter in each.parameters(recurse=False):
                if parameter.ndim == 4:
                    parameter.data = parameter.data.contiguous(memory_format=form)
