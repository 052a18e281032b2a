"""Objects by their insides and borders: the class of every pixel, then a watershed (after Ronneberger et al. 2015)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from allsight.backbones.pictures.trunk import Trunk
from allsight.errors import ModelError
from allsight.losses.borders import border_cross_entropy, border_weights
from allsight.losses.cross_entropy import pixel_cross_entropy
from allsight.models.segmentation.region_head import Decoder
from allsight.models.segmentation.unet import LEVELS, NARROW, UNetDecoder, instance_map
from allsight.models.vision import Features, Head, Vision
from allsight.ops.watershed import mean_inside, separate
from allsight.scene import Frame, Scene, Vocabulary
from allsight.scene.vocabulary import IGNORE

BACKGROUND, INSIDE, BORDER = range(3)


class WatershedOutputs(NamedTuple):
    """Logits (B, 3, h, w) of background, inside and border, at the decoder's stride."""

    logits: Tensor


class WatershedHead(Head):
    """Says of every pixel if it lies inside of an object, on its border, or on none; objects grow from the insides.

    The U-Net paper has two classes, a gap of background painted between cells that touch, and weights that make it be
    learned (section 3). Here the objects' own rims are a third class, so that none loses pixels; pixels of the
    background between objects that lie close have the paper's weights.

    Args:
        decoder: features to three maps of logits.
        classes: the one class of objects.
        rim: pixels of the model that a border is wide, on the object's side.
        least: pixels of the picture; smaller objects are dropped.
    """

    def __init__(self, *, decoder: Decoder, classes: Vocabulary, rim: int = 2, least: int = 10) -> None:
        super().__init__()
        if len(classes) != 1:
            raise ModelError(f"a watershed cannot tell {len(classes)} classes apart; give one, or use mask_rcnn")
        self.decoder = decoder
        self.inputs = decoder.inputs
        self.classes = classes
        self.rim = rim
        self.least = least

    def forward(self, features: Features, frames: Sequence[Frame]) -> WatershedOutputs:
        """Return the logits of every cell."""
        return WatershedOutputs(self.decoder(features))

    def criterion(
        self, outputs: WatershedOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]
    ) -> dict[str, Tensor]:
        """Return "pixels", the mean cross-entropy, and "gaps", that between objects which lie close."""
        logits = F.interpolate(outputs.logits.float(), size=frames[0].padded, mode="bilinear", align_corners=False)
        numbers = [None if scene.masks is None else instance_map(scene.masks) for scene in scenes]
        unknown = torch.full(frames[0].padded, IGNORE)
        truth = torch.stack([unknown if each is None else rims(each, self.rim) for each in numbers])
        gaps = torch.stack([torch.zeros(unknown.shape) if each is None else border_weights(each) for each in numbers])
        truth, gaps = truth.to(logits.device), gaps.to(logits.device)
        return {"pixels": pixel_cross_entropy(logits, truth), "gaps": border_cross_entropy(logits, truth, gaps)}

    def decode(self, outputs: WatershedOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return the objects of every picture, the surest first: a score is the mean probability of the pixels."""
        return [self._scene(each.float().cpu(), frame) for each, frame in zip(outputs.logits, frames, strict=True)]

    def _scene(self, logits: Tensor, frame: Frame) -> Scene:
        """Return the objects of one picture with logits (3, h, w)."""
        whole = F.interpolate(logits[None], size=frame.padded, mode="bilinear", align_corners=False)
        seen = whole[..., : frame.resized[0], : frame.resized[1]]
        maps = F.interpolate(seen, size=frame.original, mode="bilinear", align_corners=False)[0].softmax(0)
        masks = separate(maps[INSIDE], maps[BORDER], least=self.least)
        scores = mean_inside(masks, maps[INSIDE] + maps[BORDER])
        order = scores.argsort(descending=True, stable=True)
        labels = torch.zeros(len(masks), dtype=torch.int64)
        scene = Scene(frame.original, masks.boxes(), labels, scores, masks=masks, object_classes=self.classes)
        return scene.keep(order)


def rims(numbers: Tensor, width: int) -> Tensor:
    """Return (H, W) int64: BORDER where another number is at most so many steps away, INSIDE elsewhere on objects.

    Args:
        numbers: (H, W), one for each object, 0 for none; beyond the edge of the picture all goes on as it is.
        width: in steps, diagonal ones counted.
    """
    side = 2 * width + 1
    padded = F.pad(numbers[None, None].double(), (width,) * 4, mode="replicate")
    highest, lowest = F.max_pool2d(padded, side, 1)[0, 0], -F.max_pool2d(-padded, side, 1)[0, 0]
    border = highest != lowest
    return torch.where(numbers > 0, torch.where(border, BORDER, INSIDE), BACKGROUND)


def watershed_net(*, trunk: Trunk, classes: Vocabulary, widths: Sequence[int] = NARROW) -> Vision:
    """Return a narrow U-Net with a `WatershedHead`.

    Args:
        trunk: gives c1 to c5.
        classes: of objects, one.
        widths: channels of the expanding path's levels, finest first.
    """
    trunk = trunk.cut(LEVELS[-1])
    decoder = UNetDecoder(
        channels={name: trunk.channels[name] for name in LEVELS}, strides=trunk.strides, widths=widths, classes=3
    )
    return Vision(trunk=trunk, heads={"objects": WatershedHead(decoder=decoder, classes=classes)})
