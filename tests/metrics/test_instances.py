"""Overlaps against pycocotools, and the Data Science Bowl's measure against cases worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from allsight.errors import AnnotationError
from allsight.metrics.instances import bowl_score, cross_fitted_bowl, mask_overlaps
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


def scored(masks: Masks, scores: list[float]) -> Scene:
    labels = torch.zeros(len(masks), dtype=torch.int64)
    return Scene(masks.size, masks.boxes(), labels, torch.tensor(scores), masks=masks)


def test_a_pixel_of_two_predictions_is_the_surer_ones() -> None:
    truth = scene((0, 0, 10, 10), (10, 0, 20, 10))
    masks = scene((0, 0, 10, 10), (0, 0, 20, 10)).masks
    assert masks is not None
    # What the first one has, the second one loses, and both fit; the other way round the first one has nothing left.
    assert bowl_score([truth], [scored(masks, [0.9, 0.8])]) == 1.0
    assert bowl_score([truth], [scored(masks, [0.8, 0.9])]) == pytest.approx(0.0)


@given(st.integers(0, 2**31), st.integers(0, 6), st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_the_measure_is_that_of_the_best_pairs(seed: int, objects: int, said: int) -> None:
    """Objects may overlap; predictions are made apart here, and paired by brute force."""
    random = np.random.default_rng(seed)

    def some(count: int) -> list[tuple[int, int, int, int]]:
        low = random.integers(0, 6, (count, 2))
        return [(x, y, x + w, y + h) for (x, y), (w, h) in zip(low, random.integers(4, 9, (count, 2)), strict=True)]

    truth, raw = scene(*some(objects)), scene(*some(said)).masks
    assert truth.masks is not None and raw is not None
    scores = random.random(said).round(1)
    order = np.argsort(-scores, kind="stable")
    dense = raw.dense().numpy()[order]
    apart = dense & (dense.cumsum(0) == 1) if said else dense
    for threshold in (0.0, 0.35):
        kept = apart[: int((scores >= threshold).sum())]
        precisions = []
        for least in np.arange(0.5, 0.96, 0.05):
            fits = np.array(
                [[(p & t).sum() / (p | t).sum() > least for t in truth.masks.dense().numpy()] for p in kept]
            )
            pairs = int(fits[linear_sum_assignment(fits, maximize=True)].sum()) if fits.size else 0
            precisions.append(pairs / max(objects + len(kept) - pairs, 1))
        expected = np.mean(precisions) if len(kept) else float(objects == 0)
        found = bowl_score([truth], [scored(raw, scores.tolist())], threshold)
        assert found == pytest.approx(expected)


def test_each_half_is_judged_at_the_threshold_of_the_other() -> None:
    truth = scene((0, 0, 10, 10))
    both = scene((0, 0, 10, 10), (10, 10, 15, 15)).masks
    assert both is not None
    good = scored(both, [0.9, 0.3])  # best from 0.35 on
    bad = scored(both, [0.4, 0.1])  # best up to 0.4
    assert cross_fitted_bowl([truth] * 4, [good] * 4) == 1.0
    # The first half asks for 0.35, which suits the second; the second asks for 0.15 and leaves the first its mistake.
    assert cross_fitted_bowl([truth] * 2, [good, bad]) == pytest.approx((0.5 + 1.0) / 2)
    assert np.isnan(cross_fitted_bowl([truth], [good]))
