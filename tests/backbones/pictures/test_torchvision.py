"""Our ResNet, VGG, GoogLeNet and Inception-v3 against torchvision's published layout, sizes and forward."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from allsight.backbones.pictures import googlenet, inception, resnet, vgg
from allsight.errors import WeightsError
from allsight.weights.files import load_state

BUILDERS = {
    name: getattr(module, name)
    for module in (resnet, vgg, googlenet, inception)
    for name in vars(module)
    if name.startswith(("resnet", "vgg", "googlenet", "inception_"))
}

# "num_params" of torchvision's weights; GoogLeNet's without the auxiliary classifiers.
PARAMETERS = {
    "resnet18": 11689512,
    "resnet34": 21797672,
    "resnet50": 25557032,
    "resnet101": 44549160,
    "resnet152": 60192808,
    "vgg11": 132863336,
    "vgg13": 133047848,
    "vgg16": 138357544,
    "vgg19": 143667240,
    "vgg11_bn": 132868840,
    "vgg13_bn": 133053736,
    "vgg16_bn": 138365992,
    "vgg19_bn": 143678248,
    "googlenet": 6624904,
    "inception_v3": 27161264,
}

# Name and shape of every tensor in the state dicts of torchvision 0.28.
KEYS = json.loads(gzip.decompress(Path(__file__).with_name("torchvision_keys.json.gz").read_bytes()))


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_number_of_parameters(name):
    with torch.device("meta"):
        trunk = BUILDERS[name]()
    counted = (p.numel() for key, p in trunk.named_parameters() if not (name == "googlenet" and key.startswith("aux")))
    assert sum(counted) == PARAMETERS[name]


@pytest.mark.parametrize("name", KEYS)
def test_published_keys_and_shapes(name):
    with torch.device("meta"):
        trunk = BUILDERS[name]()
    assert {key: list(tensor.shape) for key, tensor in trunk.state_dict().items()} == KEYS[name]


def test_a_published_checkpoint_loads_by_its_path(tmp_path):
    path = tmp_path / "resnet18.safetensors"
    # Published before batches were counted: those keys are not there.
    state = {key: torch.rand(shape) for key, shape in KEYS["resnet18"].items() if shape}
    save_file(state, path)
    loaded = resnet.resnet18(weights=path).state_dict()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())
    with pytest.raises(WeightsError, match="another architecture"):
        resnet.resnet34(weights=path)


def torchvision_models():
    try:
        from torchvision import models
    except Exception as error:  # absent, or broken in one of many ways
        pytest.skip(f"needs a working torchvision: {error}")
    return models


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vgg11_bn", "googlenet", "inception_v3"])
def test_equal_outputs_on_the_same_random_weights(name):
    models = torchvision_models()
    torch.manual_seed(0)
    branched = name in ("googlenet", "inception_v3")
    options = {"aux_logits": True, "init_weights": False, "transform_input": False} if branched else {}
    reference = getattr(models, name)(weights=None, **options)
    for norm in reference.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 1.5)
    trunk = BUILDERS[name]()
    load_state(trunk, reference.state_dict(), source="torchvision")
    x = torch.randn(2, 3, 299, 299) if name == "inception_v3" else torch.randn(2, 3, 97, 128)
    with torch.inference_mode():
        torch.testing.assert_close(trunk.eval()(x, ["logits"])["logits"], reference.eval()(x))


def test_statistics_stand_for_transform_input():
    twin = torchvision_models().GoogLeNet(transform_input=True, init_weights=False)
    pictures = torch.randint(0, 256, (1, 3, 8, 8), dtype=torch.uint8)
    usual = resnet.resnet18().normalise(pictures)
    ours = googlenet.googlenet().normalise(pictures)
    torch.testing.assert_close(twin._transform_input(usual), ours, atol=1e-5, rtol=1e-5)
