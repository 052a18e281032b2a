"""Pasting against a loop over pixels."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.ops.masks import paste


def by_pixel(maps: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The definition, a pixel at a time: bilinear between the centres of cells, held at the outermost ones."""
    dense = torch.zeros((len(maps), *size), dtype=torch.bool)
    cells = maps.shape[1]
    for n, (x1, y1, x2, y2) in enumerate(boxes.double().tolist()):
        for i in range(size[0]):
            for j in range(size[1]):
                if not (x1 <= j + 0.5 < x2 and y1 <= i + 0.5 < y2):
                    continue
                u = min(max((j + 0.5 - x1) / (x2 - x1) * cells - 0.5, 0), cells - 1)
                v = min(max((i + 0.5 - y1) / (y2 - y1) * cells - 0.5, 0), cells - 1)
                value = 0.0
                for row in range(cells):
                    for column in range(cells):
                        weight = max(0, 1 - abs(u - column)) * max(0, 1 - abs(v - row))
                        value += weight * float(maps[n, row, column])
                dense[n, i, j] = value >= 0.5
    return dense


@given(st.integers(0, 2**31), st.integers(1, 4), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_pasting_is_bilinear_at_pixel_centres(seed: int, count: int, cells: int) -> None:
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand((count, 2), generator=random) * 14 - 3
    boxes = torch.cat([corner, corner + torch.rand((count, 2), generator=random) * 12], dim=1)
    maps = torch.rand((count, cells, cells), generator=random)
    found = paste(maps, boxes, (9, 11)).dense()
    expected = by_pixel(maps, boxes, (9, 11))
    # Where the value is one half to the last digit, rounding decides.
    assert (found != expected).sum() <= 1


def test_a_map_of_ones_is_its_box_and_one_half_is_covered() -> None:
    boxes = torch.tensor([[2.0, 1, 5, 4], [0.4, 0.6, 2.5, 2.5], [-5, -5, 3, 3], [8, 8, 20, 20], [3, 3, 3, 3]])
    found = paste(torch.full((5, 7, 7), 0.5), boxes, (10, 10))
    assert found.windows.tolist() == [[2, 1, 5, 4], [0, 1, 2, 2], [0, 0, 3, 3], [8, 8, 10, 10], [3, 3, 3, 3]]
    assert bool(found.bits.all())
    assert len(paste(torch.zeros(0, 7, 7), torch.zeros(0, 4), (10, 10))) == 0


def test_a_mask_is_made_once() -> None:
    maps, boxes = torch.rand(3, 7, 7), torch.tensor([[0.0, 0, 5, 4], [1, 1, 9, 9], [2, 2, 3, 8]])
    found = paste(maps, boxes, (10, 10))
    one = found[torch.tensor([1])]
    assert torch.equal(one.dense()[0], found.dense()[1])
    assert one.makers()[0]() is found.makers()[1]()  # and made once


def test_a_large_box_outside_costs_no_more_than_the_picture() -> None:
    found = paste(torch.ones(1, 28, 28), torch.tensor([[-1e6, -1e6, 1e6, 1e6]]), (20, 30))
    assert found.windows.tolist() == [[0, 0, 30, 20]]
