"""Overlaps against pycocotools, and the Data Science Bowl's measure against cases worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from allsight.errors import AnnotationError
from allsight.metrics.instances import bowl_score, mask_overlaps
from allsight.scene import Masks, Scene


def scene(*rectangles: tuple[int, int, int, int], size: tuple[int, int] = (20, 20)) -> Scene:
    dense = torch.zeros(len(rectangles), *size, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(dense, rectangles, strict=True):
        mask[top:bottom, left:right] = True
    masks = Masks.from_dense(dense)
    return Scene(size, boxes=masks.boxes(), labels=torch.zeros(len(rectangles), dtype=torch.int64), masks=masks)


@given(st.integers(0, 2**31), st.integers(0, 5), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_overlaps_are_pycocotools(seed: int, n: int, m: int) -> None:
    random = torch.Generator().manual_seed(seed)
    a, b = (Masks.from_dense(torch.rand(count, 7, 9, generator=random) > 0.6) for count in (n, m))
    found = mask_overlaps(a, b)
    assert found.shape == (n, m)
    if n and m:
        np.testing.assert_allclose(found, coco.iou(a.to_rle(), b.to_rle(), [0] * m), atol=1e-12)


def test_masks_of_different_pictures() -> None:
    with pytest.raises(AnnotationError, match="cannot be compared"):
        mask_overlaps(Masks.blank(1, (4, 4)), Masks.blank(1, (4, 5)))


def test_by_hand() -> None:
    truth = scene((0, 0, 10, 10), (12, 12, 20, 20))
    assert bowl_score([truth], [truth]) == 1.0
    # One object is met with IoU 0.8: it counts at 0.5 to 0.75, six of ten thresholds; the other is missed.
    assert bowl_score([truth], [scene((0, 0, 10, 8))]) == pytest.approx(0.6 / 2)
    # The same and one false alarm: one hit of three.
    assert bowl_score([truth], [scene((0, 0, 10, 8), (0, 12, 5, 20))]) == pytest.approx(0.6 / 3)
    # Said twice, it counts once.
    assert bowl_score([truth], [scene((0, 0, 10, 8), (0, 0, 10, 8))]) == pytest.approx(0.6 / 3)


def test_nothing_there() -> None:
    empty, some = scene(), scene((0, 0, 5, 5))
    assert bowl_score([empty, empty], [empty, some]) == 0.5
    assert bowl_score([some], [Scene((20, 20))]) == 0.0
    assert np.isnan(bowl_score([Scene((20, 20))], [some]))
    with pytest.raises(AnnotationError, match="1 predictions for 2"):
        bowl_score([some, some], [some])


def test_where_objects_overlap_the_most_pairs_count() -> None:
    """The first prediction fits both objects, the second one only: taken greedily the first would leave it nothing."""
    truth = scene((0, 0, 10, 10), (0, 0, 10, 11))
    said = scene((0, 0, 10, 10), (0, 0, 10, 9))
    overlaps = mask_overlaps(said.masks, truth.masks)
    assert (overlaps > 0.8).all()
    assert bowl_score([truth], [said]) >= 0.6
