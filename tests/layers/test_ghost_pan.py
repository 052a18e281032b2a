"""Ghost-PAN: shapes, ghosts by hand, the two ways, and fast gradients that are the true ones."""

import pytest
import torch
import torch.nn.functional as F

from allsight.errors import ModelError
from allsight.layers.conv_norm import DepthwiseConv2d
from allsight.layers.ghost_pan import GhostModule, GhostPan

INPUTS = {"c3": 6, "c4": 10, "c5": 14}


def maps(height=8, width=12, **options):
    return {
        name: torch.randn(2, channels, height // 2**i, width // 2**i, **options)
        for i, (name, channels) in enumerate(INPUTS.items())
    }


def test_every_level_has_one_width_and_half_the_size_of_the_one_before():
    neck = GhostPan(INPUTS, 16)
    found = neck(maps())
    assert {name: tuple(x.shape) for name, x in found.items()} == {
        "p3": (2, 16, 8, 12),
        "p4": (2, 16, 4, 6),
        "p5": (2, 16, 2, 3),
        "p6": (2, 16, 1, 2),
    }
    assert list(GhostPan(INPUTS, 16, extra=False, prefix="d")(maps())) == ["d3", "d4", "d5"]


def test_half_of_a_ghost_modules_maps_are_filtered_from_the_other_half():
    ghost = GhostModule(6, 8, normalised=False, slope=0.1)
    x = torch.randn(1, 6, 5, 7)
    found = ghost(x)
    primary, cheap = ghost.primary[0], ghost.cheap[0]
    first = F.leaky_relu(F.conv2d(x, primary.weight, primary.bias), 0.1)
    second = F.leaky_relu(F.conv2d(first, cheap.weight, cheap.bias, padding=1, groups=4), 0.1)
    torch.testing.assert_close(found, torch.cat([first, second], dim=1))


def test_news_go_down_and_up_again():
    neck = GhostPan(INPUTS, 8, normalised=False).eval()
    for source, target in (("c5", "p3"), ("c3", "p5"), ("c3", "p6"), ("c5", "p6")):
        inputs = maps(requires_grad=True)
        neck(inputs)[target].sum().backward()
        assert float(inputs[source].grad.abs().sum()) > 0, (source, target)


def test_odd_sides_of_a_picture_are_no_trouble():
    inputs = {
        name: torch.randn(1, channels, *size)
        for (name, channels), size in zip(INPUTS.items(), ((13, 1), (7, 1), (4, 1)), strict=True)
    }
    assert [x.shape[2:] for x in GhostPan(INPUTS, 8).eval()(inputs).values()] == [(13, 1), (7, 1), (4, 1), (2, 1)]


def test_an_odd_width_is_refused():
    with pytest.raises(ModelError, match="even"):
        GhostPan(INPUTS, 15)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
def test_depthwise_gradients_are_those_of_the_plain_convolution(stride, bias):
    torch.manual_seed(0)
    layer = DepthwiseConv2d(4, 4, 5, stride, 2, groups=4, bias=bias)
    x = torch.randn(2, 4, 9, 8, requires_grad=True)
    weights = torch.randn_like(layer(x))
    parameters = [x, *layer.parameters()]
    found = torch.autograd.grad((layer(x) * weights).sum(), parameters)
    plain = F.conv2d(x, layer.weight, layer.bias, stride, 2, groups=4)
    for one, two in zip(found, torch.autograd.grad((plain * weights).sum(), parameters), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)
