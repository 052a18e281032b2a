"""The watershed against every path through a small picture, scikit-image, and discs that touch."""

import heapq

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.metrics.instances import mask_overlaps
from allsight.ops.watershed import mean_inside, separate, watershed
from allsight.scene import Masks

SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))


def lowest_pass(height: np.ndarray, start: np.ndarray, area: np.ndarray) -> np.ndarray:
    """How high one must climb at least to every pixel from the nearest of `start`; infinite where no way leads."""
    best = np.where(start & area, height, np.inf)
    queue = [(best[y, x], y, x) for y, x in np.argwhere(start & area).tolist()]
    heapq.heapify(queue)
    while queue:
        level, y, x = heapq.heappop(queue)
        for v, u in ((y + i, x + j) for i, j in SIDES):
            if 0 <= v < height.shape[0] and 0 <= u < height.shape[1] and area[v, u]:
                there = max(level, height[v, u])
                if there < best[v, u]:
                    best[v, u] = there
                    heapq.heappush(queue, (there, v, u))
    return best


@given(st.integers(0, 2**31), st.integers(1, 4), st.booleans())
@settings(max_examples=40, deadline=None)
def test_no_other_seed_is_easier_to_reach(seed: int, count: int, coarse: bool) -> None:
    numbers = np.random.default_rng(seed)
    height = numbers.random((9, 12))
    height = (height * 4).round() if coarse else height
    area = numbers.random((9, 12)) < 0.85
    seeds = np.zeros((9, 12), dtype=np.int64)
    for number in range(count):
        seeds[numbers.integers(9), numbers.integers(12)] = 7 * (number + 1)
    found = watershed(*(torch.from_numpy(each) for each in (height, seeds, area))).numpy()
    there = np.unique(seeds[area & (seeds > 0)])
    assert set(np.unique(found)) <= {0, *there.tolist()}
    assert (found[area & (seeds > 0)] == seeds[area & (seeds > 0)]).all()
    costs = {number: lowest_pass(height, seeds == number, area) for number in there.tolist()}
    least = np.minimum.reduce([*costs.values(), np.full(area.shape, np.inf)])
    assert ((found == 0) == ~np.isfinite(least)).all()
    for number, cost in costs.items():
        assert (cost[found == number] == least[found == number]).all()


def test_flat_ground_goes_to_the_nearer() -> None:
    seeds = torch.zeros(5, 12, dtype=torch.int64)
    seeds[2, 1], seeds[2, 10] = 1, 2
    found = watershed(torch.zeros(5, 12), seeds, torch.ones(5, 12, dtype=torch.bool))
    assert (found[:, :5] == 1).all()
    assert (found[:, 7:] == 2).all()


def test_nearly_scikit_images_on_distinct_heights() -> None:
    segmentation = pytest.importorskip("skimage.segmentation")
    numbers = np.random.default_rng(0)
    height = torch.from_numpy(numbers.random((40, 40)))
    seeds = torch.zeros(40, 40, dtype=torch.int64)
    seeds[tuple(torch.from_numpy(numbers.integers(0, 40, (2, 6))))] = torch.arange(1, 7)
    area = torch.ones(40, 40, dtype=torch.bool)
    ours = watershed(height, seeds, area).numpy()
    theirs = segmentation.watershed(height.numpy(), seeds.numpy(), connectivity=1)
    assert (ours == theirs).mean() > 0.95  # where two basins come to a pixel at once, the order of visits decides


def discs(*circles: tuple[float, float, float], size: tuple[int, int] = (64, 96)) -> torch.Tensor:
    """(N, H, W) bool, each pixel the nearest disc's alone."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    depth = torch.stack([r - ((x - a) ** 2 + (y - b) ** 2).sqrt() for a, b, r in circles])
    return (depth > 0) & (depth == depth.amax(0))


def maps_of(dense: torch.Tensor, blur: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities as a good net would give them: a border of two pixels around the inside of every object."""
    from scipy import ndimage

    core = torch.stack([torch.from_numpy(ndimage.binary_erosion(each.numpy(), iterations=2)) for each in dense]).any(0)
    rim = dense.any(0) & ~core
    return core * (1 - blur) + rim * blur, rim * (1 - 2 * blur) + core * blur / 2


def test_discs_that_touch_are_divided() -> None:
    dense = discs((20, 30, 14), (46, 30, 14), (70, 34, 12), (85, 10, 5))
    found = separate(*maps_of(dense))
    assert len(found) == 4
    overlaps = mask_overlaps(found, Masks.from_dense(dense))
    assert (overlaps.max(1) > 0.9).all()
    assert sorted(overlaps.argmax(1).tolist()) == [0, 1, 2, 3]


def test_a_thin_object_has_no_inside_and_stays_one() -> None:
    dense = torch.zeros(1, 30, 30, dtype=torch.bool)
    dense[0, 10:13, 4:25] = True
    found = separate(*maps_of(dense))
    assert torch.equal(found.dense(), dense)


def test_specks_are_dropped_and_an_empty_picture_has_no_objects() -> None:
    speck = torch.zeros(20, 20)
    speck[3:5, 3:5] = 1
    for inside in (speck, torch.zeros(20, 20)):
        assert len(separate(inside, torch.zeros(20, 20))) == 0
    assert len(separate(speck, torch.zeros(20, 20), least=4)) == 1


def test_mean_inside() -> None:
    dense = torch.zeros(2, 4, 4, dtype=torch.bool)
    dense[0, 0, :2], dense[1, 1:, 2] = True, True
    values = torch.arange(16.0).reshape(4, 4)
    assert mean_inside(Masks.from_dense(dense), values).tolist() == [0.5, 10.0]
    assert mean_inside(Masks.blank(1, (4, 4)), values).tolist() == [0.0]
