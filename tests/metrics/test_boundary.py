"""Boundary IoU against a definition pixel by pixel, cases worked out by hand, and what it is there for."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.metrics.boundary import boundary_overlaps, boundary_width, mask_boundaries
from allsight.metrics.coco import coco_scores
from allsight.scene import Masks, Scene, Vocabulary


def rectangles(*corners: tuple[int, int, int, int], size: tuple[int, int] = (60, 80)) -> Masks:
    dense = torch.zeros(len(corners), *size, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(dense, corners, strict=True):
        mask[top:bottom, left:right] = True
    return Masks.from_dense(dense)


def by_pixel(dense: torch.Tensor, width: int) -> torch.Tensor:
    """Covered pixels that have one which is not, or the end of the picture, within so many steps of a king at chess."""
    found = torch.zeros_like(dense)
    for n, y, x in dense.nonzero().tolist():
        for i in range(-width, width + 1):
            for j in range(-width, width + 1):
                v, u = y + i, x + j
                outside = not (0 <= v < dense.shape[1] and 0 <= u < dense.shape[2])
                found[n, y, x] |= outside or not dense[n, v, u]
    return found


@given(st.integers(0, 2**31), st.integers(1, 3), st.floats(0.3, 0.99))
@settings(max_examples=12, deadline=None)
def test_boundaries_and_overlaps_are_those_of_the_definition(seed: int, width: int, share: float) -> None:
    random = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(count, 6, 9, generator=random) < share for count in (1, 2))
    assert torch.equal(mask_boundaries(Masks.from_dense(a), width).dense(), by_pixel(a, width))
    assert boundary_width((6, 9)) == 1
    found = boundary_overlaps(Masks.from_dense(a), Masks.from_dense(b))
    for i, one in enumerate(zip(a, by_pixel(a, 1), strict=True)):
        for j, two in enumerate(zip(b, by_pixel(b, 1), strict=True)):
            each = [float((p & q).sum() / (p | q).sum().clamp_min(1)) for p, q in zip(one, two, strict=True)]
            assert found[i, j] == pytest.approx(min(each))


def test_by_hand() -> None:
    assert boundary_width((60, 80)) == 2
    truth, said = rectangles((10, 10, 50, 50)), rectangles((10, 10, 50, 50), (12, 10, 52, 50), (0, 0, 5, 5))
    # Frames two pixels wide have 40 * 40 - 36 * 36 = 304. Moved right by two, the upright bars meet nothing but the
    # ends of the others: 2 rows of 38 above and below are common.
    common = 2 * 2 * 38
    expected = [1.0, common / (2 * 304 - common), 0.0]
    np.testing.assert_allclose(boundary_overlaps(said, truth)[:, 0], expected)


def test_a_full_disc_is_no_ring() -> None:
    """The boundary alone would be the same within the ring's width; the overlap of the masks tells them apart."""
    y, x = torch.meshgrid(torch.arange(60) - 30, torch.arange(80) - 40, indexing="ij")
    far = (x**2 + y**2).sqrt()
    disc, ring = Masks.from_dense((far < 25)[None]), Masks.from_dense(((far < 25) & (far > 20))[None])
    assert boundary_overlaps(disc, ring)[0, 0] < 0.5


def test_nothing_there() -> None:
    some, none = rectangles((0, 0, 9, 9)), Masks.blank(0, (60, 80))
    assert boundary_overlaps(none, some).shape == (0, 1)
    assert boundary_overlaps(some, Masks.blank(1, (60, 80))).tolist() == [[0.0]]


def scene(masks: Masks, **fields: torch.Tensor) -> Scene:
    labels = torch.zeros(len(masks), dtype=torch.int64)
    return Scene(masks.size, masks.boxes(), labels, masks=masks, object_classes=Vocabulary(("ant",)), **fields)


def test_average_precision_by_hand() -> None:
    truth = scene(rectangles((10, 10, 50, 50)))
    moved = scene(rectangles((12, 10, 52, 50)), scores=torch.ones(1))
    # Mask IoU 38 / 42 = 0.90 is enough for nine of the ten thresholds; boundary IoU is 152 / 456, enough for none.
    assert coco_scores([truth], [moved], kind="masks").ap == pytest.approx(0.9)
    assert coco_scores([truth], [moved], kind="boundaries").ap == 0
    assert coco_scores([truth], [replace(truth, scores=torch.ones(1))], kind="boundaries").ap == pytest.approx(1)


def test_a_crowd_takes_what_lies_in_it() -> None:
    masks = rectangles((0, 0, 20, 20), (30, 0, 80, 60))
    truth = scene(masks, crowd=torch.tensor([False, True]))
    said = scene(rectangles((40, 10, 60, 30), (0, 0, 20, 20)), scores=torch.tensor([0.9, 0.5]))
    assert coco_scores([truth], [said], kind="boundaries").ap == pytest.approx(1)


def test_never_above_mask_average_precision(made: Callable[..., tuple[list[Scene], list[Scene]]]) -> None:
    truths, predictions = made(20, masks=True)
    masks = coco_scores(truths, predictions, kind="masks", backend="pycocotools")
    boundaries = coco_scores(truths, predictions, kind="boundaries")
    assert 0 < boundaries.ap < masks.ap
    assert boundaries.ap_medium < masks.ap_medium
