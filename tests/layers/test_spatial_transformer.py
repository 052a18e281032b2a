"""The sampler against the paper's formulas written as loops, and transformers that start by changing nothing."""

from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from allsight.layers.spatial_transformer import SpatialTransformer, TransformationName, transformation
from allsight.ops import grids
from allsight.ops.grids import sample


def by_formula(picture: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Equations 5, 6 and 7 of Jaderberg et al. 2015 for one channel, as loops over all pixels.

    Returns:
        values (h, w), their gradients by the picture (h, w, H, W) and by the normalised coordinates (h, w, 2).
    """
    height, width = picture.shape
    values = np.zeros(grid.shape[:2])
    by_picture = np.zeros((*grid.shape[:2], height, width))
    by_grid = np.zeros_like(grid)
    for i, j in np.ndindex(*grid.shape[:2]):
        x = (grid[i, j, 0] + 1) * width / 2 - 0.5  # in pixels: the centre of pixel m is at m
        y = (grid[i, j, 1] + 1) * height / 2 - 0.5
        for n, m in np.ndindex(height, width):
            across, down = max(0, 1 - abs(x - m)), max(0, 1 - abs(y - n))
            values[i, j] += picture[n, m] * across * down
            by_picture[i, j, n, m] = across * down
            by_grid[i, j, 0] += picture[n, m] * down * (0 if abs(m - x) >= 1 else 1 if m >= x else -1) * width / 2
            by_grid[i, j, 1] += picture[n, m] * across * (0 if abs(n - y) >= 1 else 1 if n >= y else -1) * height / 2
    return values, by_picture, by_grid


@pytest.fixture
def picture() -> torch.Tensor:
    return torch.rand(1, 1, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_values_and_gradients_are_the_papers_formulas(picture: torch.Tensor) -> None:
    grid = 2.4 * torch.rand(1, 4, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1.2
    picture.requires_grad_()
    grid.requires_grad_()
    found = sample(picture, grid)
    values, by_picture, by_grid = by_formula(picture.detach()[0, 0].numpy(), grid.detach()[0].numpy())
    np.testing.assert_allclose(found.detach()[0, 0].numpy(), values, atol=1e-12)
    weights = torch.rand(4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (found[0, 0] * weights).sum().backward()
    assert picture.grad is not None
    assert grid.grad is not None
    expected = np.einsum("ij,ijnm->nm", weights.numpy(), by_picture)
    np.testing.assert_allclose(picture.grad[0, 0].numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(grid.grad[0].numpy(), weights.numpy()[..., None] * by_grid, atol=1e-12)
    assert gradcheck(sample, (picture, grid))


def test_on_a_pixel_centre_the_gradient_is_a_subgradient(picture: torch.Tensor) -> None:
    """There the sampler has a kink: whatever lies between the slopes on both sides will do."""
    grid = grids.centres((5, 7), picture)[None, 1:-1, 1:-1].clone().requires_grad_()
    sample(picture, grid).sum().backward()
    slopes = picture[0, 0, 1:-1].diff(dim=1) * 7 / 2
    low, high = torch.minimum(slopes[:, :-1], slopes[:, 1:]), torch.maximum(slopes[:, :-1], slopes[:, 1:])
    assert grid.grad is not None
    found = grid.grad[0, ..., 0]
    assert ((found >= low - 1e-9) & (found <= high + 1e-9)).all()


@pytest.mark.parametrize("name", get_args(TransformationName))
def test_it_starts_by_changing_nothing_and_can_learn(name: TransformationName, picture: torch.Tensor) -> None:
    size = (5, 7)
    look = SpatialTransformer(
        localisation=nn.Flatten(), width=35, transformation=transformation(name, size), size=size
    ).double()
    seen = look(picture)
    torch.testing.assert_close(seen.pictures, picture, atol=1e-5, rtol=0)
    (seen.pictures * torch.linspace(0, 1, 7, dtype=torch.float64)).sum().backward()
    assert look.parameters_of.weight.grad is not None
    assert look.parameters_of.weight.grad.abs().sum() > 0


def test_outside_lies_zero(picture: torch.Tensor) -> None:
    away = grids.attention(torch.tensor([[1.0, 3.0, 0.0]], dtype=torch.float64), (5, 7))
    assert sample(picture, away).abs().max() == 0


def test_places_are_told_in_float32_whatever_the_precision_around() -> None:
    size = (5, 7)
    look = SpatialTransformer(
        localisation=nn.Flatten(), width=35, transformation=transformation("affine", size), size=size
    )
    with torch.autocast("cpu", torch.bfloat16):
        seen = look(torch.rand(2, 1, *size, dtype=torch.bfloat16))
    assert {part.dtype for part in seen} == {torch.float32}
    torch.testing.assert_close(seen.grid, grids.affine(torch.tensor([[1.0, 0, 0, 0, 1, 0]]).expand(2, -1), size))
