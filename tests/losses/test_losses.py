"""Losses against hand-computed values and brute force."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from allsight.losses.boxes import giou, smooth_l1
from allsight.losses.focal import sigmoid_focal_loss
from allsight.ops.boxes import encode


@given(st.floats(-50, 50), st.integers(0, 1), st.floats(0, 5), st.floats(0, 1))
def test_focal_loss_is_equation_5(logit, target, gamma, alpha):
    p = 1 / (1 + math.exp(-logit))
    p_t = p if target else 1 - p
    alpha_t = alpha if target else 1 - alpha
    if p_t < 1e-12 or p_t > 1 - 1e-12:
        return  # the plain formula itself loses its digits here
    expected = -alpha_t * (1 - p_t) ** gamma * math.log(p_t)
    found = sigmoid_focal_loss(torch.tensor([logit]), torch.tensor([target]), alpha=alpha, gamma=gamma)
    assert float(found) == pytest.approx(expected, rel=1e-3, abs=1e-6)


def test_focal_loss_without_focus_is_cross_entropy():
    logits, targets = torch.randn(7, 5), (torch.rand(7, 5) > 0.5).float()
    expected = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    torch.testing.assert_close(sigmoid_focal_loss(logits, targets, alpha=-1, gamma=0), expected)


def test_focal_loss_of_wild_logits_and_its_gradient_are_finite():
    logits = torch.tensor([-1e4, 1e4, -80.0, 80.0, 0.0], requires_grad=True)
    for target in (0.0, 1.0):
        loss = sigmoid_focal_loss(logits, torch.full((5,), target))
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


def test_published_example_of_the_focal_loss():
    # Lin et al. 2017, section 3.2: with gamma = 2 an example at p_t = 0.9 costs 100 times less than cross-entropy.
    logit = torch.tensor([math.log(0.9 / 0.1)])
    ratio = sigmoid_focal_loss(logit, torch.ones(1), alpha=-1, gamma=0) / sigmoid_focal_loss(
        logit, torch.ones(1), alpha=-1, gamma=2
    )
    assert float(ratio) == pytest.approx(100, rel=1e-4)


def test_box_losses_are_zero_on_the_truth_and_positive_elsewhere():
    anchors = torch.tensor([[0.0, 0, 10, 10], [5, 5, 25, 15]])
    boxes = torch.tensor([[1.0, 2, 11, 9], [4, 4, 20, 18]])
    exact = encode(boxes, anchors)
    for loss in (smooth_l1, giou):
        torch.testing.assert_close(loss(exact, anchors, boxes), torch.zeros(2), atol=1e-5, rtol=0)
        assert (loss(exact + 0.3, anchors, boxes) > 0.01).all()


def test_smooth_l1_is_quadratic_near_and_linear_far():
    anchor = torch.tensor([[0.0, 0, 10, 10]])
    delta = torch.tensor([[0.05, 0, 0, 0], [2.0, 0, 0, 0]])
    found = smooth_l1(delta, anchor.expand(2, 4), anchor.expand(2, 4), beta=0.1)
    torch.testing.assert_close(found, torch.tensor([0.5 * 0.05**2 / 0.1, 2 - 0.05]))


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, -1.0), (1.5, 0.25), (2.0, -1.0)])
def test_focal_gradient_is_that_of_the_formula(gamma: float, alpha: float):
    torch.manual_seed(0)
    logits = (3 * torch.randn(5, 7, dtype=torch.float64)).float().requires_grad_()
    targets = (torch.rand(5, 7) > 0.5).float()
    right = torch.where(targets > 0, logits.sigmoid(), (-logits).sigmoid())
    weight = torch.where(targets > 0, alpha, 1 - alpha) if alpha >= 0 else 1.0
    (expected,) = torch.autograd.grad((-weight * (1 - right) ** gamma * right.log()).sum(), logits)
    (found,) = torch.autograd.grad(sigmoid_focal_loss(logits, targets, alpha=alpha, gamma=gamma).sum(), logits)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
