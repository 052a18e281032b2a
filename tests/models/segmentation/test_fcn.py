"""FCN: linear layers as convolutions, scores that begin at zero, sums of skips, sizes of the paper."""

import pytest
import torch
import torch.nn.functional as F
from region_examples import CLASSES, parameters, thin_vgg

from allsight.backbones.pictures.contracting import vgg_narrow
from allsight.backbones.pictures.resnet import resnet18
from allsight.backbones.pictures.vgg import vgg16, vgg16_bn
from allsight.errors import ModelError
from allsight.models.segmentation.convolutional import convolutional
from allsight.models.segmentation.fcn import FCNDecoder, fcn, fcn_vgg
from allsight.scene import Vocabulary

VOC = Vocabulary(tuple(f"class {i}" for i in range(21)))


def test_convolutions_give_what_linear_layers_gave() -> None:
    trunk = thin_vgg()
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        pooled = trunk(x, ["pooled"])["pooled"]
        stored = trunk.classifier[0].weight.data_ptr()
        spread = convolutional(trunk)(x, ["fc7"])["fc7"]
    assert spread.shape == (1, 24, 7, 7)
    torch.testing.assert_close(spread[..., 3, 3], pooled, rtol=1e-4, atol=1e-5)
    assert trunk.fc6.weight.data_ptr() == stored  # the same numbers, not a second copy
    assert trunk.strides["fc7"] == 32
    assert list(trunk.channels)[-1] == "fc7"


@pytest.mark.parametrize("trunk", [resnet18, vgg_narrow])
def test_trunks_without_linear_layers_are_refused(trunk) -> None:
    with pytest.raises(ModelError, match="no linear layers"):
        fcn_vgg(trunk=trunk(), classes=CLASSES)


@pytest.mark.parametrize(("stride", "most"), [(8, 134_376_863), (16, 134_364_410), (32, 134_346_581)])
def test_it_is_as_large_as_the_paper_says(stride, most) -> None:
    with torch.device("meta"):
        system = fcn_vgg(trunk=vgg16(), classes=VOC, stride=stride)
    # Table 1 of Long et al. 2015: 134 million. To the digit: VGG-16 without fc8, scores, 4x4 upsampling.
    without_fc8 = 138_357_544 - (4096 * 1000 + 1000)
    scores = {32: (4096,), 16: (4096, 512), 8: (4096, 512, 256)}[stride]
    expected = without_fc8 + sum(21 * (width + 1) for width in scores) + (len(scores) - 1) * 21 * 21 * 16
    assert parameters(system) == expected == most


def test_batch_normed_columns_work_too() -> None:
    with torch.device("meta"):
        system = fcn_vgg(trunk=vgg16_bn(), classes=VOC)
    assert system.heads["regions"].inputs == ("p3", "p4", "fc7")


def test_scores_begin_at_zero_and_are_summed_bilinearly() -> None:
    channels, strides = {"c3": 5, "c4": 6, "c5": 7}, {"c3": 8, "c4": 16, "c5": 32}
    decoder = FCNDecoder(channels=channels, strides=strides, classes=3).double()
    random = torch.Generator().manual_seed(0)
    features = {
        name: torch.randn(2, width, 256 // strides[name], 320 // strides[name], generator=random, dtype=torch.float64)
        for name, width in channels.items()
    }
    assert not decoder(features).any()
    for parameter in decoder.scores.parameters():
        torch.nn.init.normal_(parameter, generator=random)
    fine, middle, coarse = (score(features[name]) for name, score in zip(channels, decoder.scores, strict=True))

    def twice(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    expected = twice(twice(coarse) + middle) + fine
    torch.testing.assert_close(decoder(features)[..., 6:-6, 6:-6], expected[..., 6:-6, 6:-6])


def test_on_a_trunk_it_adds_hardly_anything() -> None:
    trunk = parameters(resnet18().cut("c5"))
    sizes = [parameters(fcn(trunk=resnet18(), classes=CLASSES, stride=stride)) - trunk for stride in (32, 16, 8)]
    assert sizes == [3 * 513, 3 * 513 + 3 * 257 + 144, 3 * 513 + 3 * 257 + 3 * 129 + 288]


def test_on_vgg_the_maps_behind_the_poolings_are_read() -> None:
    assert fcn(trunk=vgg_narrow(), classes=CLASSES).heads["regions"].inputs == ("p3", "p4", "p5")
    assert fcn(trunk=resnet18(), classes=CLASSES, stride=16).heads["regions"].inputs == ("c4", "c5")
