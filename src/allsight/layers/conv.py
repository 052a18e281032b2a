"""Convolution blocks."""

from torch import Tensor, nn


def conv(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """Return a plain convolution with bias, padded to keep the size (over the stride)."""
    return nn.Conv2d(channels, out, kernel, stride, kernel // 2)


class DepthwiseSeparable(nn.Sequential):
    """A filter per channel, then a mix of channels (Howard et al. 2017, MobileNets, section 3.1).

    k*k*C + C*D weights in place of k*k*C*D. No normalisation or activation between the two, as in EfficientDet.
    """

    def __init__(self, channels: int, out: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels, bias=False),
            nn.Conv2d(channels, out, 1),
        )


class Tower(nn.Module):
    """The same convolutions over every level of a pyramid, as the subnets of RetinaNet (Lin et al. 2017, section 4).

    Args:
        channels: of the pyramid. out: of the result.
        depth: hidden convolutions before the last.
        block: makes a convolution from (channels, out): plain or depthwise separable.
        levels: if given, each hidden convolution is followed by a batch norm of its own for each of so many levels,
            while the convolutions are shared (Tan et al. 2020, EfficientDet): the levels' statistics differ.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        *,
        depth: int = 4,
        block: type[nn.Module] | None = None,
        levels: int | None = None,
    ) -> None:
        super().__init__()
        make = block or conv
        self.hidden = nn.ModuleList(make(channels, channels) for _ in range(depth))
        self.last = make(channels, out)
        self.norms = nn.ModuleList(
            nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(levels or 0)) for _ in range(depth)
        )
        self.normalised = levels is not None

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """List of (B, channels, h, w) to list of (B, out, h, w), level by level."""
        results = []
        for number, x in enumerate(levels):
            for depth, layer in enumerate(self.hidden):
                x = layer(x)
                if self.normalised:
                    x = self.norms[depth][number](x)  # type: ignore[index]
                x = x.relu()
            results.append(self.last(x))
        return results
