"""Ghost-PAN: a path aggregation network of ghost blocks, the neck of NanoDet-Plus."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.errors import ModelError
from allsight.layers.conv_norm import conv_norm, separable
from allsight.layers.initialisation import he_normal
from allsight.layers.neck import Neck


class GhostModule(nn.Module):
    """Half of the maps by a 1x1 convolution, their ghosts by a filter each (Han et al. 2020, section 3.1, figure 1b).

    Args:
        channels: of the input. out: of the result, even.
        normalised, slope: see `conv_norm`.
    """

    def __init__(self, channels: int, out: int, *, normalised: bool, slope: float | None) -> None:
        super().__init__()
        half = out // 2
        self.primary = nn.Sequential(*conv_norm(channels, half, normalised=normalised, slope=slope))
        self.cheap = nn.Sequential(*conv_norm(half, half, 3, depthwise=True, normalised=normalised, slope=slope))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, out, H, W)."""
        y = self.primary(x)
        return torch.cat([y, self.cheap(y)], dim=1)


class GhostBottleneck(nn.Module):
    """Two ghost modules, the second one linear, beside a shortcut that mixes (Han et al. 2020, section 3.2).

    Args:
        channels: of the input. out: of the result, even.
        kernel: of the shortcut's filters.
        normalised, slope: see `conv_norm`.
    """

    def __init__(self, channels: int, out: int, kernel: int, *, normalised: bool, slope: float) -> None:
        super().__init__()
        self.ghosts = nn.Sequential(
            GhostModule(channels, out, normalised=normalised, slope=slope),
            GhostModule(out, out, normalised=normalised, slope=None),
        )
        self.shortcut = nn.Sequential(
            *conv_norm(channels, channels, kernel, depthwise=True, normalised=normalised),
            *conv_norm(channels, out, normalised=normalised),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, out, H, W)."""
        return self.ghosts(x) + self.shortcut(x)


class GhostPan(Neck):
    """Strong features at every scale by a way down and a way up (Liu et al. 2018, "PANet"), of ghost blocks.

    1x1 convolutions to one width; from the coarsest map on, each is enlarged (bilinear), laid beside the finer one and
    merged by a ghost bottleneck; then back, by depthwise separable convolutions of stride 2. A coarser level is the
    sum of two such convolutions, one of the coarsest map before the ways and one of the coarsest after.

    Args:
        inputs: channels of the trunk's maps by name, finest first, each of twice the stride of the one before.
        channels: width of all outputs, even.
        kernel: of the depthwise convolutions that are not within a ghost module.
        slope, normalised: see `conv_norm`.
        extra: whether there is a coarser level.
        prefix: of the outputs' names.

    Attributes:
        outputs: p3, p4, ... from the inputs' numbers.

    Raises:
        ModelError: the width is odd.

    Source: RangiLyu 2021, NanoDet-Plus, github.com/RangiLyu/nanodet.
    """

    def __init__(
        self,
        inputs: Mapping[str, int],
        channels: int = 96,
        *,
        kernel: int = 5,
        slope: float = 0.1,
        normalised: bool = True,
        extra: bool = True,
        prefix: str = "p",
    ) -> None:
        super().__init__()
        if channels % 2:
            raise ModelError(f"{channels} channels: ghosts come in pairs; give an even number")
        self.inputs = tuple(inputs)
        first, steps = int(self.inputs[0][1:]), len(inputs) - 1
        self.outputs = tuple(f"{prefix}{first + i}" for i in range(len(inputs) + extra))
        self.channels = channels

        def merging() -> nn.ModuleList:
            blocks = (
                GhostBottleneck(2 * channels, channels, kernel, normalised=normalised, slope=slope)
                for _ in range(steps)
            )
            return nn.ModuleList(blocks)

        def halving(number: int) -> nn.ModuleList:
            made = (separable(channels, channels, kernel, 2, normalised=normalised, slope=slope) for _ in range(number))
            return nn.ModuleList(nn.Sequential(*layers) for layers in made)

        self.reduce = nn.ModuleList(
            nn.Sequential(*conv_norm(width, channels, normalised=normalised, slope=slope)) for width in inputs.values()
        )
        self.down, self.smaller, self.up = merging(), halving(steps), merging()
        self.coarser = halving(2 if extra else 0)
        he_normal(self)

    def forward(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Trunk maps by name to maps (B, channels, h, w) by name."""
        maps = [layer(features[name]) for layer, name in zip(self.reduce, self.inputs, strict=True)]
        before = maps[-1]
        for block, i in zip(self.down, range(len(maps) - 1, 0, -1), strict=True):
            larger = F.interpolate(maps[i], size=maps[i - 1].shape[-2:], mode="bilinear", align_corners=False)
            maps[i - 1] = block(torch.cat([larger, maps[i - 1]], dim=1))
        for i, (smaller, block) in enumerate(zip(self.smaller, self.up, strict=True), 1):
            maps[i] = block(torch.cat([smaller(maps[i - 1]), maps[i]], dim=1))
        if len(self.coarser):
            maps.append(self.coarser[0](before) + self.coarser[1](maps[-1]))
        return dict(zip(self.outputs, maps, strict=True))
