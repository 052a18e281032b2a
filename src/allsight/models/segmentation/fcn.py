"""FCN-32s, 16s and 8s: scores of coarse maps, refined by those of finer ones (Shelhamer et al. 2017)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.layers.upsampling import BilinearUpsampling
from allsight.models.segmentation.convolutional import convolutional
from allsight.models.segmentation.region_head import Decoder, RegionHead
from allsight.models.segmentation.sizes import check_sizes
from allsight.models.vision import Features, Vision
from allsight.scene import Vocabulary

Stride = Literal[8, 16, 32]


class FCNDecoder(Decoder):
    """Scores by 1x1 convolutions; coarse ones are upsampled by two and finer ones added (section 4.3, figure 3).

    All scores begin at zero. Upsampling between maps is learned and begins bilinear; the last one, to the picture,
    stays bilinear as in the paper: the head does it. So FCN-32s is one 1x1 convolution.

    Args:
        channels: of the maps by name, finest first, each of half the stride of the one behind it.
        strides: of the maps by name.
        classes: how many.
    """

    def __init__(self, *, channels: Mapping[str, int], strides: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.inputs = tuple(channels)
        self.strides = {name: strides[name] for name in self.inputs}
        self.scores = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in channels.values())
        self.upsampling = nn.ModuleList(BilinearUpsampling(classes, 2) for _ in self.inputs[1:])
        for score in self.scores:
            nn.init.zeros_(score.weight)  # type: ignore[arg-type]
            nn.init.zeros_(score.bias)  # type: ignore[arg-type]

    def forward(self, features: Features) -> Tensor:
        """Return logits (B, C, h, w) at the stride of the finest map; raises ModelError where maps do not meet."""
        check_sizes(features, self.strides)
        *finer, coarsest = zip(self.inputs, self.scores, strict=True)
        scores = coarsest[1](features[coarsest[0]])
        for (name, score), up in zip(reversed(finer), reversed(self.upsampling), strict=True):
            scores = up(scores) + score(features[name])
        return scores


def fcn_vgg(*, trunk: Trunk, classes: Vocabulary, stride: Stride = 8) -> Vision:
    """Return the paper's form: a VGG whose linear layers became convolutions, skips from pool4 and pool3.

    Deviations: see `convolutional`; all of it is trained at once, not FCN-32s first (section 4.3, "all-at-once").

    Args:
        trunk: a VGG, the paper's has 16 layers, with its linear layers.
        classes: of the pixels.
        stride: 32, 16 or 8, of the finest scores.
    """
    return _assembled(convolutional(trunk), classes, stride, ("p3", "p4", "fc7"))


def fcn(*, trunk: Trunk, classes: Vocabulary, stride: Stride = 8) -> Vision:
    """Return the form on any trunk: 1x1 scores on its maps of stride 32, 16 and 8.

    Args:
        trunk: gives c3, c4, c5, or else p3, p4, p5, the maps behind VGG's poolings.
        classes: of the pixels.
        stride: 32, 16 or 8, of the finest scores.
    """
    names = ("p3", "p4", "p5") if "p5" in trunk.channels else ("c3", "c4", "c5")
    return _assembled(trunk, classes, stride, names)


def _assembled(trunk: Trunk, classes: Vocabulary, stride: Stride, names: Sequence[str]) -> Vision:
    channels = {name: trunk.channels[name] for name in names if trunk.strides[name] >= stride}
    decoder = FCNDecoder(channels=channels, strides=trunk.strides, classes=len(classes))
    return Vision(trunk=trunk.cut(names[-1]), heads={"regions": RegionHead(decoder=decoder, classes=classes)})
