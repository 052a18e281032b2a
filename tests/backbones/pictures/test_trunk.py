"""The trunk's contract, on every family."""

import copy

import pytest
import torch

from allsight.backbones.pictures import efficientnet_lite, googlenet, inception, resnet, vgg
from allsight.backbones.pictures.trunk import Trunk
from allsight.errors import ModelError

BUILDERS = [
    efficientnet_lite.efficientnet_lite0,
    efficientnet_lite.efficientnet_lite2,
    resnet.resnet18,
    resnet.resnet50,
    vgg.vgg11,
    vgg.vgg16_bn,
    googlenet.googlenet,
    inception.inception_v3,
]


def on_meta(builder) -> Trunk:
    with torch.device("meta"):
        return builder(weights=None) if builder.__module__ != efficientnet_lite.__name__ else builder(weights=False)


@pytest.fixture(scope="module")
def lite0() -> Trunk:
    torch.manual_seed(0)
    return efficientnet_lite.efficientnet_lite0(weights=False).eval()


@pytest.mark.parametrize("builder", BUILDERS, ids=lambda builder: builder.__name__)
def test_every_name_has_its_channels_and_stride(builder):
    trunk = on_meta(builder).eval()
    side = 320
    results = trunk(torch.empty(2, 3, side, side, device="meta"), list(trunk.channels))
    assert list(results) == list(trunk.channels) == list(trunk.stages())
    assert {"c1", "c2", "c3", "c4", "c5", "pooled", "logits"} <= results.keys()
    for name, result in results.items():
        assert result.shape[:2] == (2, trunk.channels[name])
        assert (result.ndim == 4) == (name in trunk.strides)
        if name in trunk.strides and builder is not inception.inception_v3:  # its first convolutions have no padding
            assert result.shape[2:] == (side // trunk.strides[name],) * 2


def test_common_strides():
    for builder in BUILDERS:
        trunk = on_meta(builder)
        first = 1 if "vgg" in builder.__name__ else 2
        assert [trunk.strides[f"c{i}"] for i in range(1, 6)] == [first * 2**i for i in range(5)]


def test_bytes_are_normalised_and_floats_are_not(lite0):
    pictures = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    by_hand = (pictures.double() - 127) / 128
    with torch.inference_mode():
        torch.testing.assert_close(lite0(pictures, ["c2"]), lite0(by_hand.float(), ["c2"]))
    assert "mean" not in lite0.state_dict()


def test_goes_no_further_than_asked(lite0, monkeypatch):
    def refuse(*_):
        raise AssertionError("computed without need")

    monkeypatch.setattr(lite0._blocks[5], "forward", refuse)
    assert list(lite0(torch.zeros(1, 3, 32, 32), ["c3", "c1"])) == ["c3", "c1"]
    with pytest.raises(AssertionError):
        lite0(torch.zeros(1, 3, 32, 32), ["c4"])


def test_side_branches_run_only_when_asked():
    trunk = googlenet.googlenet().eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        with_aux = trunk(x, ["aux1", "aux2", "logits"])
        trunk.aux1 = trunk.aux2 = None
        torch.testing.assert_close(trunk(x, ["logits"])["logits"], with_aux["logits"])


def test_pooling_indices_bring_the_maxima_back():
    trunk = on_meta(vgg.vgg11).cut("p2").to_empty(device="cpu").eval()
    for parameter in trunk.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    maps = trunk(torch.randn(2, 3, 16, 16), ["c2", "p2", "pool2_indices"])
    back = torch.nn.functional.max_unpool2d(maps["p2"], maps["pool2_indices"], 2)
    kept = back != 0
    assert kept.sum() > 0
    torch.testing.assert_close(back[kept], maps["c2"][kept])
    torch.testing.assert_close(torch.nn.functional.max_pool2d(back, 2), maps["p2"])


def test_unknown_name_says_what_there_is(lite0):
    with pytest.raises(ModelError, match=r"c9.*c1, c2, c3, c4, c5, head, pooled, logits"):
        lite0(torch.zeros(1, 3, 32, 32), ["c3", "c9"])
    with pytest.raises(ModelError, match="p7"):
        lite0.cut("p7")


def test_cut_leaves_no_parameter_unused(lite0):
    short = copy.deepcopy(lite0).train().cut("c5")
    x = torch.randn(2, 3, 64, 64)
    short(x, ["c5"])["c5"].sum().backward()
    assert all(parameter.grad is not None for parameter in short.parameters())
    assert "head" not in short.channels
    with torch.inference_mode():
        torch.testing.assert_close(copy.deepcopy(lite0).cut("c3")(x, ["c3"]), lite0(x, ["c3"]))


def test_what_lay_behind_a_cut_goes_on_where_the_trunk_ends(lite0):
    whole = copy.deepcopy(lite0)
    short = copy.deepcopy(lite0)
    x = torch.randn(2, 3, 64, 64)
    behind = short.divide("c4")
    assert [part.stage.name for part in behind] == ["c5", "head", "pooled", "logits"]
    with torch.inference_mode():
        value = short(x, ["c4"])["c4"]
        for stage, modules in behind:
            value = torch.nn.Sequential(*modules)(value)
            torch.testing.assert_close(value, whole(x, [stage.name])[stage.name])
    kept = sum(
        p.numel() for module in (short, *(m for _, modules in behind for m in modules)) for p in module.parameters()
    )
    assert kept == sum(p.numel() for p in whole.parameters())
    assert short.divide("c4") == ()


def test_side_branches_are_divided_too():
    trunk = on_meta(googlenet.googlenet)
    names = list(trunk.channels)
    after = names[names.index("aux1") - 1]
    behind = trunk.divide(after)
    assert [part.stage.name for part in behind] == names[names.index("aux1") :]
    assert behind[0].stage.side and len(list(behind[0].modules[0].parameters())) > 0


@pytest.mark.parametrize("strict", [False, True])
def test_exports_for_fixed_names(lite0, strict):
    names = ("c3", "c5", "logits")
    rows = torch.export.Dim("rows", min=1, max=32)
    pictures = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    program = torch.export.export(
        lite0, (pictures, names), dynamic_shapes=({2: 32 * rows}, (None,) * len(names)), strict=strict
    )
    taller = torch.randint(0, 256, (1, 3, 160, 96), dtype=torch.uint8)
    torch.testing.assert_close(program.module()(taller, names), lite0(taller, names))


def test_signals_keep_their_size_from_scratch(lite0):
    torch.manual_seed(4)
    x = torch.randn(4, 3, 64, 64)
    for trunk in (copy.deepcopy(lite0), resnet.resnet18()):
        maps = trunk.train()(x, ["c1", "c5", "logits"])
        assert 0.2 < maps["c5"].std() / maps["c1"].std() < 5
        assert maps["logits"].abs().max() < 3  # no class is far ahead before training


def test_channels_last_stays(lite0):
    pictures = torch.randn(1, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        maps = copy.deepcopy(lite0).to(memory_format=torch.channels_last)(pictures, ["c1", "c3", "c5"])
        torch.testing.assert_close(maps["c5"], lite0(pictures.contiguous(), ["c5"])["c5"], atol=1e-4, rtol=1e-4)
    assert all(each.is_contiguous(memory_format=torch.channels_last) for each in maps.values())
