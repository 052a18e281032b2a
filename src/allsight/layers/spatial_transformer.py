"""A spatial transformer: a module that looks where it wants to (Jaderberg et al. 2015)."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from allsight.ops import grids


class Transformation(nn.Module):
    """A family of maps from the answer's pixels to places in the picture.

    Args:
        identity: the P parameters that change nothing.
        grid: parameters (B, P) and the answer's (height, width) to the grid (B, H, W, 2); see `allsight.ops.grids`.
    """

    identity: Tensor

    def __init__(self, identity: Sequence[float], grid: Callable[[Tensor, tuple[int, int]], Tensor]) -> None:
        super().__init__()
        self.register_buffer("identity", torch.tensor(identity, dtype=torch.float32), persistent=False)
        self.grid = grid

    def forward(self, theta: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the grid (B, H, W, 2)."""
        return self.grid(theta, size)


class ThinPlate(Transformation):
    """Thin-plate splines through `side` x `side` control points: two parameters each, where the point is read.

    Args:
        size: (height, width) of the answer. side: control points in each direction.
    """

    basis: Tensor

    def __init__(self, size: tuple[int, int], side: int = 4) -> None:
        points = grids.control_points(side)
        super().__init__(points.flatten().tolist(), lambda theta, size: grids.thin_plate(theta, self.basis))
        self.register_buffer("basis", grids.thin_plate_basis(points, size), persistent=False)


TransformationName = Literal["attention", "affine", "projective", "thin_plate"]


def transformation(name: TransformationName, size: tuple[int, int]) -> Transformation:
    """Return a family of maps by its name, for an answer of (height, width)."""
    match name:
        case "attention":
            return Transformation((1, 0, 0), grids.attention)
        case "affine":
            return Transformation((1, 0, 0, 0, 1, 0), grids.affine)
        case "projective":
            return Transformation((1, 0, 0, 0, 1, 0, 0, 0), grids.projective)
        case "thin_plate":
            return ThinPlate(size)


class Transformed(NamedTuple):
    """What was seen (B, C, h, w), the parameters (B, P) and where every pixel was read (B, h, w, 2)."""

    pictures: Tensor
    theta: Tensor
    grid: Tensor


class SpatialTransformer(nn.Module):
    """Localisation net, grid generator and sampler (Jaderberg et al. 2015, section 3).

    It begins as the identity: the last layer's weights are zero and its bias is the identity's parameters. Outside a
    picture it reads 0. Let 0 be the background, then: where it is not, looking away is an easy way to change the loss,
    and the transformer zooms out until nothing is left.

    Args:
        localisation: pictures (B, C, H, W) to (B, D).
        width: D.
        transformation: the family of maps.
        size: (height, width) of the answer.
    """

    def __init__(
        self, *, localisation: nn.Module, width: int, transformation: Transformation, size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.localisation = localisation
        self.parameters_of = nn.Linear(width, len(transformation.identity))
        nn.init.zeros_(self.parameters_of.weight)
        with torch.no_grad():
            self.parameters_of.bias.copy_(transformation.identity)
        self.transformation = transformation
        self.size = size

    def forward(self, pictures: Tensor) -> Transformed:
        """Look at pictures (B, C, H, W)."""
        found = self.localisation(pictures)
        device = pictures.device.type
        # In bfloat16 a place could be told to a hundredth of the picture only. (Graphs take no such context.)
        with torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext():
            theta = self.parameters_of(found.to(self.parameters_of.weight.dtype))
            grid = self.transformation(theta, self.size)
            return Transformed(grids.sample(pictures.to(grid.dtype), grid), theta, grid)
