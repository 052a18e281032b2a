"""Unpooling against torch's module and a plain loop, also for odd sizes, and its gradient."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from allsight.layers.unpooling import MaxUnpooling

unpool = MaxUnpooling()


@given(st.integers(2, 13), st.integers(2, 13), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_values_go_back_where_they_came_from(height: int, width: int, seed: int) -> None:
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    found = unpool(pooled, indices, (height, width))
    expected = torch.zeros_like(x)
    for b in range(2):
        for c in range(3):
            for i in range(height // 2):
                for j in range(width // 2):
                    cell = x[b, c, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                    at = int(cell.argmax())
                    expected[b, c, 2 * i + at // 2, 2 * j + at % 2] = cell.max()
    assert torch.equal(found, expected)
    assert torch.equal(found, nn.MaxUnpool2d(2)(pooled, indices, output_size=[height, width]))


def test_layout_of_memory_makes_no_difference() -> None:
    x = torch.randn(2, 8, 6, 10)
    pooled, indices = F.max_pool2d(x.to(memory_format=torch.channels_last), 2, return_indices=True)
    found = unpool(pooled, indices, (6, 10))
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(found, unpool(pooled.contiguous(), indices.contiguous(), (6, 10)))


def test_gradient_is_that_of_the_places() -> None:
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64)
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    assert torch.autograd.gradcheck(lambda p: unpool(p, indices, (5, 4)), pooled.requires_grad_())
