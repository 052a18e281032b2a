"""Sampling grids against matrices written out, scipy's thin-plate splines, and the identity."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator

from allsight.ops import grids

angles = st.floats(-math.pi, math.pi)
shifts = st.floats(-1, 1)


def test_convention_pixel_centres() -> None:
    """Pixel i of n has its centre at (2 i + 1) / n - 1, x comes first: as grid_sample without aligned corners."""
    grid = grids.centres((2, 4), torch.zeros(()))
    assert grid[0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert grid[:, 0, 1].tolist() == [-0.5, 0.5]
    picture = torch.arange(8.0).view(1, 1, 2, 4)
    torch.testing.assert_close(torch.nn.functional.grid_sample(picture, grid[None], align_corners=False), picture)


@given(angles, st.floats(0.3, 3), shifts, shifts)
@settings(deadline=None)
def test_affine_is_the_matrix(angle: float, scale: float, x: float, y: float) -> None:
    matrix = np.array([[scale * math.cos(angle), -math.sin(angle), x], [math.sin(angle), scale * math.cos(angle), y]])
    grid = grids.affine(torch.from_numpy(matrix.reshape(1, 6)), (3, 5))[0]
    for i in range(3):
        for j in range(5):
            point = np.array([(2 * j + 1) / 5 - 1, (2 * i + 1) / 3 - 1, 1])
            np.testing.assert_allclose(grid[i, j], matrix @ point, atol=1e-12)


@given(st.floats(0.3, 3), shifts, shifts)
@settings(deadline=None)
def test_attention_and_projective_maps_contain_each_other(scale: float, x: float, y: float) -> None:
    crop = grids.attention(torch.tensor([[scale, x, y]]), (4, 6))
    whole = torch.tensor([[scale, 0, x, 0, scale, y]])
    torch.testing.assert_close(crop, grids.affine(whole, (4, 6)))
    projected = grids.projective(torch.cat([whole, torch.zeros(1, 2)], dim=1), (4, 6))
    torch.testing.assert_close(projected, grids.affine(whole, (4, 6)))


def test_projective_maps_take_lines_to_lines_and_end_before_the_horizon() -> None:
    theta = torch.tensor([[1.1, 0.2, 0.1, -0.1, 0.9, 0.0, 0.3, -0.2]], dtype=torch.float64)
    row = grids.projective(theta, (5, 9))[0, 2]
    area = torch.linalg.det(torch.stack([row[1:-1] - row[0], row[2:] - row[0]], dim=1))
    assert area.abs().max() < 1e-12
    beyond = torch.tensor([[1.0, 0, 0, 0, 1, 0, 5, 0]], requires_grad=True)
    grid = grids.projective(beyond, (4, 4))
    grid.sum().backward()
    assert grid.isfinite().all()
    assert beyond.grad is not None
    assert beyond.grad.isfinite().all()


def test_thin_plate_splines_are_scipys() -> None:
    points = grids.control_points(4).double()
    read = points + 0.2 * torch.randn(16, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = grids.thin_plate(read.flatten()[None], grids.thin_plate_basis(points, (7, 9)))[0]
    theirs = RBFInterpolator(points.numpy(), read.numpy(), kernel="thin_plate_spline", degree=1)
    pixels = grids.centres((7, 9), ours).flatten(0, 1).numpy()
    np.testing.assert_allclose(ours.flatten(0, 1).numpy(), theirs(pixels), atol=1e-9)


@pytest.mark.parametrize("matrix", [torch.tensor([[0.8, 0.3, 0.1], [-0.2, 1.1, -0.3]])])
def test_an_affine_move_of_the_control_points_is_the_affine_map(matrix: torch.Tensor) -> None:
    points = grids.control_points(3)
    moved = points @ matrix[:, :2].T + matrix[:, 2]
    spline = grids.thin_plate(moved.flatten()[None], grids.thin_plate_basis(points, (6, 8)))
    torch.testing.assert_close(spline, grids.affine(matrix.reshape(1, 6), (6, 8)), atol=1e-5, rtol=0)
