"""Sampling grids, from the parameters of a transformation to where every pixel is read, and the sampler.

Coordinates are normalised: -1 is the left (upper) edge of a picture, 1 the right (lower) one, and the centre of pixel i
of n lies at (2 i + 1) / n - 1 (`align_corners=False`). x comes first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_DENOMINATOR = 0.1  # a projective map sees no farther than ten times its scale: beyond lies the horizon


def centres(size: tuple[int, int], like: Tensor) -> Tensor:
    """Return (H, W, 2) the coordinates of all pixel centres, x first, in the type of another tensor."""
    y, x = ((2 * torch.arange(n, dtype=like.dtype, device=like.device) + 1) / n - 1 for n in size)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def affine(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the grid of affine maps.

    Args:
        theta: (B, 6), the rows of a (2, 3) matrix that takes (x, y, 1) of the answer to (x, y) of the picture.
        size: (height, width) of the answer.

    Returns:
        (B, H, W, 2). Jaderberg et al. 2015, "Spatial transformer networks", equation 1.
    """
    matrix = theta.unflatten(1, (2, 3))
    return torch.einsum("hwk,bck->bhwc", centres(size, theta), matrix[..., :2]) + matrix[:, None, None, :, 2]


def attention(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the grid of a crop: one scale for both directions and a shift; theta (B, 3) is s, t_x, t_y.

    Returns:
        (B, H, W, 2). Jaderberg et al. 2015, equation 2.
    """
    scale, shift = theta[:, None, None, :1], theta[:, None, None, 1:]
    return scale * centres(size, theta) + shift


def projective(theta: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the grid of plane projective maps.

    Args:
        theta: (B, 8), the rows of a (3, 3) matrix without its last entry, which is 1.
        size: (height, width) of the answer.

    Returns:
        (B, H, W, 2). Points at or behind the horizon are held before it, where the map is still finite.
    """
    matrix = F.pad(theta, (0, 1), value=1.0).unflatten(1, (3, 3))
    points = F.pad(centres(size, theta), (0, 1), value=1.0)
    x, y, depth = torch.einsum("hwk,bck->bhwc", points, matrix).unbind(-1)
    return torch.stack([x, y], dim=-1) / depth.clamp_min(LEAST_DENOMINATOR)[..., None]


def control_points(side: int) -> Tensor:
    """Return (side * side, 2) points that cover the picture from edge to edge, x first, row by row."""
    line = torch.linspace(-1, 1, side)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).flatten(0, 1)


def thin_plate_basis(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (H, W, K): how much each control point's place counts for every pixel of a thin-plate spline.

    The spline through given values at control points is linear in these values, so that it can be solved once, for all
    pixels.

    Args:
        points: (K, 2) control points in the answer, not all on one line.
        size: (height, width) of the answer.

    Source: Bookstein 1989, "Principal warps", equations 1 to 7, with U(r) = r^2 log r^2.
    """
    exact = points.double()
    count = len(exact)
    system = exact.new_zeros(count + 3, count + 3)
    system[:count, :count] = _bending(exact, exact)
    system[:count, count:] = F.pad(exact, (1, 0), value=1.0)
    system[count:, :count] = system[:count, count:].T
    pixels = centres(size, exact).flatten(0, 1)
    rows = torch.cat([_bending(pixels, exact), F.pad(pixels, (1, 0), value=1.0)], dim=1)
    weights: Tensor = torch.linalg.solve(system, rows.T).T  # the system is symmetric
    return weights[:, :count].unflatten(0, size).to(points.dtype)


def thin_plate(theta: Tensor, basis: Tensor) -> Tensor:
    """Return the grid of thin-plate splines.

    Args:
        theta: (B, 2 K), where in the picture each control point is read, x and y in turn.
        basis: (H, W, K) of `thin_plate_basis`.

    Returns:
        (B, H, W, 2).
    """
    return torch.einsum("hwk,bkc->bhwc", basis, theta.unflatten(1, (-1, 2)))


def sample(pictures: Tensor, grid: Tensor) -> Tensor:
    """Read pictures between their pixels; differentiable in both arguments.

    Args:
        pictures: (B, C, H, W). grid: (B, h, w, 2), outside lies 0.

    Returns:
        (B, C, h, w). Jaderberg et al. 2015, equation 5; its gradients are equations 6 and 7.
    """
    return F.grid_sample(pictures, grid.to(pictures.dtype), "bilinear", "zeros", align_corners=False)


def _bending(a: Tensor, b: Tensor) -> Tensor:
    """Return (N, M) U of the distances between points (N, 2) and (M, 2); 0 where they coincide."""
    squared = (a[:, None] - b).square().sum(-1)
    return torch.xlogy(squared, squared)
