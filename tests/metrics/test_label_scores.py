"""Measures of labels against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from allsight.metrics.classification import confusion_matrix, mean_average_precision, top_k

sklearn = pytest.importorskip("sklearn.metrics")


@pytest.mark.parametrize("k", [1, 5])
def test_top_k_as_scikit_learn(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.rand(500, 20, generator=generator), torch.randint(0, 20, (500,), generator=generator)
    wanted = sklearn.top_k_accuracy_score(labels.numpy(), scores.numpy(), k=k, labels=range(20))
    assert top_k(scores, labels, k) == pytest.approx(wanted)


def test_a_model_that_always_says_the_same_is_not_right() -> None:
    labels = torch.tensor([0, 1, 2])
    assert top_k(torch.zeros(3, 3), labels) == 0
    assert top_k(torch.full((3, 3), torch.nan), labels) == 0
    assert math.isnan(top_k(torch.zeros(0, 3), labels[:0]))


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([3, 1000]))
def test_average_precision_as_scikit_learn(seed: int, count: int, levels: int) -> None:
    numbers = np.random.default_rng(seed)
    scores, targets = numbers.integers(0, levels, (count, 4)) / levels, numbers.random((count, 4)) < 0.4
    targets[0] = True
    mean, per_class = mean_average_precision(torch.from_numpy(scores), torch.from_numpy(targets))
    wanted = sklearn.average_precision_score(targets, scores, average=None)
    np.testing.assert_allclose(per_class.numpy(), wanted, atol=1e-9)
    assert mean == pytest.approx(wanted.mean())


def test_a_class_without_examples_is_left_out() -> None:
    targets = torch.tensor([[True, False], [False, False]])
    mean, per_class = mean_average_precision(torch.tensor([[0.9, 0.5], [0.1, 0.5]]), targets)
    assert mean == per_class[0] == 1
    assert per_class[1].isnan()


def test_confusion_as_scikit_learn() -> None:
    predicted, labels = torch.randint(0, 7, (2, 300), generator=torch.Generator().manual_seed(1))
    wanted = sklearn.confusion_matrix(labels.numpy(), predicted.numpy(), labels=range(7))
    assert confusion_matrix(predicted, labels, 7).tolist() == wanted.tolist()
