"""Frozen stages, frozen batch norms and dilation."""

import copy

import pytest
import torch
from torch import nn

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.freezing import FrozenBatchNorm2d, dilate, freeze, freeze_batch_norm
from allsight.backbones.pictures.googlenet import googlenet
from allsight.backbones.pictures.resnet import resnet18, resnet50
from allsight.backbones.pictures.trunk import Trunk
from allsight.backbones.pictures.vgg import vgg11
from allsight.errors import ModelError


def shaken(trunk: Trunk) -> Trunk:
    """Batch norms with statistics unlike 0 and 1, so that wrong modes and paddings show."""
    for norm in trunk.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
            norm.bias.data.normal_(0, 0.1)
    return trunk


@pytest.fixture(scope="module")
def lite0() -> Trunk:
    torch.manual_seed(0)
    return shaken(efficientnet_lite0(weights=False))


def test_frozen_stages_learn_nothing(lite0):
    trunk = copy.deepcopy(lite0)
    freeze(trunk, "c3")
    trunk.train()
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    maps = trunk(torch.randn(4, 3, 64, 64), ["c3", "c5"])
    assert maps["c3"].grad_fn is None
    assert maps["c5"].requires_grad
    maps["c5"].square().mean().backward()
    frozen = [parameter for stage in ("c1", "c2", "c3") for m in trunk.stages()[stage] for parameter in m.parameters()]
    assert frozen
    assert all(parameter.grad is None for parameter in frozen)
    changed = {name for name, tensor in trunk.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed
    assert all(int(name.split(".")[1]) >= 5 for name in changed)  # blocks 0 to 4 make up c1 to c3


def test_a_wholly_frozen_trunk_is_deterministic_and_thaws(lite0):
    trunk = copy.deepcopy(lite0)
    freeze(trunk, "logits")
    trunk.train()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(trunk(x, ["logits"]), trunk(x, ["logits"]))  # dropout is off
    freeze(trunk, None)
    assert all(parameter.requires_grad for parameter in trunk.parameters())
    assert all(module.training for module in trunk.modules())


def test_an_enclosing_train_call_keeps_it_frozen(lite0):
    trunk = copy.deepcopy(lite0)
    freeze(trunk, "c2")
    nn.Sequential(trunk).train()
    assert not trunk._bn0.training
    assert trunk._bn1.training


def test_frozen_batch_norms(lite0):
    trunk = copy.deepcopy(lite0)
    freeze_batch_norm(trunk)
    norms = [module for module in trunk.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(norm, FrozenBatchNorm2d) for norm in norms)
    assert trunk.state_dict().keys() == lite0.state_dict().keys()
    x = torch.randn(2, 3, 64, 64)
    result = trunk.train()(x, ["c5"])["c5"]
    torch.testing.assert_close(result, copy.deepcopy(lite0).eval()(x, ["c5"])["c5"])
    result.mean().backward()
    assert all(norm.weight.grad is None for norm in norms)
    assert trunk._conv_stem.weight.grad is not None
    freeze(trunk, "c1")
    freeze(trunk, None)
    assert not any(norm.weight.requires_grad for norm in norms)


def test_unknown_stages_are_named(lite0):
    with pytest.raises(ModelError, match=r"c8.*c1, c2"):
        freeze(lite0, "c8")
    with pytest.raises(ModelError, match=r"stride 7.*\[2, 4, 8, 16, 32\]"):
        dilate(lite0, 7)


@pytest.mark.parametrize("stride", [4, 8, 16])
@pytest.mark.parametrize("builder", [resnet18, resnet50, lambda: efficientnet_lite0(weights=False)])
def test_the_dilated_grid_holds_the_strided_one(builder, stride):
    torch.manual_seed(1)
    strided = shaken(builder()).double().eval()
    dilated = copy.deepcopy(strided)
    dilate(dilated, stride)
    assert max(dilated.strides.values()) == stride
    assert dilated.state_dict().keys() == strided.state_dict().keys()
    x = torch.randn(1, 3, 128, 96, dtype=torch.float64)
    names = ["c3", "c4", "c5"]
    with torch.inference_mode():
        coarse, fine = strided(x, names), dilated(x, names)
    for name in names:
        step = strided.strides[name] // dilated.strides[name]
        # TensorFlow's padding looks at cells 0, 1, 2 where the symmetric one looks at -1, 0, 1.
        first = step - 1 if hasattr(strided, "_conv_stem") else 0
        torch.testing.assert_close(fine[name][:, :, first::step, first::step], coarse[name])


def test_dilating_in_two_steps_is_dilating_once():
    torch.manual_seed(2)
    once = shaken(resnet18()).eval()
    twice = copy.deepcopy(once)
    dilate(once, 8)
    dilate(twice, 16)
    dilate(twice, 8)
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(twice(x, ["c5"]), once(x, ["c5"]))
    assert twice.strides == once.strides


def test_vgg_loses_its_last_poolings():
    torch.manual_seed(3)
    with torch.device("meta"):
        trunk = vgg11()
    sparse = trunk.cut("p5").to_empty(device="cpu").double().eval()
    for parameter in sparse.parameters():
        nn.init.normal_(parameter, std=0.05)
    dilated = copy.deepcopy(sparse)
    dilate(dilated, 8)
    assert dilated.strides["c4"] == dilated.strides["p4"] == dilated.strides["c5"] == dilated.strides["p5"] == 8
    assert "pool3_indices" in dilated.channels
    assert "pool4_indices" not in dilated.channels
    # Where a pooling goes, what is left of the strided net is taking every second cell.
    sparse.features[15] = sparse.features[20] = nn.MaxPool2d(1, 2)
    x = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.inference_mode():
        torch.testing.assert_close(dilated(x, ["c5"])["c5"][:, :, ::2, ::2], sparse(x, ["c5"])["c5"])


def test_unpadded_layers_are_refused():
    trunk = googlenet()
    with pytest.raises(ModelError, match=r"GoogLeNet cannot be dilated: maxpool2"):
        dilate(trunk, 4)
    assert trunk.strides["c5"] == 32
