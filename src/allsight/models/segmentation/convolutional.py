"""VGG's linear layers as convolutions: the classifier looks everywhere, not once."""

from typing import cast

import torch
from torch import nn

from allsight.backbones.pictures.trunk import Stage, Trunk
from allsight.backbones.pictures.vgg import VGG
from allsight.errors import ModelError


def convolutional(trunk: Trunk) -> Trunk:
    """Turn fc6 and fc7 of a VGG into convolutions of 7x7 and 1x1 with the same weights, and drop the last layer.

    Shelhamer et al. 2017, section 3.1 and figure 2. The result is called "fc7", (B, 4096, H / 32, W / 32). On a map of
    7x7 its middle is what the linear layers gave. Deviation: 7x7 is padded by 3 zeros to keep the grid, where the paper
    pads the picture by 100 pixels and cuts the result.

    Args:
        trunk: changed in place; `allsight.backbones.pictures.freezing.dilate` works on it as ever.

    Raises:
        ModelError: it is no VGG with its linear layers.
    """
    if not isinstance(trunk, VGG) or "pooled" not in trunk.channels:
        raise ModelError(f"{type(trunk).__name__} has no linear layers to turn into convolutions; take a VGG")
    linear = [cast(nn.Linear, trunk.classifier[i]) for i in (0, 3)]
    channels = trunk.channels["p5"]
    trunk.cut("p5")
    names = []
    for name, layer, kernel in (("fc6", linear[0], 7), ("fc7", linear[1], 1)):
        trunk.add_module(name, _as_convolution(layer, channels, kernel))
        trunk.add_module(f"relu_{name}", nn.ReLU(inplace=True))
        trunk.add_module(f"drop_{name}", nn.Dropout(0.5))
        names += [name, f"relu_{name}", f"drop_{name}"]
        channels = layer.out_features
    trunk.lay([*trunk.plan, Stage("fc7", tuple(names), channels, trunk.strides["p5"])])
    trunk.train(trunk.training)  # the new dropouts too
    return trunk


def _as_convolution(linear: nn.Linear, channels: int, kernel: int) -> nn.Conv2d:
    """Return the convolution that has a linear layer's very weights: no second copy of a hundred millions."""
    with torch.device("meta"):
        layer = nn.Conv2d(channels, linear.out_features, kernel, padding=kernel // 2)
    layer.weight = nn.Parameter(linear.weight.detach().view(layer.weight.shape))
    layer.bias = linear.bias
    return layer
