"""ShuffleNetV2 against its published size, torchvision's names and the paper's shuffle."""

import pytest
import torch

from allsight.backbones.pictures.shufflenet import WIDTHS, ShuffleUnit, shufflenet_v2
from allsight.errors import ModelError
from allsight.layers.folding import folded

# Table 8 of the paper, in millions of parameters; torchvision counts the same for its checkpoints.
MILLIONS = {0.5: 1.367, 1.0: 2.279, 1.5: 3.504, 2.0: 7.394}


@pytest.mark.parametrize("width", WIDTHS)
def test_published_number_of_parameters(width):
    with torch.device("meta"):
        trunk = shufflenet_v2(width)
    assert round(sum(parameter.numel() for parameter in trunk.parameters()) / 1e6, 3) == MILLIONS[width]


def test_names_are_torchvisions():
    def norm(name):
        return {f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}

    expected = {"conv1.0.weight", "conv5.0.weight", "fc.weight", "fc.bias"} | norm("conv1.1") | norm("conv5.1")
    for stage, repeats in ((2, 4), (3, 8), (4, 4)):
        for unit in range(repeats):
            name = f"stage{stage}.{unit}"
            layers = {"branch2": ((0, 1), (3, 4), (5, 6)), "branch1": ((0, 1), (2, 3)) if unit == 0 else ()}
            for branch, pairs in layers.items():
                for conv, its_norm in pairs:
                    expected |= {f"{name}.{branch}.{conv}.weight"} | norm(f"{name}.{branch}.{its_norm}")
    assert set(shufflenet_v2().state_dict()) == expected


def test_maps_have_the_channels_and_strides_that_they_promise():
    trunk = shufflenet_v2(0.5).eval()
    names = [name for name in trunk.channels if name in trunk.strides]
    with torch.no_grad():
        maps = trunk(torch.zeros(1, 3, 64, 128, dtype=torch.uint8), names)
    for name, found in maps.items():
        assert found.shape == (1, trunk.channels[name], 64 // trunk.strides[name], 128 // trunk.strides[name])


def test_a_unit_passes_one_half_by_and_shuffles_it_with_the_other():
    unit = ShuffleUnit(8, 8, 1, normalised=True, slope=0.0).eval()
    x = torch.randn(2, 8, 5, 6)
    with torch.no_grad():
        found, convolved = unit(x), unit.branch2(x[:, 4:])
    for i in range(4):
        torch.testing.assert_close(found[:, 2 * i], x[:, i])
        torch.testing.assert_close(found[:, 2 * i + 1], convolved[:, i])


def test_a_unit_of_stride_two_reads_all_channels_in_both_branches():
    unit = ShuffleUnit(8, 12, 2, normalised=True, slope=0.1).eval()
    x = torch.randn(2, 8, 6, 4)
    with torch.no_grad():
        found, one, two = unit(x), unit.branch1(x), unit.branch2(x)
    assert found.shape == (2, 12, 3, 2)
    for i in range(6):
        torch.testing.assert_close(found[:, 2 * i], one[:, i])
        torch.testing.assert_close(found[:, 2 * i + 1], two[:, i])


def test_folding_gives_the_form_without_norms_name_by_name():
    torch.manual_seed(0)
    trunk = shufflenet_v2(0.5, slope=0.1)
    for norm in (module for module in trunk.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.2)
        norm.running_var.uniform_(0.5, 1.5)
    pictures = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    other = folded(trunk.eval(), pictures, ("logits",))
    plain = shufflenet_v2(0.5, slope=0.1, normalised=False).eval()
    plain.load_state_dict(other.state_dict())
    with torch.no_grad():
        expected, found = trunk(pictures, ("c5",))["c5"], plain(pictures, ("c5",))["c5"]
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_an_unknown_width_is_refused():
    with pytest.raises(ModelError, match="no width 3"):
        shufflenet_v2(3)
