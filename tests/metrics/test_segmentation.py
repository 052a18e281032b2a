"""Scores of regions against slow twins, and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from allsight.errors import AnnotationError
from allsight.metrics.segmentation import BoundaryScores, RegionCounts, boundary_f1

CLASSES = 4


def maps(seed: int, height: int = 9, width: int = 12, classes: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Return prediction and truth, the latter in blotches and partly ignored; the last class never occurs."""
    random = np.random.default_rng(seed)
    truth = np.kron(random.integers(0, classes - 1, (3, 3)), np.ones((height // 3, width // 3), dtype=np.int64))
    prediction = np.where(random.random(truth.shape) < 0.3, random.integers(0, classes - 1, truth.shape), truth)
    truth[random.random(truth.shape) < 0.1] = 255
    prediction[0, 0] = 255
    return prediction, truth


def slow_scores(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float, float]:
    """Mean IoU, pixel accuracy and class accuracy, pixel by pixel with sets."""
    said, true = {c: set() for c in range(CLASSES)}, {c: set() for c in range(CLASSES)}
    pixels = right = 0
    for number, (prediction, truth) in enumerate(pairs):
        for place in np.ndindex(truth.shape):
            s, t = int(prediction[place]), int(truth[place])
            if t == 255:
                continue
            pixels, right = pixels + 1, right + (s == t)
            true[t].add((number, *place))
            if s != 255:
                said[s].add((number, *place))
    ious = [len(said[c] & true[c]) / len(said[c] | true[c]) for c in range(CLASSES) if said[c] | true[c]]
    recalls = [len(said[c] & true[c]) / len(true[c]) for c in range(CLASSES) if true[c]]
    return sum(ious) / len(ious), right / pixels, sum(recalls) / len(recalls)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=4))
@settings(max_examples=30, deadline=None)
def test_streamed_counts_are_exactly_those_of_all_pictures_at_once(seeds: list[int]) -> None:
    pairs = [maps(seed) for seed in seeds]
    counts = RegionCounts(CLASSES)
    for prediction, truth in pairs:
        counts.add(torch.from_numpy(prediction), torch.from_numpy(truth))
    found = counts.scores()
    expected = slow_scores(pairs)
    assert (found.mean_iou, found.pixel_accuracy, found.class_accuracy) == pytest.approx(expected, rel=1e-12)
    assert found.iou[-1].isnan()
    assert int(counts.matrix.sum()) == sum((truth != 255).sum() for _, truth in pairs)


def test_by_hand() -> None:
    counts = RegionCounts(3)
    alone = counts.add(torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 255]]))
    assert alone.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    found = counts.scores()
    assert found.iou[:2].tolist() == [0.5, 0.5]
    assert (found.mean_iou, found.pixel_accuracy, found.class_accuracy) == (0.5, 2 / 3, 0.75)


def test_nothing_annotated_gives_no_figure_and_wrong_input_one_line() -> None:
    counts = RegionCounts(2)
    counts.add(torch.zeros(2, 2), torch.full((2, 2), 255))
    assert np.isnan(counts.scores().mean_iou)
    for prediction, truth in ((torch.zeros(2, 2), torch.zeros(2, 3)), (torch.zeros(2, 2), torch.full((2, 2), 7))):
        with pytest.raises(AnnotationError) as caught:
            counts.add(prediction, truth)
        assert "\n" not in str(caught.value)


def slow_boundary_f1(prediction: np.ndarray, truth: np.ndarray, classes: int, pixels: float) -> np.ndarray:
    """Class by class with loops for the borders and scipy's distance transform for the tolerance."""

    def border(labels: np.ndarray, c: int) -> np.ndarray:
        found = np.zeros(labels.shape, dtype=bool)
        for y, x in zip(*np.nonzero(labels == c), strict=True):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < labels.shape[0] and 0 <= u < labels.shape[1]:
                    found[y, x] |= labels[v, u] not in (c, 255)
        return found

    def met(one: np.ndarray, other: np.ndarray) -> float:
        if not one.any() or not other.any():
            return 0.0
        return float((distance_transform_edt(~other)[one] <= pixels).mean())

    prediction = np.where(truth == 255, 255, prediction)
    result = np.full(classes, np.nan)
    for c in range(classes):
        said, true = border(prediction, c), border(truth, c)
        if said.any() or true.any():
            precision, recall = met(said, true), met(true, said)
            result[c] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return result


@given(st.integers(0, 1000), st.sampled_from([1, 1.5, 2, 3.7, 5, 40]))
@settings(max_examples=40, deadline=None)
def test_boundary_f1_is_that_of_distance_transforms(seed: int, pixels: float) -> None:
    prediction, truth = maps(seed, height=12, width=15)
    np.testing.assert_allclose(
        boundary_f1(prediction, truth, CLASSES, pixels), slow_boundary_f1(prediction, truth, CLASSES, pixels)
    )


def test_boundary_f1_of_more_classes_than_a_word_has_bits() -> None:
    prediction, truth = maps(3, height=30, width=30, classes=150)
    found = boundary_f1(prediction, truth, 150, 2)
    np.testing.assert_allclose(found, slow_boundary_f1(prediction, truth, 150, 2))
    assert np.isfinite(found).sum() > 3


def test_boundary_tolerance_and_means() -> None:
    truth = torch.zeros(40, 60, dtype=torch.int64)
    truth[:, 30:] = 1
    moved = torch.zeros_like(truth)
    moved[:, 32:] = 1
    for tolerance, expected in ((1, 0.0), (2, 1.0), (0.01, 0.0), (0.03, 1.0)):  # the diagonal is 72 pixels
        scores = BoundaryScores(3, tolerance)
        scores.add(moved, truth)
        assert scores.mean() == expected
        scores.add(truth, truth)
        assert scores.per_class()[:2].tolist() == [(1 + expected) / 2] * 2
        assert np.isnan(scores.per_class()[2])
    assert np.isnan(BoundaryScores(3).mean())


def test_the_edge_of_what_is_not_annotated_is_no_border() -> None:
    truth = torch.zeros(8, 8, dtype=torch.int64)
    truth[:, 5:] = 255
    prediction = torch.zeros(8, 8, dtype=torch.int64)
    prediction[:, 5:] = 1
    assert np.isnan(boundary_f1(prediction.numpy(), truth.numpy(), 2, 1)).all()
