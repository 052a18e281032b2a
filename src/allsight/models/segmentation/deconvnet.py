"""DeconvNet: down to a vector, and the same way back by unpooling and deconvolution (Noh et al. 2015)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.models.segmentation.region_head import Decoder, RegionHead
from allsight.models.segmentation.segnet import COARSEST, Mirror, columns_of, normed
from allsight.models.vision import Features, Vision
from allsight.scene import Vocabulary


class DeconvNetDecoder(Decoder):
    """fc6 and fc7 as convolutions, a deconvolution back to the map, the encoder turned round (section 3, figure 2).

    A deconvolution of stride 1 is a convolution with its kernel turned by 180 degrees, so those of 3x3 are written as
    convolutions. Batch norm and ReLU stand behind every layer but the last (section 4.1).

    Args:
        columns: see `allsight.models.segmentation.segnet.Mirror`.
        classes: how many.
        kernel: of fc6, without padding: the side of the map that becomes a vector. Smaller maps get zeros on the right
            and below.
        hidden: channels of fc6 and fc7.
    """

    def __init__(self, *, columns: Sequence[Sequence[int]], classes: int, kernel: int = 7, hidden: int = 4096) -> None:
        super().__init__()
        width = columns[-1][-1]
        self.kernel = kernel
        self.middle = nn.Sequential(
            nn.Conv2d(width, hidden, kernel, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            *normed(hidden, hidden, 1),
            nn.ConvTranspose2d(hidden, width, kernel, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        )
        self.mirror = Mirror(columns)
        self.inputs = (*self.mirror.inputs, COARSEST)
        self.last = nn.Conv2d(self.mirror.channels, classes, 1)

    def forward(self, features: Features) -> Tensor:
        """Return logits (B, C, H, W) of the picture's size, whatever it is."""
        x = features[COARSEST]
        height, width = x.shape[-2:]
        # Sizes may be symbols of a graph, for which there is no other maximum.
        below, right = (torch.sym_max(self.kernel - side, 0) for side in (height, width))
        x = self.middle(F.pad(x, (0, right, 0, below)))
        return self.last(self.mirror(x[..., :height, :width], features))


def deconvnet(*, trunk: Trunk, classes: Vocabulary) -> Vision:
    """Return the paper's form: 252 million parameters on VGG-16 with batch norm.

    Deviations: it sees whole pictures, where the paper's sees 50 object proposals and takes the maximum of their maps;
    the batch norms need more than one vector a channel, so a training batch of one picture of 224x224 is too small.

    Args:
        trunk: gives pooling indices; the paper's is `vgg16_bn`.
        classes: of the pixels.
    """
    return _assembled(trunk, classes, kernel=7, hidden=4096)


def deconvnet_narrow(*, trunk: Trunk, classes: Vocabulary, kernel: int = 3, hidden: int = 512) -> Vision:
    """Return a form for two cores.

    Args:
        trunk: gives pooling indices, for instance `allsight.backbones.pictures.contracting.vgg_narrow`.
        classes: of the pixels.
        kernel, hidden: see `DeconvNetDecoder`.
    """
    return _assembled(trunk, classes, kernel=kernel, hidden=hidden)


def _assembled(trunk: Trunk, classes: Vocabulary, *, kernel: int, hidden: int) -> Vision:
    decoder = DeconvNetDecoder(columns=columns_of(trunk), classes=len(classes), kernel=kernel, hidden=hidden)
    head = RegionHead(decoder=decoder, classes=classes)
    return Vision(trunk=trunk.cut(COARSEST), heads={"regions": head})
