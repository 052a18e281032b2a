"""Dilated nets: the same cells as the strided net at every offset; a context module that begins as the identity."""

import copy

import pytest
import torch
from region_examples import CLASSES, logits_of, parameters, thin_vgg
from torch import Tensor, nn

from allsight.backbones.pictures.freezing import dilate
from allsight.backbones.pictures.resnet import resnet18
from allsight.backbones.pictures.trunk import Trunk
from allsight.backbones.pictures.vgg import vgg16
from allsight.models.segmentation.convolutional import convolutional
from allsight.models.segmentation.dilated import NOISE, WIDTHS, ContextModule, begin_as_identity, dilated, dilated_vgg
from allsight.models.segmentation.fcn import fcn
from allsight.scene import Vocabulary

REACH = 2 + 2 * 2 + 3 * 4  # cells that a cell of fc7 sees to each side: conv4, conv5 dilated by 2, fc6 by 4
MARGIN = REACH // 4 + 1  # in cells of the strided net


def behind_pool3(trunk: Trunk, x: Tensor, every_second: bool = False) -> Tensor:
    """Run the stages behind pool3; in place of each pooling take every second cell, or do nothing."""
    stages = trunk.stages()
    for name in ("c4", "p4", "c5", "p5", "fc7"):
        if name.startswith("p"):
            x = x[..., ::2, ::2] if every_second else x
        else:
            for module in stages[name]:
                x = module(x)
    return x


def test_the_front_end_is_the_strided_net_at_every_offset() -> None:
    strided = convolutional(thin_vgg(hidden=8)).eval()
    dense = copy.deepcopy(strided)
    dilate(dense, 8)
    assert dense.strides["fc7"] == 8
    assert (dense.fc6.dilation, dense.fc6.padding) == ((4, 4), (12, 12))
    pool3 = torch.randn(1, 256, 44, 44, generator=torch.Generator().manual_seed(0)).relu()
    with torch.inference_mode():
        found = behind_pool3(dense, pool3)
        assert found.shape[-2:] == pool3.shape[-2:]
        for y, x in ((0, 0), (1, 2), (3, 1)):
            coarse = behind_pool3(strided, pool3[..., y:, x:], every_second=True)
            fine = found[..., y::4, x::4]
            # Away from the border, where cells that were cut off would be seen.
            inside = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
            torch.testing.assert_close(fine[inside], coarse[inside], rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found[..., ::4, ::4], behind_pool3(strided, pool3, True), rtol=1e-3, atol=1e-4)


def test_the_paper_s_net_has_logits_at_stride_8() -> None:
    system = dilated_vgg(trunk=thin_vgg(), classes=CLASSES).eval()
    with torch.inference_mode():
        assert logits_of(system, torch.zeros(1, 3, 64, 96)).shape == (1, 3, 8, 12)


def test_sizes_of_table_1() -> None:
    voc = Vocabulary(tuple(f"class {i}" for i in range(21)))
    layers = {
        name: [m for m in ContextModule(21, widths) if isinstance(m, nn.Conv2d)] for name, widths in WIDTHS.items()
    }
    assert [m.kernel_size[0] for m in layers["basic"]] == [3] * 7 + [1]
    assert [m.dilation[0] for m in layers["large"]] == [1, 1, 2, 4, 8, 16, 1, 1]
    assert [m.out_channels // 21 for m in layers["large"]] == [2, 2, 4, 8, 16, 32, 32, 1]
    # "The basic context module has only 64 C^2 parameters" (section 3), biases aside.
    assert sum(m.weight.numel() for m in layers["basic"]) == 64 * 21**2
    fields = [1]
    for layer in layers["basic"]:
        fields.append(fields[-1] + 2 * layer.dilation[0] * (layer.kernel_size[0] // 2))
    assert fields[1:] == [3, 5, 9, 17, 33, 65, 67, 67]
    with torch.device("meta"):
        front_end = parameters(dilated_vgg(trunk=vgg16(), classes=voc, context="none"))
        assert parameters(dilated_vgg(trunk=vgg16(), classes=voc)) - front_end == 64 * 21**2 + 8 * 21


def test_a_cell_sees_67_by_67() -> None:
    module = ContextModule(1).double()
    for layer in module:
        if isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 0.1)
    x = torch.rand(1, 1, 91, 91, dtype=torch.float64, requires_grad=True)
    module(x)[0, 0, 45, 45].backward()
    assert x.grad is not None
    seen = x.grad[0, 0].nonzero()
    assert (seen.amin(0).tolist(), seen.amax(0).tolist()) == ([12, 12], [78, 78])


def test_the_basic_module_begins_as_the_identity_of_what_is_not_negative() -> None:
    x = torch.randn(2, 5, 40, 50)
    torch.testing.assert_close(ContextModule(5)(x), x.relu(), rtol=0, atol=0)


def test_the_large_module_begins_near_the_identity() -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 5, 40, 50)
    torch.testing.assert_close(ContextModule(5, WIDTHS["large"])(x), x)
    noisy = ContextModule(5, WIDTHS["large"], NOISE)(x)
    assert 0 < (noisy - x).abs().mean() < 0.1
    assert torch.corrcoef(torch.stack([noisy.flatten(), x.flatten()]))[0, 1] > 0.95


@pytest.mark.parametrize(("width", "out"), [(1, 2), (2, 2), (4, 8), (32, 1)])
def test_weights_are_equation_5(width: int, out: int) -> None:
    classes = 3
    layer = nn.Conv2d(classes * width, classes * out, 3, padding=1)
    begin_as_identity(layer, classes)
    for b in range(classes * out):
        for a in range(classes * width):
            same = a * classes // (classes * width) == b * classes // (classes * out)
            expected = torch.zeros(3, 3)
            expected[1, 1] = classes / (classes * out) if same else 0
            torch.testing.assert_close(layer.weight[b, a].detach(), expected)


def test_without_context_it_is_fcn_32s_on_a_finer_grid() -> None:
    coarse, fine = (
        fcn(trunk=resnet18(), classes=CLASSES, stride=32),
        dilated(trunk=resnet18(), classes=CLASSES, context="none"),
    )
    assert parameters(coarse) == parameters(fine)
    pictures = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    fine.trunk.load_state_dict(coarse.trunk.state_dict())
    score = fine.heads["regions"].decoder.score
    coarse.heads["regions"].decoder.scores[0].load_state_dict(score.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(
            logits_of(fine.eval(), pictures)[..., ::4, ::4], logits_of(coarse.eval(), pictures), rtol=1e-4, atol=1e-4
        )
