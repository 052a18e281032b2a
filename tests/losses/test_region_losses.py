"""Losses of regions against plain twins in loops, on corners where they are known, and with wild numbers."""

import itertools
import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allsight.losses.cross_entropy import median_frequency_weights, pixel_cross_entropy
from allsight.losses.dice import dice_loss
from allsight.losses.lovasz import lovasz_hinge, lovasz_softmax
from allsight.losses.relaxation import relaxed_cross_entropy

LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": pixel_cross_entropy,
    "weighted": partial(pixel_cross_entropy, weights=torch.tensor([0.2, 1.0, 3.0])),
    "dice": dice_loss,
    "lovasz": lovasz_softmax,
    "lovasz all": partial(lovasz_softmax, present=False),
    "lovasz per image": partial(lovasz_softmax, per_image=True),
    "relaxed": relaxed_cross_entropy,
    "relaxed weighted": partial(relaxed_cross_entropy, weights=torch.tensor([0.2, 1.0, 3.0])),
}


def example(seed: int = 0, ignored: float = 0.2) -> tuple[Tensor, Tensor]:
    """Return logits (2, 3, 5, 6) and a truth with ignored pixels."""
    random = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(2, 3, 5, 6, generator=random, dtype=torch.float64)
    truth = torch.randint(0, 3, (2, 5, 6), generator=random)
    truth[torch.rand(truth.shape, generator=random) < ignored] = 255
    return logits, truth


def jaccard_loss(said: np.ndarray, true: np.ndarray) -> float:
    """1 - intersection over union of two sets of pixels; 0 if both are empty."""
    union = (said | true).sum()
    return 0.0 if union == 0 else 1 - float((said & true).sum() / union)


def lovasz_by_definition(errors: list[float], true: list[bool]) -> float:
    """The errors in descending order, each times what its pixel adds to the Jaccard loss."""
    order = sorted(range(len(errors)), key=lambda i: -errors[i])
    own, total, wrong, before = np.array(true), 0.0, np.zeros(len(true), dtype=bool), 0.0
    for i in order:
        wrong[i] = True
        now = jaccard_loss(own ^ wrong, own)  # the set in which exactly the pixels so far are mispredicted
        total += errors[i] * (now - before)
        before = now
    return total


@given(st.integers(0, 10_000), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_lovasz_softmax_is_its_definition(seed: int, present: bool, per_image: bool) -> None:
    logits, truth = example(seed, ignored=0.4)
    probabilities = logits.softmax(1)
    pictures = [(probabilities[[i]], truth[[i]]) for i in range(2)] if per_image else [(probabilities, truth)]
    means = []
    for p, t in pictures:
        losses = []
        for c in range(3):
            known = t != 255
            own = (t[known] == c).tolist()
            if present and not any(own):
                continue
            errors = [1 - x if is_own else x for x, is_own in zip(p[:, c][known].tolist(), own, strict=True)]
            losses.append(lovasz_by_definition(errors, own))
        means.append(sum(losses) / max(1, len(losses)))
    found = lovasz_softmax(logits, truth, present=present, per_image=per_image)
    assert float(found) == pytest.approx(sum(means) / len(means), abs=1e-6)


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=30, deadline=None)
def test_lovasz_hinge_is_its_definition(seed: int, per_image: bool) -> None:
    logits, truth = example(seed)
    scores, truth = logits[:, 0], torch.where(truth == 2, 0, truth)
    pictures = [(scores[[i]], truth[[i]]) for i in range(2)] if per_image else [(scores, truth)]
    means = []
    for f, t in pictures:
        known = t != 255
        own = (t[known] == 1).tolist()
        signed = zip(f[known].tolist(), own, strict=True)
        means.append(lovasz_by_definition([max(1 - x * (1 if is_own else -1), 0) for x, is_own in signed], own))
    found = lovasz_hinge(scores, truth, per_image=per_image)
    assert float(found) == pytest.approx(sum(means) / len(means), rel=1e-5, abs=1e-6)


def test_on_the_corners_lovasz_is_the_jaccard_loss() -> None:
    for said in itertools.product((0, 1), repeat=4):
        for true in itertools.product((0, 1), repeat=4):
            truth = torch.tensor(true).reshape(1, 2, 2)
            sure = torch.tensor(said).reshape(1, 2, 2)
            logits = 1e4 * torch.stack([1 - sure, sure], 1).double()
            shown = sorted(set(true))
            losses = [jaccard_loss(np.array(said) == c, np.array(true) == c) for c in shown]
            assert float(lovasz_softmax(logits, truth)) == pytest.approx(sum(losses) / len(losses), abs=1e-6)
            # The hinge of a wrong pixel at score 1 is 2, of a right one 0: twice the Jaccard loss of the foreground.
            hinge = lovasz_hinge((2.0 * sure - 1), truth)
            assert float(hinge) == pytest.approx(2 * jaccard_loss(np.array(said) == 1, np.array(true) == 1), abs=1e-6)


