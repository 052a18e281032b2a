"""Risk against coverage by all orders of equal answers, and the area under the ROC against scikit-learn."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from allsight.metrics.selective import auroc, risk_curve

answers = st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=60)
@given(answers)
def test_risk_is_the_mean_over_all_orders_of_equal_answers(given_: list[tuple[int, bool]]) -> None:
    curves = []
    for order in permutations(given_):
        if all(one[0] >= other[0] for one, other in pairwise(order)):
            curves.append(np.cumsum([wrong for _, wrong in order]) / np.arange(1, len(order) + 1))
    found = risk_curve(np.array([c for c, _ in given_], dtype=float), np.array([w for _, w in given_]))
    np.testing.assert_allclose(found.risk, np.mean(curves, axis=0), atol=1e-12)
    np.testing.assert_allclose(found.coverage, np.arange(1, len(given_) + 1) / len(given_))
    assert found.area == pytest.approx(np.mean(curves))


def test_risk_by_hand() -> None:
    curve = risk_curve(np.array([0.9, 0.2, 0.8, 0.5]), np.array([False, True, True, False]))
    np.testing.assert_allclose(curve.risk, [0, 1 / 2, 1 / 3, 2 / 4])
    assert [curve.at(share) for share in (0.0, 0.25, 0.26, 0.5, 1.0)] == [0, 0, 0.5, 0.5, 0.5]


def test_no_answers() -> None:
    curve = risk_curve(np.zeros(0), np.zeros(0, dtype=bool))
    assert np.isnan([curve.area, curve.at(1.0)]).all()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_auroc_is_that_of_scikit_learn(near: list[int], far: list[int]) -> None:
    expected = roc_auc_score([0] * len(near) + [1] * len(far), near + far)
    assert auroc(near, far) == pytest.approx(expected)


def test_auroc_of_nothing() -> None:
    assert np.isnan(auroc([], [1.0]))
    assert np.isnan(auroc([1.0], []))
