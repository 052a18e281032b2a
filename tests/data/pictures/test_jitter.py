"""Borders of label maps are moved as far as was asked for, the same way every time, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.jitter import jittered, move_borders
from allsight.machine.randomness import generator
from allsight.scene import Scene, Vocabulary

SIZE = (60, 80)


class Halves:
    """Two classes, the border down the middle."""

    def fields(self, size: tuple[int, int]) -> dict[str, torch.Tensor]:
        return {"regions": (torch.arange(size[1]) >= size[1] // 2).long().expand(size)}


def halves(count: int) -> Dataset:
    classes = Vocabulary(("left", "right"))
    example = Example(Path("one.png"), Scene(SIZE, region_classes=classes), label_map=Halves())
    return Dataset((example,) * count, region_classes=classes)


@given(st.integers(0, 6), st.integers(0, 1000))
def test_every_label_comes_from_as_far_as_was_said(pixels: int, seed: int) -> None:
    places = torch.arange(60 * 80).reshape(SIZE)
    came = move_borders(places, pixels, generator(seed))
    here = np.indices(SIZE).reshape(2, -1)
    there = np.stack([came.flatten() // 80, came.flatten() % 80])
    room = np.minimum(here.T, np.array(SIZE) - 1 - here.T).min(1)
    far = np.hypot(*(there - here))[room >= pixels]  # elsewhere it is held at the edge
    assert far == pytest.approx(pixels, abs=0.8)  # a place is rounded to whole pixels, by at most half a diagonal


@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_only_the_neighbourhood_of_borders_changes(pixels: int) -> None:
    clean, moved = (part[0].scene.regions for part in (halves(1), jittered(halves(1), pixels, seed=3)))
    changed = (clean != moved).numpy()
    columns = np.abs(np.arange(80) - 39.5)
    assert changed.any()
    assert (columns[changed.nonzero()[1]] <= pixels).all()
    # A border moves this way and that, by 2 / pi of the whole on average if all directions are alike.
    assert 0.3 * pixels < changed.sum(1).mean() < pixels
    assert {0, 1} == set(moved[changed].tolist())


def test_it_depends_on_the_seed_and_the_place_alone() -> None:
    maps = [[each.scene.regions for each in jittered(halves(2), 2, seed=seed)] for seed in (0, 0, 1)]
    assert all(torch.equal(one, two) for one, two in zip(maps[0], maps[1], strict=True))
    assert not torch.equal(maps[0][0], maps[0][1])
    assert not torch.equal(maps[0][0], maps[2][0])


def test_unknown_pixels_move_too_and_pictures_without_a_map_stay() -> None:
    known = (torch.arange(SIZE[1]) >= 40).long().expand(SIZE)
    moved = move_borders(torch.where(known == 1, 255, 0), 3, generator(0))
    assert torch.equal(moved == 255, move_borders(known, 3, generator(0)) == 1)
    bare = replace(halves(1), examples=(replace(halves(1)[0], label_map=None),))
    assert jittered(bare, 2, seed=0)[0] is bare[0]
