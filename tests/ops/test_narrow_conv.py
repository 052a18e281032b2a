"""Convolution of pictures that something learns to look at: the gradients of `F.conv2d`, whatever the precision."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from allsight.ops.narrow_conv import narrow_conv2d


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("channels_last", [True, False])
def test_values_and_gradients_are_those_of_torch(channels: int, biased: bool, channels_last: bool) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, channels, 11, 13, requires_grad=True)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    weight = torch.randn(6, channels, 5, 3).to(memory_format=layout).requires_grad_()
    bias = torch.randn(6, requires_grad=True) if biased else None
    learned = [part for part in (x, weight, bias) if part is not None]
    expected = F.conv2d(x, weight, bias)
    wanted = torch.autograd.grad(expected.square().sum(), learned)
    for cast, tolerance in ((False, 1e-5), (True, 0.02)):
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            y = narrow_conv2d(x, weight, bias)
        assert y.dtype == (torch.bfloat16 if cast else torch.float32)
        gradients = torch.autograd.grad(y.float().square().sum(), learned)
        assert (y - expected).norm() <= tolerance * expected.norm()
        for found, truth in zip(gradients, wanted, strict=True):
            assert found.dtype == torch.float32 and (found - truth).norm() <= tolerance * truth.norm()


def test_gradients_are_those_of_small_differences() -> None:
    torch.manual_seed(0)
    parts = (torch.randn(2, 1, 6, 5), torch.randn(3, 1, 3, 2), torch.randn(3))
    assert gradcheck(narrow_conv2d, tuple(part.double().requires_grad_() for part in parts))


@pytest.mark.parametrize("learns", [0, 1, 2])
def test_only_what_learns_gets_a_gradient(learns: int) -> None:
    parts = [torch.randn(2, 1, 6, 5), torch.randn(3, 1, 3, 2), torch.randn(3)]
    parts[learns].requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        narrow_conv2d(*parts).sum().backward()
    assert [part.grad is not None for part in parts] == [i == learns for i in range(3)]
