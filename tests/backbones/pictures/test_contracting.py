"""Trunks of convolutions and poolings in any width."""

import pytest
import torch
import torch.nn.functional as F

from allsight.backbones.pictures.contracting import ContractingPath, unet_encoder, vgg_narrow
from allsight.backbones.pictures.vgg import vgg11_bn
from allsight.errors import WeightsError
from allsight.weights.files import write_state


def test_names_strides_and_channels_are_those_of_vgg() -> None:
    with torch.device("meta"):
        narrow, wide = vgg_narrow(), vgg11_bn().cut("p5")
    assert list(narrow.channels) == list(wide.channels)
    assert narrow.strides == wide.strides
    assert {name: 4 * width for name, width in narrow.channels.items()} == wide.channels


def test_maps_are_of_the_sizes_that_are_told() -> None:
    trunk = vgg_narrow().eval()
    names = list(trunk.channels)
    found = trunk(torch.zeros(1, 3, 64, 96, dtype=torch.uint8), names)
    for name in names:
        stride = trunk.strides[name]
        assert tuple(found[name].shape) == (1, trunk.channels[name], 64 // stride, 96 // stride)
    again, indices = F.max_pool2d(found["c3"], 2, return_indices=True)
    assert torch.equal(again, found["p3"])
    assert torch.equal(indices, found["pool3_indices"])


def test_the_contracting_path_of_u_net() -> None:
    with torch.device("meta"):
        trunk = unet_encoder()
    assert [trunk.channels[f"c{i}"] for i in range(1, 6)] == [64, 128, 256, 512, 1024]
    assert [trunk.strides[f"c{i}"] for i in range(1, 6)] == [1, 2, 4, 8, 16]


def test_activations_keep_their_size_without_batch_norm() -> None:
    torch.manual_seed(0)
    trunk = ContractingPath((32, 64, 128), (2, 2, 2), batch_norm=False)
    found = trunk(torch.randn(2, 3, 64, 64), ["c1", "c3"])
    assert 0.3 < found["c3"].square().mean() / found["c1"].square().mean() < 4


def test_own_weights_come_back_and_others_are_refused(tmp_path) -> None:
    trunk = vgg_narrow()
    write_state(tmp_path / "narrow.safetensors", trunk.state_dict())
    again = vgg_narrow(tmp_path / "narrow.safetensors")
    assert torch.equal(again.level3[0].weight, trunk.level3[0].weight)
    with pytest.raises(WeightsError, match="another architecture"):
        unet_encoder(tmp_path / "narrow.safetensors")
