"""The assign guidance module: a stronger detector, in training alone, by whose answers places are given to objects."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from allsight.layers.neck import Neck

GROUPS = 32


class GuidanceSubnet(nn.Module):
    """Two towers of 3x3 convolutions with group norms, shared by all levels, each with a scale for its distances.

    Args:
        channels: of the levels and within. classes: how many. numbers: of a side's distribution.
        levels: how many. depth: convolutions of a tower. slope: of the leaky ReLUs.
    """

    def __init__(self, channels: int, classes: int, numbers: int, levels: int, *, depth: int = 4, slope: float) -> None:
        super().__init__()

        def tower(out: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for _ in range(depth):
                conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
                norm = nn.GroupNorm(GROUPS if channels % GROUPS == 0 else 1, channels)
                layers += [conv, norm, nn.LeakyReLU(slope, inplace=True)]
            return nn.Sequential(*layers, nn.Conv2d(channels, out, 3, padding=1))

        self.classification, self.regression = tower(classes), tower(4 * numbers)
        self.scales = nn.Parameter(torch.ones(levels))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """List of (B, channels, h, w) to list of (B, classes + 4 x numbers, h, w), level by level."""
        return [
            torch.cat([self.classification(x), self.regression(x) * scale], dim=1)
            for x, scale in zip(levels, self.scales, strict=True)
        ]


class AssignGuidance(nn.Module):
    """An auxiliary head on two pyramids, the detector's and one of its own, laid side by side.

    It finds objects sooner than the small head, whose places it assigns. After `detach_after` batches no gradient of
    its loss goes on to the trunk and to the detector's pyramid: these then learn for the detector alone.

    Args:
        neck: reads the trunk as the detector's neck does.
        subnet: list of maps, of both pyramids together, to list of maps.
        detach_after: batches of training; the paper's ten epochs.

    Source: RangiLyu 2021, NanoDet-Plus, "assign guidance module".
    """

    seen: Tensor

    def __init__(self, *, neck: Neck, subnet: nn.Module, detach_after: int) -> None:
        super().__init__()
        self.neck = neck
        self.subnet = subnet
        self.detach_after = detach_after
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))  # in the state: a run goes on where it was

    def forward(self, trunk: Mapping[str, Tensor], levels: Sequence[Tensor]) -> list[Tensor]:
        """Return the auxiliary head's maps.

        Args:
            trunk: at least the maps that the neck reads. levels: the detector's pyramid.
        """
        # Without waiting for an accelerator to say how many batches there were.
        detached = self.seen >= self.detach_after
        if self.training and torch.is_grad_enabled():
            self.seen += 1

        def held(x: Tensor) -> Tensor:
            return torch.where(detached, x.detach(), x)

        own = self.neck({name: held(trunk[name]) for name in self.neck.inputs})
        pairs = zip(levels, own.values(), strict=True)
        return self.subnet([torch.cat([held(level), other], dim=1) for level, other in pairs])
