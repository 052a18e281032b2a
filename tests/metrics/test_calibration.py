"""Calibration: bins by hand, fits against scikit-learn and a search over a grid."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax
from sklearn.calibration import _SigmoidCalibration

from allsight.metrics.calibration import (
    Platt,
    Temperature,
    crosswise,
    fit_platt,
    fit_temperature,
    halves,
    judged_detections,
    logit,
    reliability,
)
from allsight.scene import Scene, Vocabulary

CLASSES = Vocabulary(("ant", "bee"))


def test_bins_by_hand() -> None:
    found = reliability(np.array([0.0, 0.1, 0.5, 0.55, 0.9, 1.0]), np.array([0, 1, 1, 0, 1, 1], dtype=bool), bins=2)
    np.testing.assert_allclose(found.confidence, [0.2, (0.55 + 0.9 + 1) / 3])
    np.testing.assert_allclose(found.accuracy, [2 / 3, 2 / 3])
    assert found.count.tolist() == [3, 3]
    assert found.error == pytest.approx((abs(0.2 - 2 / 3) + abs(2.45 / 3 - 2 / 3)) / 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=40), st.integers(1, 20))
def test_error_is_what_a_loop_says(answers: list[tuple[float, bool]], bins: int) -> None:
    found = reliability(np.array([c for c, _ in answers]), np.array([h for _, h in answers], dtype=bool), bins)
    if not answers:
        assert np.isnan(found.error)
        return
    place = [min(max(int(np.ceil(c * bins)), 1), bins) for c, _ in answers]
    error = 0.0
    for bin_ in range(1, bins + 1):
        mine = [a for a, where in zip(answers, place, strict=True) if where == bin_]
        if mine:
            error += abs(sum(h for _, h in mine) - sum(c for c, _ in mine)) / len(answers)
    assert found.error == pytest.approx(error, abs=1e-9)
    assert found.count.sum() == len(answers)


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores' logits, and hits that are as likely as the logits 2 x - 1 say."""
    numbers = np.random.default_rng(seed)
    logits = numbers.normal(0, 2, count)
    return logits, numbers.random(count) < expit(2 * logits - 1)


@pytest.mark.parametrize("count", [5, 200, 4000])
def test_platt_is_that_of_scikit_learn(count: int) -> None:
    logits, hits = drawn(count)
    found = fit_platt(logits, hits)
    theirs = _SigmoidCalibration().fit(logits, hits)
    assert found is not None
    assert found.scale == pytest.approx(-theirs.a_, rel=1e-3, abs=1e-3)
    assert found.shift == pytest.approx(-theirs.b_, rel=1e-3, abs=1e-3)


def test_platt_finds_what_made_the_scores() -> None:
    found = fit_platt(*drawn(20_000))
    assert found is not None
    assert (found.scale, found.shift) == (pytest.approx(2, abs=0.15), pytest.approx(-1, abs=0.1))


@pytest.mark.parametrize("hits", [np.ones(4, dtype=bool), np.zeros(4, dtype=bool), np.zeros(0, dtype=bool)])
def test_nothing_to_fit(hits: np.ndarray) -> None:
    assert fit_platt(np.zeros(len(hits)), hits) is None


def test_platt_stays_finite_and_keeps_the_order_where_it_can_only_go_wrong() -> None:
    parted = fit_platt(np.array([-1.0, -0.5, 0.5, 1]), np.array([False, False, True, True]))
    turned = fit_platt(np.array([-1.0, -0.5, 0.5, 1]), np.array([True, True, False, False]))
    assert parted is not None
    assert turned is not None
    assert np.isfinite([parted.scale, parted.shift]).all()
    scores = torch.linspace(0, 1, 50)
    for fit in (parted, turned):
        assert (fit(scores).diff() >= 0).all()
        assert fit(scores).isfinite().all()


def test_temperature_is_the_best_of_a_grid() -> None:
    numbers = np.random.default_rng(0)
    logits = numbers.normal(0, 1, (800, 5))
    labels = (logits + numbers.gumbel(0, 1, logits.shape)).argmax(1)  # as likely as the softmax says
    found = fit_temperature(3 * logits, labels).value
    grid = np.exp(np.linspace(-2, 3, 501))
    surprise = [-log_softmax(3 * logits / t, axis=1)[np.arange(800), labels].mean() for t in grid]
    assert found == pytest.approx(grid[int(np.argmin(surprise))], rel=0.02)
    assert found == pytest.approx(3, rel=0.15)


def test_temperature_of_a_model_that_is_always_right_is_bounded() -> None:
    found = fit_temperature(np.eye(3), np.arange(3)).value
    assert np.exp(-5) <= found < 0.1


def test_temperature_needs_no_logits() -> None:
    logits = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Temperature(2.5)(logits.softmax(1)), (logits / 2.5).softmax(1))
    certain = torch.tensor([[1.0, 0.0, 0.0]])
    assert Temperature(2.0)(certain).isfinite().all()
    assert Temperature(2.0)(certain).argmax() == 0


def test_platt_by_hand() -> None:
    scores = torch.tensor([0.0, 0.5, 1.0])
    said = Platt(2.0, -1.0)(scores)
    assert said[1].item() == pytest.approx(expit(-1), abs=1e-6)
    assert said[0] < 1e-9
    assert said[2] > 1 - 1e-6
    np.testing.assert_allclose(logit(np.array([0.5, 0.9])), [0, np.log(9)])
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def scene(*rows: tuple[float, int, float], **fields: object) -> Scene:
    x, labels, scores = torch.tensor(rows).reshape(-1, 3).unbind(1)
    boxes = torch.stack([x, 0 * x, x + 10, 0 * x + 10], dim=1)
    return Scene((10, 999), boxes, labels.long(), scores, object_classes=CLASSES, **fields)  # type: ignore[arg-type]


def test_detections_are_right_or_wrong_or_left_out() -> None:
    truth = scene((0, 0, 1), (100, 0, 1), (200, 1, 1), crowd=torch.tensor([False, False, True]))
    said = scene((1, 0, 0.9), (0, 0, 0.8), (100, 1, 0.7), (201, 1, 0.6))
    nobody_looked = Scene((10, 999), object_classes=CLASSES)
    rows, hits = judged_detections([nobody_looked, truth], [said, said])
    assert rows.pictures.tolist() == [1, 1, 1]
    assert rows.rows.tolist() == [0, 1, 2]
    assert hits.tolist() == [True, False, False]


def test_no_objects_at_all() -> None:
    rows, hits = judged_detections([scene()], [scene()])
    assert len(rows) == len(hits) == 0


def test_each_half_is_judged_by_the_other() -> None:
    groups = np.array([0, 0, 1, 2, 3, 3, 3])
    asked = []

    def fitted(fit: np.ndarray, use: np.ndarray) -> np.ndarray:
        asked.append(set(groups[fit]))
        assert not set(groups[fit]) & set(groups[use])
        return groups[use].astype(float)

    np.testing.assert_array_equal(crosswise(groups, fitted), groups)
    assert asked[0] | asked[1] == {0, 1, 2, 3}
    assert halves(7).sum() == 3
    assert halves(0).tolist() == []
    assert len(crosswise(np.zeros(0, dtype=int), lambda fit, use: np.zeros(0))) == 0
