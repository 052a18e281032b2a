"""DeconvNet: the paper's layers and size, deconvolution as convolution, maps smaller than fc6."""

import torch
import torch.nn.functional as F
from region_examples import parameters
from torch import nn

from allsight.backbones.pictures.contracting import vgg_narrow
from allsight.backbones.pictures.vgg import vgg16_bn
from allsight.models.segmentation.deconvnet import DeconvNetDecoder, deconvnet
from allsight.models.segmentation.segnet import columns_of
from allsight.scene import Vocabulary

VOC = Vocabulary(tuple(f"class {i}" for i in range(21)))


def test_layers_and_size_are_the_paper_s() -> None:
    with torch.device("meta"):
        system = deconvnet(trunk=vgg16_bn(), classes=VOC)
    decoder = system.heads["regions"].decoder
    layers = [m for m in decoder.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    told = [(m.in_channels, m.out_channels, m.kernel_size[0]) for m in layers]
    # Table 2 of the paper: fc6, fc7, deconv-fc6, deconv5-1 to deconv1-2, output.
    ways = [512] * 6 + [256] * 3 + [128] * 2 + [64] * 3
    deconvolutions = [(a, b, 3) for a, b in zip([512, *ways[1:-1]], ways[1:], strict=True)]
    assert told == [(512, 4096, 7), (4096, 4096, 1), (4096, 512, 7), *deconvolutions, (64, 21, 1)]
    assert round(parameters(system) / 1e6) == 252  # section 5.1: approximately 252 million


def test_a_deconvolution_of_stride_1_is_a_convolution_with_its_kernel_turned() -> None:
    x, weight = torch.randn(2, 3, 6, 7, dtype=torch.float64), torch.randn(3, 4, 3, 3, dtype=torch.float64)
    turned = weight.transpose(0, 1).flip(2, 3)
    torch.testing.assert_close(F.conv_transpose2d(x, weight, padding=1), F.conv2d(x, turned, padding=1))


def test_small_maps_get_zeros_and_the_answer_is_cut() -> None:
    torch.manual_seed(0)
    trunk = vgg_narrow().eval()
    decoder = DeconvNetDecoder(columns=columns_of(trunk), classes=3, kernel=4, hidden=8).eval()
    decoder.mirror = nn.Identity()
    seen = []
    decoder.mirror.forward = lambda x, features: seen.append(x) or x[:, :16]
    with torch.inference_mode():
        features = trunk(torch.randn(1, 3, 64, 96), decoder.inputs)
        decoder(features)
        whole = torch.zeros(1, 128, 4, 4)
        whole[..., :2, :3] = features["p5"]
        torch.testing.assert_close(seen[0], decoder.middle(whole)[..., :2, :3])
        large = trunk(torch.randn(1, 3, 160, 192), decoder.inputs)
        decoder(large)
        torch.testing.assert_close(seen[1], decoder.middle(large["p5"]))
    assert seen[1].shape[-2:] == (5, 6)
