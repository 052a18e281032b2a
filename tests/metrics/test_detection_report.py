"""What a report tells: curves, thresholds, confusions and the worst pictures."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allsight.metrics.coco import coco_scores
from allsight.metrics.detection import (
    NEVER,
    box_confusion,
    picture_scores,
    precision_recall,
    threshold_at_best_f1,
    threshold_at_precision,
)
from allsight.metrics.matching import greedy
from allsight.scene import Scene, Vocabulary

Made = Callable[..., tuple[list[Scene], list[Scene]]]
CLASSES = Vocabulary(("ant", "bee"))


def scene(*rows: tuple[float, int, float], crowd: list[bool] | None = None) -> Scene:
    """Boxes 10 wide at x, of a label, with a score."""
    x = torch.tensor([row[0] for row in rows]).reshape(-1, 1).float()
    return Scene(
        (10, 1000),
        boxes=torch.cat([x, torch.zeros_like(x), x + 10, torch.full_like(x, 10)], dim=1),
        labels=torch.tensor([row[1] for row in rows], dtype=torch.int64),
        scores=torch.tensor([row[2] for row in rows]).float(),
        crowd=None if crowd is None else torch.tensor(crowd),
        object_classes=CLASSES,
    )


TRUTH = scene((0, 0, 1), (100, 0, 1), (200, 0, 1), (300, 1, 1))
PREDICTED = scene((1, 0, 0.9), (0, 0, 0.8), (101, 0, 0.7), (500, 0, 0.7), (300, 0, 0.6), (200, 0, 0.5))


def test_curve_by_hand() -> None:
    curves = precision_recall([TRUTH], [PREDICTED])
    ant = curves["ant"]
    np.testing.assert_allclose(ant.scores, [0.9, 0.8, 0.7, 0.6, 0.5])
    np.testing.assert_allclose(ant.precision, [1, 1 / 2, 2 / 4, 2 / 5, 3 / 6])
    np.testing.assert_allclose(ant.recall, [1 / 3, 1 / 3, 2 / 3, 2 / 3, 1])
    assert ant.objects == 3
    assert len(curves["bee"].scores) == 0


def test_area_under_the_curve_is_cocos_ap50(made: Made) -> None:
    """COCO samples the monotone curve at 101 recalls; ours has every step of it, once scores are distinct."""
    truths, predictions = made(60, seed=3)
    generator = torch.Generator().manual_seed(0)
    predictions = [p.with_(scores=torch.rand(len(p), generator=generator)) for p in predictions]
    truths = [t.with_(difficult=None) for t in truths]
    wanted = coco_scores(truths, predictions).per_class_ap50
    for name, curve in precision_recall(truths, predictions).items():
        envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
        area = (np.diff(curve.recall, prepend=0) * envelope).sum()
        assert area == pytest.approx(wanted[name], abs=0.02)


def test_threshold_is_the_lowest_at_which_enough_is_right() -> None:
    thresholds = threshold_at_precision([TRUTH], [PREDICTED], 0.5)
    assert thresholds == pytest.approx({"ant": 0.5, "bee": NEVER})
    assert threshold_at_precision([TRUTH], [PREDICTED], 0.7)["ant"] == pytest.approx(0.9)


def test_a_threshold_that_rests_on_too_few_hits_is_not_believed() -> None:
    assert threshold_at_precision([TRUTH], [PREDICTED], 0.7, least_hits=2)["ant"] == NEVER
    assert threshold_at_precision([TRUTH], [PREDICTED], 0.5, least_hits=3)["ant"] == pytest.approx(0.5)


def test_best_f1_by_hand() -> None:
    # F1 of the five thresholds: 1/2, 2/5, 4/7, 1/2, 2/3.
    assert threshold_at_best_f1([TRUTH], [PREDICTED]) == pytest.approx({"ant": 0.5, "bee": NEVER})


def test_thresholds_keep_their_promise(made: Made) -> None:
    truths, predictions = made(60, seed=4)
    predictions = [p.with_(scores=(p.scores + (p.labels == 0)) / 2) for p in predictions]  # type: ignore[operator]
    for name, threshold in threshold_at_precision(truths, predictions, 0.4).items():
        curve = precision_recall(truths, predictions).get(name)
        if threshold < 1 and curve is not None:
            assert curve.precision[np.flatnonzero(curve.scores >= threshold)[-1]] >= 0.4


def test_confusion_by_hand() -> None:
    matrix, names = box_confusion([TRUTH], [PREDICTED], threshold=0.55)
    assert names == ("ant", "bee", "background")
    # ant found twice and missed once; the bee taken for an ant; a double and a phantom.
    assert matrix.tolist() == [[2, 0, 1], [1, 0, 0], [2, 0, 0]]


def test_confusion_counts_everything_once(made: Made) -> None:
    truths, predictions = made(40, seed=6)
    truths = [t.with_(difficult=None, crowd=None) for t in truths]
    matrix, names = box_confusion(truths, predictions, threshold=0.0)
    assert matrix[:-1].sum() == sum(len(t) for t in truths)
    assert matrix[:, :-1].sum() == sum(len(p) for p in predictions)
    there, said = (Counter(name for scene in scenes for name in scene.names()) for scenes in (truths, predictions))
    assert matrix.sum(1)[:-1].tolist() == [there[name] for name in names[:-1]]
    assert matrix.sum(0)[:-1].tolist() == [said[name] for name in names[:-1]]


def test_crowds_are_neither_here_nor_there() -> None:
    truth = scene((0, 0, 1), (100, 0, 1), crowd=[False, True])
    predicted = scene((0, 0, 0.9), (101, 0, 0.9), (99, 0, 0.9))
    assert precision_recall([truth], [predicted])["ant"].precision.tolist() == [1]
    assert box_confusion([truth], [predicted])[0].sum() == 1
    assert picture_scores([truth], [predicted]).tolist() == [1]


def test_picture_scores_are_f1() -> None:
    empty, unknown = scene(), Scene((10, 1000))
    scores = picture_scores([TRUTH, empty, unknown, empty], [PREDICTED, empty, PREDICTED, PREDICTED], threshold=0.55)
    np.testing.assert_allclose(scores[[0, 1, 3]], [2 * 2 / (4 + 5), 1, 0])
    assert math.isnan(scores[2])


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=40))
def test_greedy_takes_pairs_in_order(pairs: list[tuple[int, int]]) -> None:
    table = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    first: set[int] = set()
    second: set[int] = set()
    wanted = []
    for one, two in pairs:
        wanted.append(one not in first and two not in second)
        if wanted[-1]:
            first.add(one)
            second.add(two)
    assert greedy(table[:, 0], table[:, 1]).tolist() == wanted
