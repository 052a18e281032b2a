"""U-Net: a path that contracts, one that expands, and skips between them (Ronneberger et al. 2015)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.layers.initialisation import he_normal
from allsight.losses.borders import border_cross_entropy, border_weights
from allsight.models.segmentation.region_head import Decoder, RegionHead, RegionOutputs
from allsight.models.segmentation.sizes import check_sizes
from allsight.models.vision import Features, Vision
from allsight.scene import Frame, Masks, Scene, Vocabulary
from allsight.scene.vocabulary import IGNORE

LEVELS = ("c1", "c2", "c3", "c4", "c5")
NARROW = (16, 32, 64, 128)  # channels of the narrow expanding path, finest first


class UNetDecoder(Decoder):
    """The expanding path (section 2, figure 1).

    On every level: a transposed convolution of 2x2 that doubles the size, the trunk's map of that size beside it, two
    convolutions of 3x3 with ReLU.

    Args:
        channels: of the trunk's maps by name, finest first, each of half the stride of the one behind it.
        strides: of the maps by name.
        widths: channels of each level but the coarsest, finest first.
        classes: how many.
        skips: False leaves the trunk's finer maps out and nothing else.
        batch_norm: a batch norm behind each 3x3 convolution.
        dropout: rate on the coarsest map.
    """

    def __init__(
        self,
        *,
        channels: Mapping[str, int],
        strides: Mapping[str, int],
        widths: Sequence[int],
        classes: int,
        skips: bool = True,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        *finer, coarsest = channels
        self.inputs = (*finer, coarsest) if skips else (coarsest,)
        self.skips = tuple(reversed(finer)) if skips else ()
        self.strides = {name: strides[name] for name in self.inputs}
        self.dropout = nn.Dropout(dropout)
        self.upsampling = nn.ModuleList()
        self.convolutions = nn.ModuleList()
        before = channels[coarsest]
        for name, width in zip(reversed(finer), reversed(widths), strict=True):
            self.upsampling.append(nn.ConvTranspose2d(before, width, 2, 2))
            joined = width + (channels[name] if skips else 0)
            self.convolutions.append(
                nn.Sequential(*_block(joined, width, batch_norm), *_block(width, width, batch_norm))
            )
            before = width
        self.last = nn.Conv2d(before, classes, 1)
        he_normal(self)

    def forward(self, features: Features) -> Tensor:
        """Return logits (B, C, h, w) at the stride of the finest map; raises ModelError where maps do not meet."""
        check_sizes(features, self.strides)
        x = self.dropout(features[self.inputs[-1]])
        for level, (up, convolve) in enumerate(zip(self.upsampling, self.convolutions, strict=True)):
            x = up(x)
            x = convolve(torch.cat([features[self.skips[level]], x], dim=1) if self.skips else x)
        return self.last(x)


def _block(channels: int, out: int, batch_norm: bool) -> list[nn.Module]:
    norm = [nn.BatchNorm2d(out)] if batch_norm else []
    return [nn.Conv2d(channels, out, 3, padding=1, bias=not batch_norm), *norm, nn.ReLU(inplace=True)]


class BorderedRegionHead(RegionHead):
    """Regions whose background counts more between instances that lie close together.

    The paper's loss (equations 1 and 2) is a sum: the head's own losses, and cross-entropy weighted by
    `allsight.losses.borders.border_weights` as one more term, "borders". A picture without masks of instances has none.
    """

    def criterion(self, outputs: RegionOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the losses by name."""
        terms = super().criterion(outputs, frames, scenes)
        logits = F.interpolate(outputs.logits.float(), size=frames[0].padded, mode="bilinear", align_corners=False)
        pairs = zip(*map(_bordered, scenes), strict=True)
        truth, weights = (torch.stack(each).to(logits.device, non_blocking=True) for each in pairs)
        # Also where no picture has masks: processes that train together must have the same terms.
        return terms | {"borders": border_cross_entropy(logits, truth, weights)}


def _bordered(scene: Scene) -> tuple[Tensor, Tensor]:
    """Return the regions of a scene and the weights between its instances, both (H, W)."""
    regions = torch.full(scene.size, IGNORE) if scene.regions is None else scene.regions.long()
    instances = torch.zeros(scene.size) if scene.masks is None else instance_map(scene.masks)
    return regions, border_weights(instances)


def instance_map(masks: Masks) -> Tensor:
    """Return (H, W) int64, 1 to N where one of N masks lies, 0 elsewhere; where some overlap, one of them."""
    numbers = torch.zeros(masks.size, dtype=torch.int64)
    instance, pixel = masks.pixels()
    numbers.view(-1)[pixel] = instance + 1
    return numbers


def unet(*, trunk: Trunk, classes: Vocabulary) -> Vision:
    """Return the paper's form: the expanding path as wide as the contracting one, no batch norm, weighted borders.

    31.0 million parameters on `allsight.backbones.pictures.contracting.unet_encoder`. Deviation: convolutions are
    padded with zeros, so that the answer is as large as the picture; the paper's are not, and lose 92 pixels on
    each side.

    Args:
        trunk: gives c1 to c5; the paper's is `unet_encoder`.
        classes: of the pixels.
    """
    trunk = trunk.cut(LEVELS[-1])
    channels = {name: trunk.channels[name] for name in LEVELS}
    widths = list(channels.values())[:-1]
    decoder = UNetDecoder(
        channels=channels,
        strides=trunk.strides,
        widths=widths,
        classes=len(classes),
        batch_norm=False,
        dropout=0.5,
    )
    return Vision(trunk=trunk, heads={"regions": BorderedRegionHead(decoder=decoder, classes=classes)})


def unet_narrow(
    *,
    trunk: Trunk,
    classes: Vocabulary,
    widths: Sequence[int] = NARROW,
    skips: bool = True,
    borders: bool = False,
) -> Vision:
    """Return the form on any trunk: an expanding path of 16 to 128 channels with batch norm.

    Logits have the stride of the trunk's c1, 2 in most trunks, where the paper's have 1.

    Args:
        trunk: gives c1 to c5.
        classes: of the pixels.
        widths: channels of the expanding path's levels, finest first.
        skips: False leaves the trunk's finer maps out and nothing else.
        borders: learn with weights between instances; see `BorderedRegionHead`.
    """
    trunk = trunk.cut(LEVELS[-1])
    decoder = UNetDecoder(
        channels={name: trunk.channels[name] for name in LEVELS},
        strides=trunk.strides,
        widths=widths,
        classes=len(classes),
        skips=skips,
    )
    head = BorderedRegionHead if borders else RegionHead
    return Vision(trunk=trunk, heads={"regions": head(decoder=decoder, classes=classes)})
