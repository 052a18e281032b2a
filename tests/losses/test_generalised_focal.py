"""Quality and distribution focal loss against sums written out, and where they are least."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from allsight.losses.distribution_focal import distribution_focal_loss
from allsight.losses.focal import sigmoid_focal_loss
from allsight.losses.quality_focal import quality_focal_loss

numbers = st.floats(-8, 8, allow_nan=False)


@given(numbers, st.floats(0, 1))
def test_quality_focal_loss_by_hand(logit, quality):
    score = 1 / (1 + math.exp(-logit))
    expected = -((1 - quality) * math.log(1 - score) + quality * math.log(score)) * abs(quality - score) ** 2
    found = float(quality_focal_loss(torch.tensor(logit, dtype=torch.float64), torch.tensor(quality)))
    assert math.isclose(found, expected, rel_tol=1e-3, abs_tol=1e-5)


def test_quality_focal_loss_of_hard_labels_is_focal_loss():
    logits, targets = torch.randn(50), (torch.rand(50) > 0.5).float()
    torch.testing.assert_close(quality_focal_loss(logits, targets), sigmoid_focal_loss(logits, targets, alpha=-1))


def test_quality_focal_loss_is_zero_and_flat_where_the_score_is_the_quality():
    quality = torch.tensor([0.1, 0.5, 0.9])
    logits = quality.logit().requires_grad_()
    loss = quality_focal_loss(logits, quality)
    loss.sum().backward()
    torch.testing.assert_close(loss, torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(logits.grad, torch.zeros(3), atol=1e-5, rtol=0)


@given(st.lists(numbers, min_size=8, max_size=8), st.floats(0, 7))
def test_distribution_focal_loss_by_hand(logits, distance):
    weights = [math.exp(x) for x in logits]
    logs = [math.log(x / sum(weights)) for x in weights]
    left = min(int(distance), 6)
    expected = -((left + 1 - distance) * logs[left] + (distance - left) * logs[left + 1])
    found = float(distribution_focal_loss(torch.tensor(logits), torch.tensor(distance)))
    assert math.isclose(found, expected, rel_tol=1e-3, abs_tol=1e-4)


def test_distribution_focal_loss_is_least_where_the_two_neighbours_have_the_distance_for_their_mean():
    logits = torch.zeros(8, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200)

    def loss():
        optimizer.zero_grad()
        value = distribution_focal_loss(logits, torch.tensor(2.3))
        value.backward()
        return value

    optimizer.step(loss)
    shares = logits.detach().softmax(0)
    torch.testing.assert_close(shares[2:4], torch.tensor([0.7, 0.3]), atol=1e-2, rtol=0)
