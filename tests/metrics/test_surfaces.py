"""Depth and normals: figures by hand and by numpy, and what is not annotated."""

import math

import numpy as np
import pytest
import torch

from allsight.data.made.still_lifes import still_lifes
from allsight.errors import AnnotationError
from allsight.losses.surfaces import cosine_distance, scale_invariant
from allsight.metrics.surfaces import depth_scores, normal_scores
from allsight.scene import Scene


def depth(values: list[list[float]]) -> Scene:
    return Scene((len(values), len(values[0])), depth=torch.tensor(values))


def normals(*vectors: tuple[float, float, float]) -> Scene:
    return Scene(
        (1, len(vectors)), normals=torch.nn.functional.normalize(torch.tensor(vectors).float(), dim=1).T[:, None]
    )


def test_depth_by_hand() -> None:
    truth, said = depth([[1.0, 2.0, 4.0, 0.0]]), depth([[1.2, 1.0, 4.0, 9.0]])
    found = depth_scores([truth], [said])
    assert found.relative == pytest.approx((0.2 + 0.5 + 0) / 3)
    assert found.rmse == pytest.approx(math.sqrt((0.04 + 1 + 0) / 3))
    assert found.within == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert depth_scores([truth], [depth([[-1.0, 2, 4, 1]])]).within[2] == pytest.approx(2 / 3)


def test_normals_by_hand() -> None:
    truth = normals((0, 0, -1), (0, 0, -1), (1, 0, -1), (0, 1, 0))
    said = normals((0, 0, -1), (0, math.tan(math.radians(20)), -1), (1, 0, 0), (0, -1, 0))
    found = normal_scores([truth], [said])
    assert found.mean == pytest.approx((0 + 20 + 45 + 180) / 4, abs=1e-4)
    assert found.median == pytest.approx((20 + 45) / 2, abs=1e-4)
    assert found.within == (0.25, 0.5, 0.5)


def test_made_scenes_and_nothing() -> None:
    truths = [example.scene for example in still_lifes(2)]
    assert depth_scores(truths, truths).within == (1.0, 1.0, 1.0)
    assert normal_scores(truths, truths).mean < 1e-3
    nothing = [Scene((4, 4))]
    assert math.isnan(depth_scores(nothing, nothing).relative)
    assert math.isnan(normal_scores(nothing, nothing).mean)
    with pytest.raises(AnnotationError, match="no predicted depth"):
        depth_scores(truths[:1], nothing)


def test_the_scale_invariant_error_is_equation_4() -> None:
    random = torch.Generator().manual_seed(0)
    logs, truth = torch.randn(2, 3, 4, generator=random), torch.rand(2, 3, 4, generator=random) + 0.1
    truth[0, 0, 0], truth[0, 0, 1] = 0.0, torch.nan
    for balance in (0.0, 0.5, 1.0):
        each = []
        for said, true in zip(logs.numpy(), truth.numpy(), strict=True):
            known = np.isfinite(true) & (true > 0)
            d = said[known] - np.log(true[known])
            each.append((d**2).sum() / len(d) - balance * d.sum() ** 2 / len(d) ** 2)
        assert scale_invariant(logs, truth, balance=balance).item() == pytest.approx(np.mean(each), rel=1e-5)
    assert scale_invariant(truth[1:].log() + 3, truth[1:], balance=1.0).item() == pytest.approx(0, abs=1e-5)


def test_losses_without_truth_are_zero_and_have_gradients() -> None:
    logs = torch.zeros(1, 2, 2, requires_grad=True)
    vectors = torch.randn(1, 3, 2, 2, requires_grad=True)
    (scale_invariant(logs, torch.zeros(1, 2, 2)) + cosine_distance(vectors, torch.zeros(1, 3, 2, 2))).backward()
    assert logs.grad is not None
    assert logs.grad.abs().sum() == 0
    truth = torch.nn.functional.normalize(torch.randn(1, 3, 2, 2), dim=1)
    assert cosine_distance(5 * truth, truth).item() == pytest.approx(0, abs=1e-6)
    assert cosine_distance(-truth, truth).item() == pytest.approx(2, abs=1e-6)
