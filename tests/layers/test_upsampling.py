"""Learned upsampling begins as bilinear interpolation."""

import pytest
import torch
import torch.nn.functional as F

from allsight.layers.upsampling import BilinearUpsampling


@pytest.mark.parametrize("factor", [2, 3, 4, 8, 16])
def test_convention_it_begins_bilinear_with_unaligned_corners(factor: int) -> None:
    x = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    layer = BilinearUpsampling(3, factor).double()
    found = layer(x)
    assert found.shape == (2, 3, 7 * factor, 9 * factor)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(found[inside], expected[inside])


def test_beyond_the_border_lies_nothing() -> None:
    found = BilinearUpsampling(1, 2)(torch.ones(1, 1, 3, 3))[0, 0]
    assert found[0, 0].item() == pytest.approx(9 / 16)
    assert found[0, 2].item() == pytest.approx(3 / 4)
    assert found[2, 2].item() == pytest.approx(1)


def test_channels_can_be_mixed_in_the_end() -> None:
    layer = BilinearUpsampling(3, 2)
    layer(torch.randn(1, 3, 4, 4)).square().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad[0, 1].any()
