"""Depthwise convolution: the gradients of `F.conv2d`, whatever the precision around it."""

import pytest
import torch
import torch.nn.functional as F

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.ops.depthwise import depthwise_conv2d

GEOMETRIES = [(3, 1, 1, 1), (3, 2, 0, 1), (5, 1, 2, 1), (5, 2, 0, 1), (3, 1, 2, 2)]  # kernel, stride, padding, dilation


def made(kernel):
    torch.manual_seed(0)
    return torch.randn(2, 6, 11, 13, requires_grad=True), torch.randn(6, 1, kernel, kernel, requires_grad=True)


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), GEOMETRIES)
def test_values_and_gradients_are_those_of_torch(kernel, stride, padding, dilation):
    x, weight = made(kernel)
    expected = F.conv2d(x, weight, None, stride, padding, dilation, 6)
    wanted = torch.autograd.grad(expected.square().sum(), (x, weight))
    for cast, tolerance in ((False, 1e-5), (True, 0.03)):
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            y = depthwise_conv2d(
                x, weight, stride=(stride, stride), padding=(padding, padding), dilation=(dilation, dilation)
            )
        assert y.dtype == (torch.bfloat16 if cast else torch.float32)
        gradients = torch.autograd.grad(y.float().square().sum(), (x, weight))
        assert (y - expected).norm() <= tolerance * expected.norm()
        for found, truth in zip(gradients, wanted, strict=True):
            assert found.dtype == torch.float32 and (found - truth).norm() <= tolerance * truth.norm()


@pytest.mark.parametrize("learns", ["x", "weight"])
def test_only_what_learns_gets_a_gradient(learns):
    x, weight = made(5)
    (weight if learns == "x" else x).requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        depthwise_conv2d(x, weight, stride=(2, 2), padding=(2, 2)).sum().backward()
    assert (x.grad is None) == (learns == "weight") and (weight.grad is None) == (learns == "x")


def test_a_trunk_learns_the_same_in_bfloat16():
    """The gradients of all kernels point where those of float32 do."""
    torch.manual_seed(0)
    trunk = efficientnet_lite0(weights=False).cut("c3").eval()
    pictures = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    gradients = []
    for cast in (False, True):
        trunk.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=cast):
            loss = trunk(pictures, ("c3",))["c3"].float().square().mean()
        loss.backward()
        gradients.append({name: p.grad.clone() for name, p in trunk.named_parameters() if p.ndim == 4})
    for name, truth in gradients[0].items():
        assert F.cosine_similarity(truth.flatten(), gradients[1][name].flatten(), dim=0) > 0.98, name
