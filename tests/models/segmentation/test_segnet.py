"""SegNet: the encoder turned round layer by layer, values back at their places, a twin without indices."""

import torch
import torch.nn.functional as F
from region_examples import CLASSES, logits_of, parameters
from torch import nn

from allsight.backbones.pictures.contracting import vgg_narrow
from allsight.backbones.pictures.vgg import vgg11_bn, vgg16_bn
from allsight.models.segmentation.segnet import Mirror, columns_of, segnet
from allsight.scene import Vocabulary

CAMVID = Vocabulary(tuple(f"class {i}" for i in range(11)))


def convolutions(module: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_channels, m.out_channels) for m in module.modules() if isinstance(m, nn.Conv2d)]


def test_the_decoder_is_the_encoder_turned_round() -> None:
    with torch.device("meta"):
        system = segnet(trunk=vgg16_bn(), classes=CAMVID)
    down = convolutions(system.trunk)
    up = convolutions(system.heads["regions"].decoder)
    assert up == [*((b, a) for a, b in reversed(down[1:])), (64, 11)]


def test_it_is_as_large_as_the_paper_says() -> None:
    with torch.device("meta"):
        with_indices, bilinear = (segnet(trunk=vgg16_bn(), classes=CAMVID, unpool=unpool) for unpool in (True, False))
        encoder = parameters(vgg16_bn().cut("p5"))
    assert round(encoder / 1e6, 1) == 14.7  # section 3: from 134 to 14.7 million
    assert 29.4e6 < parameters(with_indices) < 29.5e6  # 29.46 million in table 2 of ENet (Paszke et al. 2016)
    assert parameters(bilinear) == parameters(with_indices)


def test_columns_are_those_of_the_trunk() -> None:
    with torch.device("meta"):
        assert columns_of(vgg11_bn()) == [[64], [128], [256, 256], [512, 512], [512, 512]]
    assert columns_of(vgg_narrow()) == [[16], [32], [64, 64], [128, 128], [128, 128]]


def test_values_come_back_where_the_trunk_found_them() -> None:
    torch.manual_seed(0)
    trunk = vgg_narrow().eval()
    names = ["c1", *(f"pool{i}_indices" for i in range(1, 6)), "p5"]
    mirror = Mirror(columns_of(trunk))
    mirror.levels = nn.ModuleList(nn.Identity() for _ in range(5))
    with torch.inference_mode():
        features = trunk(torch.randn(1, 3, 64, 96), names)
        one = {**features, **{name: x[:, :16] for name, x in features.items() if "indices" in name}}
        found = mirror(features["p5"][:, :16], one)
        expected = features["p5"][:, :16]
        for level in range(5, 0, -1):
            expected = F.max_unpool2d(expected, one[f"pool{level}_indices"], 2)
    assert torch.equal(found, expected)
    assert (found != 0).sum() <= features["p5"][:, :16].numel()


def test_the_twin_differs_in_nothing_but_the_way_up() -> None:
    torch.manual_seed(0)
    one = segnet(trunk=vgg_narrow(), classes=CLASSES).eval()
    twin = segnet(trunk=vgg_narrow(), classes=CLASSES, unpool=False).eval()
    twin.load_state_dict(one.state_dict())
    assert twin.heads["regions"].inputs == ("c1", "p5")
    pictures = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    with torch.inference_mode():
        ours, theirs = logits_of(one, pictures), logits_of(twin, pictures)
    assert ours.shape == theirs.shape
    assert not torch.allclose(ours, theirs)
