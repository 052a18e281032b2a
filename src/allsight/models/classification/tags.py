"""Tags: what a picture shows, as a whole."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.backbones.pictures.trunk import Trunk
from allsight.models.vision import Features, Head, Vision
from allsight.scene import Frame, Scene, Vocabulary


class TagOutputs(NamedTuple):
    """logits (B, C) and the vector (B, D) that the classifier saw."""

    logits: Tensor
    pooled: Tensor


class TagHead(Head):
    """A linear classifier on a pooled feature.

    Args:
        source: the trunk's feature; a map is averaged over the picture.
        classifier: (B, D) to (B, C).
        classes: names behind the C logits.
        multi_label: each class by itself (sigmoid) rather than one of all (softmax).
        dropout: rate before the classifier, in training.
        smoothing: of the labels, single-label only (Szegedy et al. 2016, Rethinking Inception, section 7).
    """

    def __init__(
        self,
        *,
        source: str,
        classifier: nn.Module,
        classes: Vocabulary,
        multi_label: bool = False,
        dropout: float = 0.0,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.inputs: tuple[str, ...] = (source,)
        self.classifier = classifier
        self.classes = classes
        self.multi_label = multi_label
        self.dropout = nn.Dropout(dropout)
        self.smoothing = smoothing

    def forward(self, features: Features, frames: Sequence[Frame]) -> TagOutputs:
        """Return logits (B, C) and the pooled feature (B, D)."""
        feature = features[self.inputs[0]]
        pooled = feature.mean(dim=(-2, -1)) if feature.ndim == 4 else feature
        return TagOutputs(self.classifier(self.dropout(pooled)), pooled)

    def criterion(self, outputs: TagOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return "tags": cross-entropy over the pictures that have tags."""
        logits = outputs.logits.float()
        blank = torch.zeros(len(self.classes))
        truth = torch.stack([blank if s.tags is None else s.tags for s in scenes]).to(logits)
        known = torch.tensor([s.tags is not None for s in scenes]).to(logits)
        if self.multi_label:
            loss = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1)
        else:
            loss = F.cross_entropy(logits, truth, reduction="none", label_smoothing=self.smoothing)
        return {"tags": (loss * known).sum() / known.sum().clamp_min(1)}

    def probabilities(self, outputs: TagOutputs) -> Tensor:
        """Return (B, C) probabilities."""
        logits = outputs.logits.float()
        return logits.sigmoid() if self.multi_label else logits.softmax(dim=1)

    def decode(self, outputs: TagOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return a Scene with tags a picture."""
        rows = self.probabilities(outputs).cpu()
        return [Scene(f.original, tags=row, tag_classes=self.classes) for f, row in zip(frames, rows, strict=True)]


def classifier(
    *, trunk: Trunk, classes: Vocabulary, multi_label: bool = False, dropout: float = 0.2, smoothing: float = 0.0
) -> Vision:
    """Return a classifier by transfer: the trunk as it is, a new last layer.

    Args:
        trunk: anything with a `pooled` feature; what lies behind that is cut off.
        classes: of tags.
        multi_label, dropout, smoothing: see `TagHead`.
    """
    layer = nn.Linear(trunk.channels["pooled"], len(classes))
    nn.init.zeros_(layer.weight)  # every class alike at the start, whatever the trunk's features are
    nn.init.zeros_(layer.bias)
    head = TagHead(
        source="pooled",
        classifier=layer,
        classes=classes,
        multi_label=multi_label,
        dropout=dropout,
        smoothing=smoothing,
    )
    return Vision(trunk=trunk.cut("pooled"), heads={"tags": head})
