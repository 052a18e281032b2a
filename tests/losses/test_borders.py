"""Border weights against distances measured instance by instance, and the loss against a loop."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from allsight.losses import borders
from allsight.losses.borders import border_cross_entropy, border_weights, two_distances
from allsight.losses.cross_entropy import pixel_cross_entropy


def distances(instances: Tensor) -> np.ndarray:
    """Return (N, H, W): of every pixel the distance to each instance, pixel by pixel."""
    y, x = np.mgrid[: instances.shape[0], : instances.shape[1]]
    found = []
    for number in sorted(set(instances.flatten().tolist()) - {0}):
        places = (instances == number).nonzero().numpy()
        found.append(np.hypot(y[..., None] - places[:, 0], x[..., None] - places[:, 1]).min(-1))
    return np.stack(found)


@given(st.integers(2, 40), st.integers(0, 1000), st.sampled_from([0.02, 0.1, 0.6]))
@settings(max_examples=40, deadline=None)
def test_two_distances_are_those_of_a_plain_search(count: int, seed: int, filled: float) -> None:
    random = torch.Generator().manual_seed(seed)
    instances = torch.randint(0, count + 1, (17, 23), generator=random) * 7
    instances *= torch.rand(instances.shape, generator=random) < filled
    instances[3, 4], instances[9, 20] = 7, 14  # two at least, each in several pieces
    expected = np.sort(distances(instances), axis=0)
    for found, true in zip(two_distances(instances), expected, strict=False):
        np.testing.assert_allclose(found, true)


def test_weights_are_equation_2() -> None:
    instances = torch.zeros(9, 30, dtype=torch.int64)
    instances[2:7, 3:8] = 1
    instances[2:7, 11:20] = 2
    weights = border_weights(instances)
    assert weights.dtype == torch.float32
    # Columns 8, 9 and 10 lie between: at distances 1 and 3, 2 and 2, 3 and 1.
    torch.testing.assert_close(weights[4, 8:11], torch.full((3,), 10 * math.exp(-16 / 50)))
    assert weights[4, 25].item() == pytest.approx(10 * math.exp(-((6 + 18) ** 2) / 50))
    assert not weights[instances > 0].any()
    twice = border_weights(instances, w0=20, sigma=2)
    assert twice[4, 9].item() == pytest.approx(20 * math.exp(-16 / 8))


@pytest.mark.parametrize("instances", [torch.zeros(4, 5), torch.ones(4, 5), torch.eye(5)])
def test_fewer_than_two_instances_weigh_nothing(instances: Tensor) -> None:
    assert not border_weights(instances.long()).any()


def test_a_map_without_background() -> None:
    nearest, second = two_distances(torch.tensor([[5, 5, 9, 9]]))
    assert nearest.tolist() == [[0, 0, 0, 0]]
    assert second.tolist() == [[2, 1, 1, 2]]


@pytest.mark.parametrize("number", [1, 2, 3, 20, 21, 375])
def test_no_set_of_bits_holds_another(number: int) -> None:
    bits = borders._bits(number)
    assert len(bits) == number
    held = (bits[:, None] <= bits).all(-1)
    assert np.array_equal(held, np.eye(number, dtype=bool))
    assert bits.shape[1] <= 11


def test_many_instances_take_few_transforms(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    transform = borders.distance_transform_edt
    monkeypatch.setattr(borders, "distance_transform_edt", lambda *a, **k: made.append(1) or transform(*a, **k))
    instances = torch.zeros(20, 20, 4, 4, dtype=torch.int64)
    instances[..., 1:3, 1:3] = torch.arange(1, 401).reshape(20, 20, 1, 1)
    grid = instances.permute(0, 2, 1, 3).reshape(80, 80)[:, :76]
    weights = border_weights(grid)
    assert len(made) <= 12
    assert weights[3, 1].item() == pytest.approx(10 * math.exp(-9 / 50))  # 1 above, 2 below


def test_the_loss_is_the_weighted_sum_over_known_pixels() -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=random, dtype=torch.float64, requires_grad=True)
    truth = torch.randint(0, 3, (2, 4, 5), generator=random)
    truth[0, 0] = 255
    weights = torch.rand(2, 4, 5, generator=random)
    total, known = 0.0, 0
    for b in range(2):
        for i in range(4):
            for j in range(5):
                if truth[b, i, j] != 255:
                    known += 1
                    one = -logits[b, :, i, j].log_softmax(0)[truth[b, i, j]]
                    total += float(weights[b, i, j]) * float(one.detach())
    found = border_cross_entropy(logits, truth, weights)
    assert found.item() == pytest.approx(total / known)
    # With the mean cross-entropy it is equation 1 for weights 1 + w.
    each = F.cross_entropy(logits, truth, ignore_index=255, reduction="none")
    both = (each * (1 + weights)).sum() / known
    torch.testing.assert_close(found + pixel_cross_entropy(logits, truth), both)
    nothing = border_cross_entropy(logits, torch.full_like(truth, 255), weights)
    assert nothing.item() == 0