def test_cross_entropy_is_the_mean_over_known_pixels() -> None:
    logits, truth = example()
    expected = F.cross_entropy(logits, truth, ignore_index=255)
    assert float(pixel_cross_entropy(logits, truth)) == pytest.approx(float(expected), rel=1e-6)
    for weights in (torch.tensor([0.2, 1.0, 3.0]), 1e-4 * torch.tensor([0.2, 1.0, 3.0])):
        expected = F.cross_entropy(logits, truth, weights.double(), ignore_index=255)
        found = pixel_cross_entropy(logits, truth, weights=weights)
        assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_dice_by_hand() -> None:
    # p = (0.8, 0.4) for class 0 on two pixels of classes 0 and 1; a third pixel is ignored.
    p = torch.tensor([0.8, 0.4, 0.9])
    logits = torch.stack([p, 1 - p]).log().reshape(1, 2, 1, 3)
    truth = torch.tensor([[[0, 1, 255]]])
    first = 1 - 2 * 0.8 / (0.8**2 + 0.4**2 + 1)
    second = 1 - 2 * 0.6 / (0.2**2 + 0.6**2 + 1)
    assert float(dice_loss(logits, truth)) == pytest.approx((first + second) / 2, rel=1e-5)


@given(st.integers(0, 10_000), st.integers(1, 2))
@settings(max_examples=30, deadline=None)
def test_relaxation_is_minus_log_of_the_summed_probabilities(seed: int, radius: int) -> None:
    logits, truth = example(seed)
    probabilities = logits.softmax(1)
    losses = []
    for b, y, x in itertools.product(range(2), range(5), range(6)):
        if truth[b, y, x] == 255:
            continue
        window = truth[b, max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1]
        classes = [c for c in window.unique().tolist() if c != 255]
        losses.append(-math.log(sum(float(probabilities[b, c, y, x]) for c in classes)))
    found = relaxed_cross_entropy(logits, truth, radius=radius)
    assert float(found) == pytest.approx(sum(losses) / len(losses), rel=1e-5, abs=1e-6)


def test_relaxation_is_cross_entropy_where_one_class_is_around() -> None:
    logits, truth = example()[0], torch.full((2, 5, 6), 1)
    weights = torch.tensor([0.2, 1.0, 3.0])
    assert float(relaxed_cross_entropy(logits, truth)) == pytest.approx(float(pixel_cross_entropy(logits, truth)))
    truth[1] = 2
    found, expected = (loss(logits, truth, weights=weights) for loss in (relaxed_cross_entropy, pixel_cross_entropy))
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_pixels_have_no_say(name: str) -> None:
    logits, truth = example()
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(LOSSES[name](logits, truth), logits)
    ignored = (truth == 255)[:, None].expand_as(logits)
    assert (gradient[ignored] == 0).all()
    changed = torch.where(ignored, 7 * logits.detach() + 1, logits.detach())
    before, after = (float(LOSSES[name](x, truth)) for x in (logits.detach(), changed))
    assert after == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_wild_logits_and_nothing_known_are_finite(name: str, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(0)
    wild = torch.tensor([-1e4, -80.0, 0.0, 80.0, 1e4])[torch.randint(0, 5, (2, 3, 5, 6), generator=random)]
    for truth in (example()[1], torch.full((2, 5, 6), 255), torch.zeros(2, 5, 6, dtype=torch.int64)):
        logits = wild.to(dtype).requires_grad_()
        loss = LOSSES[name](logits, truth)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite()
        assert gradient.isfinite().all()
        if (truth == 255).all():
            assert loss == 0


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name: str) -> None:
    logits, truth = example()
    assert torch.autograd.gradcheck(lambda x: LOSSES[name](x, truth), logits.requires_grad_())


def test_lovasz_descends_where_it_counts() -> None:
    # A small class that is missed altogether: the loss must pull at it harder than its share of the pixels.
    truth = torch.zeros(1, 10, 10, dtype=torch.int64)
    truth[0, 4:6, 4:6] = 1
    logits = torch.zeros(1, 2, 10, 10)
    logits[:, 0] = 2
    logits.requires_grad_()
    shares = []
    for loss in (pixel_cross_entropy, lovasz_softmax):
        (gradient,) = torch.autograd.grad(loss(logits, truth), logits)
        size = gradient[0, 1].abs()
        shares.append(float(size[4:6, 4:6].sum() / size.sum()))
    assert shares[1] > shares[0]


def test_median_frequency_by_hand() -> None:
    # Eigen and Fergus: class 0 is in both pictures (150 of 200 pixels), 1 in the first (40 of 100), 2 in the second.
    counts = torch.tensor([[60, 40, 0, 0], [90, 0, 10, 0]])
    frequency = [150 / 200, 40 / 100, 10 / 100]
    expected = [0.4 / f for f in frequency] + [0.0]
    torch.testing.assert_close(median_frequency_weights(counts), torch.tensor(expected))
    assert median_frequency_weights(torch.zeros(2, 3)).tolist() == [0, 0, 0]
