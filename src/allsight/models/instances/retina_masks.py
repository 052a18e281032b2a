"""A one-stage detector that outlines what it finds (Fu et al. 2019, "RetinaMask")."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from allsight.layers.conv import DepthwiseSeparable
from allsight.models.detection.best import Selection
from allsight.models.detection.roi_heads import RegionPooling
from allsight.models.instances.masks import MaskNet
from allsight.models.instances.outlining import Outlined, outline, outlined_scenes
from allsight.models.vision import Features, Head
from allsight.scene import Frame, Scene, Vocabulary

JITTER = 0.15  # of a box's sides, the standard deviation of its shift and of the logarithm of its scale
GROUPS = 4  # of channels that are normalised together, region by region: batches hold places for regions that are none
LOOKS = 2  # at every object, each with a jitter of its own


class BoxHead(Protocol):
    """What is asked of a one-stage detector, a `Head` such as `DenseHead` or `GeneralisedFocalHead`."""

    inputs: tuple[str, ...]
    classes: Vocabulary
    selection: Selection

    def __call__(self, features: Features, frames: Sequence[Frame]) -> Any:
        """Return the raw answers at all places."""

    def candidates(self, outputs: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best pairs of a place and a class: boxes (B, K, 4), labels (B, K) and scores (B, K)."""

    def criterion(self, outputs: Any, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the terms of the loss."""

    def narrow(self, least: Callable[[str], float]) -> None:
        """Compute less; see `Head.narrow`."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Return what learns, or is held still."""


class OutlinedDenseHead(Head):
    """A dense head whose forward goes on from boxes to objects, to look at these once more for their masks.

    Deviation: the mask branch learns from true boxes that are moved and scaled by chance, as found ones would be, and
    not from those that the detector finds: one that has seen few pictures finds too few to learn from.

    Args:
        boxes: the detector. masks: the mask branch.
        levels: names of the maps that it reads, finest first.
        outlined: so many objects of a picture get a mask, the best; a hundred candidates of little score would take as
            long as all else.
    """

    def __init__(self, *, boxes: BoxHead, masks: MaskNet, levels: Sequence[str], outlined: int = 30) -> None:
        super().__init__()
        self.outlined = outlined
        self.boxes = boxes
        self.masks = masks
        self.levels = tuple(levels)
        self.inputs = tuple(dict.fromkeys([*levels, *boxes.inputs]))
        self.least: Tensor | None
        self.register_buffer("least", None, persistent=False)  # score from which objects of a class are wanted

    @property
    def classes(self) -> Vocabulary:
        """Names behind the labels."""
        return self.boxes.classes

    @property
    def selection(self) -> Selection:
        """Which of all pairs of an anchor and a class are the answer."""
        return self.boxes.selection

    @selection.setter
    def selection(self, value: Selection) -> None:
        self.boxes.selection = value

    def forward(self, features: Features, frames: Sequence[Frame]) -> Outlined:
        """Find, choose and outline; the raw answers of all anchors are too many to be handed on."""
        candidates = self.boxes.candidates(self.boxes(features, frames))
        size = frames[0].padded
        return outline(self.masks, self._maps(features), candidates, self.selection, size, self.outlined, self.least)

    def loss(self, features: Features, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return "masks" and the terms of the dense head, but for one that is held still."""
        boxes, valid = jittered_boxes(scenes, features[self.levels[0]].device)
        learns = any(parameter.requires_grad for parameter in self.boxes.parameters())
        terms = self.criterion(self.boxes(features, frames), frames, scenes) if learns else {}
        return {**terms, "masks": self.masks.loss(self._maps(features), boxes, valid, scenes)}

    def criterion(self, outputs: Any, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return the terms of the dense head, from its own answers at all anchors."""
        return self.boxes.criterion(outputs, frames, scenes)

    def decode(self, outputs: Outlined, frames: Sequence[Frame]) -> list[Scene]:
        """Return the objects of every picture with their masks, best first, in original pixels."""
        return outlined_scenes(outputs, frames, self.classes, self.selection)

    def narrow(self, least: Callable[[str], float]) -> None:
        """Look no more for classes that are not wanted, and make masks no further than for the last wanted object."""
        self.boxes.narrow(least)
        self.least = torch.tensor([least(name) for name in self.classes])

    def _maps(self, features: Features) -> list[Tensor]:
        return [features[name] for name in self.levels]


def jittered_boxes(scenes: Sequence[Scene], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Return the boxes of outlined objects, moved and scaled by chance, and which of them are there.

    Args:
        scenes: the truth; crowds are left out.

    Returns:
        boxes (B, N, 4), valid (B, N).
    """
    rows = []
    for scene in scenes:
        boxes = torch.zeros(0, 4) if scene.boxes is None or scene.masks is None else scene.boxes.float()
        boxes = boxes if scene.crowd is None or not len(boxes) else boxes[~scene.crowd]
        boxes = boxes.repeat(LOOKS, 1)
        centre, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        shift, scale = JITTER * torch.randn(2, len(boxes), 2)
        centre, sides = centre + shift * sides / 2, sides * scale.exp()
        rows.append(torch.cat([centre - sides / 2, centre + sides / 2], dim=1))
    valid = [torch.ones(len(row), dtype=torch.bool) for row in rows]
    return pad_sequence(rows, batch_first=True).to(device), pad_sequence(valid, batch_first=True).to(device)


def narrow_masks(strides: Sequence[int], channels: int, width: int = 32) -> MaskNet:
    """Return a mask branch for two cores: 14 x 14 cells, two depthwise separable convolutions, one map for all classes.

    Args:
        strides: of the levels that it reads. channels: of them. width: of the branch.
    """

    def normalised(layer: nn.Module) -> tuple[nn.Module, ...]:
        return layer, nn.GroupNorm(GROUPS, width), nn.ReLU()

    body = nn.Sequential(
        *normalised(DepthwiseSeparable(channels, width)),
        *normalised(DepthwiseSeparable(width, width)),
        *normalised(nn.ConvTranspose2d(width, width, 2, stride=2)),
    )
    # Pictures of 288 pixels show objects at well under half the size of those of 800, for which 224 was chosen.
    pooling = RegionPooling(strides, output=14, canonical_side=112.0)
    net = MaskNet(pooling=pooling, body=body, last=nn.Conv2d(width, 1, 1), samples=32)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return net
