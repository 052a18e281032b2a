"""Inception-v3."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.googlenet import ConvNorm
from allsight.backbones.pictures.trunk import Stage, Trunk, initialise, with_weights

Conv = tuple[int, int, int]  # output channels, kernel rows, kernel columns


class Mixed(nn.Module):
    """Chains of convolutions and one pooling side by side (Szegedy et al. 2016, figures 5, 6, 7 and 10).

    Args:
        channels: of the input.
        chains: by name, the steps of a chain; a step is one convolution or several side by side.
        pool: channels of a 1x1 convolution behind an average pooling; None for the form that halves the grid, where the
            last convolution of each chain strides without padding, beside a maximum pooling.
    """

    def __init__(self, channels: int, chains: Mapping[str, Sequence[Conv | list[Conv]]], pool: int | None) -> None:
        super().__init__()
        self.chains: list[list[list[str]]] = []
        self.channels = channels if pool is None else pool
        for prefix, steps in chains.items():
            inner, chain = channels, []
            for number, step in enumerate(steps, 1):
                name = prefix if len(steps) == 1 else f"{prefix}_{number}"
                convs = {f"{name}a": step[0], f"{name}b": step[1]} if isinstance(step, list) else {name: step}
                stride, padding = (2, 0) if pool is None and number == len(steps) else (1, None)
                for key, (out, rows, columns) in convs.items():
                    self.add_module(key, ConvNorm(inner, out, (rows, columns), stride, padding))
                chain.append(list(convs))
                inner = sum(out for out, _, _ in convs.values())
            self.channels += inner
            self.chains.append(chain)
        self.branch_pool = None if pool is None else ConvNorm(channels, pool, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, self.channels, H, W), or to about half of H and W."""
        results = []
        for chain in self.chains:
            maps = [x]
            for names in chain:
                maps = [self.get_submodule(name)(maps[0]) for name in names]
            results += maps
        if self.branch_pool is None:
            results.append(F.max_pool2d(x, 3, 2))
        else:
            results.append(self.branch_pool(F.avg_pool2d(x, 3, 1, 1)))
        return torch.cat(results, 1)


def _a(channels: int, pool: int) -> Mixed:
    chains = {"branch1x1": [(64, 1, 1)], "branch5x5": [(48, 1, 1), (64, 5, 5)]}
    return Mixed(channels, chains | {"branch3x3dbl": [(64, 1, 1), (96, 3, 3), (96, 3, 3)]}, pool)


def _b(channels: int) -> Mixed:
    return Mixed(channels, {"branch3x3": [(384, 3, 3)], "branch3x3dbl": [(64, 1, 1), (96, 3, 3), (96, 3, 3)]}, None)


def _c(channels: int, width: int) -> Mixed:
    chains = {"branch1x1": [(192, 1, 1)], "branch7x7": [(width, 1, 1), (width, 1, 7), (192, 7, 1)]}
    double = [(width, 1, 1), (width, 7, 1), (width, 1, 7), (width, 7, 1), (192, 1, 7)]
    return Mixed(channels, chains | {"branch7x7dbl": double}, 192)


def _d(channels: int) -> Mixed:
    chains = {"branch3x3": [(192, 1, 1), (320, 3, 3)]}
    return Mixed(channels, chains | {"branch7x7x3": [(192, 1, 1), (192, 1, 7), (192, 7, 1), (192, 3, 3)]}, None)


def _e(channels: int) -> Mixed:
    fork = [(384, 1, 3), (384, 3, 1)]
    chains: dict[str, list[Conv | list[Conv]]] = {
        "branch1x1": [(320, 1, 1)],
        "branch3x3": [(384, 1, 1), fork],
        "branch3x3dbl": [(448, 1, 1), (384, 3, 3), fork],
    }
    return Mixed(channels, chains, 192)


class Auxiliary(nn.Module):
    """A classifier on the 17x17 map (Szegedy et al. 2016, section 4); its loss counts 0.4 in common training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = ConvNorm(channels, 128, 1)
        self.conv1 = ConvNorm(128, 768, 5, padding=0)
        self.fc = nn.Linear(768, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, 17, 17) to logits (B, 1000)."""
        x = self.conv1(self.conv0(F.avg_pool2d(x, 5, 3)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class InceptionV3(Trunk):
    """Inception-v3 (Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", Table 1).

    The keys are torchvision's, with the auxiliary classifier (`aux`, which wants pictures of at least 299 pixels or
    so). The early convolutions have no padding, so maps are a little smaller than the picture divided by their stride
    (299 pixels give 149, 71, 35, 17 and 8). torchvision's published weights want inputs in -1..1, which its
    `transform_input` makes out of its usual normalisation; here `mean` and `std` say so directly.
    """

    def __init__(self) -> None:
        mixed = {
            "5b": _a(192, 32),
            "5c": _a(256, 64),
            "5d": _a(288, 64),
            "6a": _b(288),
            "6b": _c(768, 128),
            "6c": _c(768, 160),
            "6d": _c(768, 160),
            "6e": _c(768, 192),
            "7a": _d(768),
            "7b": _e(1280),
            "7c": _e(2048),
        }
        groups = {number: tuple(f"Mixed_{name}" for name in mixed if name[0] == number) for number in "567"}
        super().__init__(
            [
                Stage("c1", ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3"), 64, 2),
                Stage("c2", ("maxpool1", "Conv2d_3b_1x1", "Conv2d_4a_3x3"), 192, 4),
                Stage("c3", ("maxpool2", *groups["5"]), 288, 8),
                Stage("c4", groups["6"], 768, 16),
                Stage("aux", ("AuxLogits",), 1000, side=True),
                Stage("c5", groups["7"], 2048, 32),
                Stage("pooled", ("avgpool",), 2048),
                Stage("logits", ("dropout", "fc"), 1000),
            ],
            mean=(127.5,) * 3,
            std=(127.5,) * 3,
        )
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, 2, padding=0)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3, padding=0)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3, padding=0)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        for name, block in mixed.items():
            self.add_module(f"Mixed_{name}", block)
        self.AuxLogits = Auxiliary(768)
        self.avgpool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(2048, 1000)
        initialise(self)


def inception_v3(weights: str | Path | None = None) -> Trunk:
    """Inception-v3; `weights` is the place of a torchvision checkpoint, see `allsight.weights.find.find`."""
    return with_weights(InceptionV3(), weights)
