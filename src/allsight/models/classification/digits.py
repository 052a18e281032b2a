"""Small nets that read digits, with and without spatial transformers (Jaderberg et al. 2015, section 4.1)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.data.pictures.loading import Batch
from allsight.layers.spatial_transformer import (
    SpatialTransformer,
    TransformationName,
    Transformed,
    transformation,
)
from allsight.models.system import Answering
from allsight.scene import Frame, Scene, Vocabulary


class DigitOutputs(NamedTuple):
    """What each transformer made of the pictures, and the logits (B, C)."""

    looks: tuple[Transformed, ...]
    logits: Tensor


class DigitNet(Answering[Frame, Scene]):
    """Transformers look at the picture side by side, a classifier sees what all of them saw.

    Pictures are divided by 255 and no mean is taken off: the background, and with it what a transformer reads outside a
    picture, must be 0.

    Args:
        classifier: (B, channels x max(1, transformers), h, w) to (B, C).
        transformers: none for a plain net.
        classes: names behind the logits.
        channels: of the picture that are looked at: 1 for grey ones.
    """

    def __init__(
        self,
        *,
        classifier: nn.Module,
        transformers: Sequence[SpatialTransformer],
        classes: Vocabulary,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.transformers = nn.ModuleList(transformers)
        self.classifier = classifier
        self.classes = classes
        self.channels = channels

    def forward(self, inputs: Tensor) -> DigitOutputs:
        """Read pictures (B, 3, H, W) uint8."""
        pictures = inputs[:, : self.channels].float() / 255
        looks = tuple(look(pictures) for look in self.transformers)
        seen = torch.cat([look.pictures for look in looks], dim=1) if looks else pictures
        return DigitOutputs(looks, self.classifier(seen))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return "tags": cross-entropy."""
        logits = self(batch.pictures).logits.float()
        truth = torch.stack([scene.tags for scene in batch.scenes if scene.tags is not None]).to(logits)
        return {"tags": F.cross_entropy(logits, truth)}

    def decode(self, outputs: DigitOutputs, places: Sequence[Frame]) -> list[Scene]:
        """Return a Scene with tags a picture."""
        rows = outputs.logits.float().softmax(dim=1).cpu()
        return [Scene(f.original, tags=row, tag_classes=self.classes) for f, row in zip(places, rows, strict=True)]


def digit_net(
    *,
    classes: Vocabulary,
    size: int,
    channels: int = 1,
    transformers: int = 0,
    form: TransformationName = "affine",
    filters: int = 32,
) -> DigitNet:
    """Return the paper's convolutional net, or one that sees through transformers.

    Two convolutions of 9x9 and 7x7, each followed by pooling, and one linear layer; localisation nets are smaller
    (Jaderberg et al. 2015, appendix A.4).

    Args:
        classes: of pictures.
        size: side of the pictures in pixels, at least 28.
        channels: of the picture that hold something.
        transformers: side by side. form: of their maps.
        filters: of both convolutions; the paper has between 32 and 64, so that all nets have as many parameters.
    """
    sides = (size, size)
    seen = channels * max(1, transformers)
    convolutions = nn.Sequential(*_convolution(seen, filters, 9), *_convolution(filters, filters, 7), nn.Flatten())
    classifier = nn.Sequential(convolutions, nn.Linear(_width(convolutions, seen, size), len(classes)))
    return DigitNet(
        classifier=classifier,
        transformers=[_transformer(channels, sides, form) for _ in range(transformers)],
        classes=classes,
        channels=channels,
    )


def _transformer(channels: int, size: tuple[int, int], form: TransformationName) -> SpatialTransformer:
    convolutions = nn.Sequential(
        nn.MaxPool2d(2), *_convolution(channels, 20, 5), nn.Conv2d(20, 20, 3), nn.ReLU(), nn.Flatten()
    )
    width = _width(convolutions, channels, size[0])
    localisation = nn.Sequential(convolutions, nn.Linear(width, 20), nn.ReLU())
    return SpatialTransformer(localisation=localisation, width=20, transformation=transformation(form, size), size=size)


def _convolution(inputs: int, outputs: int, side: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, side), nn.ReLU(), nn.MaxPool2d(2)]


def _width(module: nn.Module, channels: int, size: int) -> int:
    with torch.no_grad():
        return int(module(torch.zeros(1, channels, size, size)).shape[1])
