"""Dilation in place of pooling, and a module that gathers context (Yu and Koltun 2016)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from allsight.backbones.pictures.freezing import dilate
from allsight.backbones.pictures.trunk import Trunk
from allsight.models.segmentation.convolutional import convolutional
from allsight.models.segmentation.region_head import Decoder, RegionHead
from allsight.models.vision import Features, Vision
from allsight.scene import Vocabulary

Context = Literal["none", "basic", "large"]

# Table 1: of each layer the kernel and the dilation, and the channels of its result as multiples of the classes.
LAYERS = ((3, 1), (3, 1), (3, 2), (3, 4), (3, 8), (3, 16), (3, 1), (1, 1))
WIDTHS = {"basic": (1, 1, 1, 1, 1, 1, 1, 1), "large": (2, 2, 4, 8, 16, 32, 32, 1)}
NOISE = 0.01  # of the large form's first weights, as a share of those that pass the input on


class ContextModule(nn.Sequential):
    """Seven 3x3 convolutions of growing dilation and a 1x1: every cell sees 67x67 (section 3, table 1).

    It begins as the identity of what is not negative: ReLU stands behind each convolution but the last. Deviation:
    zeros around the maps keep their size in all layers.

    Args:
        classes: channels of input and result.
        widths: channels of each layer's result as multiples of `classes`.
        noise: standard deviation of all weights that do not pass the input on, as a share of those that do.
    """

    def __init__(self, classes: int, widths: Sequence[int] = WIDTHS["basic"], noise: float = 0.0) -> None:
        layers: list[nn.Module] = []
        for (kernel, dilation), (width, out) in zip(LAYERS, pairwise((1, *widths)), strict=True):
            padding = dilation * (kernel // 2)
            layer = nn.Conv2d(classes * width, classes * out, kernel, padding=padding, dilation=dilation)
            begin_as_identity(layer, classes, noise)
            layers += [layer, nn.ReLU(inplace=True)]
        super().__init__(*layers[:-1])


@torch.no_grad()
def begin_as_identity(layer: nn.Conv2d, classes: int, noise: float = 0.0) -> None:
    """Set weights so that a layer passes its input on (equation 4; equation 5 where channels are several a class).

    Of c channels to d, the a-th and the b-th belong together if floor(a C / c) = floor(b C / d); the middle weight
    between them is C / d, so that the sum over a class's channels does not change.

    Args:
        layer: of an odd kernel; channels are multiples of `classes`.
        classes: C.
        noise: standard deviation of all other weights as a share of C / d.
    """
    out, channels, *kernel = layer.weight.shape
    share = classes / out
    nn.init.normal_(layer.weight, std=noise * share) if noise else nn.init.zeros_(layer.weight)
    own = torch.arange(out)[:, None] * classes // out == torch.arange(channels) * classes // channels
    middle = layer.weight[:, :, kernel[0] // 2, kernel[1] // 2]
    middle.copy_(torch.where(own, share, middle))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class DilatedDecoder(Decoder):
    """A 1x1 convolution over one map of a dilated trunk, and a context module on the scores.

    Args:
        name: of the map. channels: of the map.
        classes: how many.
        context: classes to classes; None leaves the front end by itself.
    """

    def __init__(self, *, name: str, channels: int, classes: int, context: nn.Module | None = None) -> None:
        super().__init__()
        self.inputs = (name,)
        self.score = nn.Conv2d(channels, classes, 1)
        self.context = context if context is not None else nn.Identity()

    def forward(self, features: Features) -> Tensor:
        """Return logits (B, C, h, w) at the stride of the map."""
        return self.context(self.score(features[self.inputs[0]]))


def dilated_vgg(*, trunk: Trunk, classes: Vocabulary, context: Context = "basic") -> Vision:
    """Return the paper's net: a VGG without pool4 and pool5, dilated by 2 and 4 behind them, logits at stride 8.

    Section 4 (the front end; linear layers as convolutions, fc6 dilated by 4) and section 3 (context). Deviations:
    convolutions pad with zeros, where the paper has no padding inside and mirrors the picture's border; front end and
    context learn together.

    Args:
        trunk: a VGG, the paper's has 16 layers, with its linear layers.
        classes: of the pixels.
        context: "none" leaves the front end by itself.
    """
    return _assembled(convolutional(trunk), "fc7", classes, 8, context)


def dilated(*, trunk: Trunk, classes: Vocabulary, output_stride: int = 8, context: Context = "basic") -> Vision:
    """Return the form on any trunk that can be dilated: a 1x1 convolution on its last map, then context.

    Without context it has the very parameters of `allsight.models.segmentation.fcn.fcn` at stride 32.

    Args:
        trunk: gives c5, or p5 where that is coarser; see `dilate`.
        classes: of the pixels.
        output_stride: of the logits. context: "none" leaves the front end by itself.
    """
    return _assembled(trunk, "p5" if "p5" in trunk.channels else "c5", classes, output_stride, context)


def _assembled(trunk: Trunk, name: str, classes: Vocabulary, output_stride: int, context: Context) -> Vision:
    trunk = trunk.cut(name)
    dilate(trunk, output_stride)
    count = len(classes)
    module = None
    if context != "none":
        module = ContextModule(count, WIDTHS[context], NOISE if context == "large" else 0.0)
    decoder = DilatedDecoder(name=name, channels=trunk.channels[name], classes=count, context=module)
    return Vision(trunk=trunk, heads={"regions": RegionHead(decoder=decoder, classes=classes)})
