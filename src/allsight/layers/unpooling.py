"""Unpooling: values go back to where a pooling took them from."""

import torch
from torch import Tensor, nn


class MaxUnpooling(nn.Module):
    """Put every value back where the maximum stood, 0 elsewhere.

    Zeiler and Fergus 2014, section 2.1; Badrinarayanan et al. 2017, "SegNet", section 3; Noh et al. 2015, section 3.2.
    Unlike `nn.MaxUnpool2d` it is told the size, so that maps whose sides were odd come back too.
    """

    def forward(self, x: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
        """Return (B, C, H, W).

        Args:
            x: (B, C, h, w).
            indices: (B, C, h, w) int64, flat positions in maps of `size`; those of one map differ.
            size: (H, W) of the map that was pooled.
        """
        return torch.ops.aten.max_unpool2d(x, indices, list(size))
