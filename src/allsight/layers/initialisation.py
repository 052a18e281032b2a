"""How weights begin."""

from torch import nn


def he_normal(module: nn.Module) -> None:
    """Begin all convolutions below `module` as nets without normalisation need it.

    Weights are normal with variance 2 / N, N the inputs of one neuron (He et al. 2015, section 2.2); biases are 0. In a
    transposed convolution whose kernel is its stride N is its input's channels, and the variance 1 / N, as no ReLU
    follows it.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            plain = isinstance(layer, nn.Conv2d)
            variance = 2 / layer.weight[0].numel() if plain else 1 / layer.in_channels
            nn.init.normal_(layer.weight, std=variance**0.5)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
