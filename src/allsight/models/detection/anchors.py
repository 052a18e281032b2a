"""Anchors: the boxes that a dense detector starts from."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SCALES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
RATIOS = (0.5, 1.0, 2.0)


class Anchors(nn.Module):
    """The same set of boxes around every cell of every level of a pyramid.

    Nine per cell, three scales by three ratios, as in RetinaNet (Lin et al. 2017, section 4). A cell's anchors are
    centred on the middle of the pixels that it stands for.

    Args:
        strides: pixels per cell, finest level first.
        size: side of the square anchor of scale 1, in strides (the paper: 4, 32 pixels on stride 8).
        scales: factors on the side.
        ratios: height over width, at the same area.
        offset: where in its cell an anchor stands: 0.5 is the middle, 0 the upper left corner.
    """

    base: Tensor

    def __init__(
        self,
        strides: Sequence[int],
        *,
        size: float = 4.0,
        scales: Sequence[float] = SCALES,
        ratios: Sequence[float] = RATIOS,
        offset: float = 0.5,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.offset = offset
        scale = torch.tensor(scales, dtype=torch.float64)[:, None]
        root = torch.tensor(ratios, dtype=torch.float64).sqrt()[None, :]
        sides = torch.stack([scale / root, scale * root], dim=-1).reshape(-1, 2)
        unit = torch.cat([-sides / 2, sides / 2], dim=1) * size
        levels = torch.stack([unit * stride for stride in self.strides])
        self.register_buffer("base", levels.float(), persistent=False)

    @property
    def per_cell(self) -> int:
        """Anchors around one cell."""
        return self.base.shape[1]

    def forward(self, shapes: Sequence[tuple[int, int]]) -> Tensor:
        """Return all anchors.

        Args:
            shapes: (height, width) of every level, in cells.

        Returns:
            (A, 4) boxes in the model's pixels, level by level, row by row, cell by cell.
        """
        levels = []
        for (height, width), stride, base in zip(shapes, self.strides, self.base, strict=True):
            y = (torch.arange(height, device=base.device) + self.offset) * stride
            x = (torch.arange(width, device=base.device) + self.offset) * stride
            centre_y, centre_x = torch.meshgrid(y, x, indexing="ij")
            centre = torch.stack([centre_x, centre_y, centre_x, centre_y], dim=-1)
            levels.append((centre[:, :, None] + base).reshape(-1, 4))
        return torch.cat(levels)


def flatten_levels(levels: Sequence[Tensor], width: int) -> Tensor:
    """(B, anchors x width, h, w) maps, level by level, to (B, A, width), in the order of the anchors."""
    return torch.cat([x.permute(0, 2, 3, 1).reshape(len(x), -1, width) for x in levels], dim=1)
