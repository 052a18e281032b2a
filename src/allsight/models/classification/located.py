"""Tags with a place: objects located from the classifier's own activation map, without box labels."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.models.classification.tags import TagHead
from allsight.models.explanations import class_activation_map, locate
from allsight.models.vision import Features, Vision
from allsight.scene import Frame, Masks, Scene, Vocabulary
from allsight.weights.imagenet import imagenet_classes


class LocatedOutputs(NamedTuple):
    """logits (B, C), the pooled vector (B, D), and the map (B, D, h, w) that was pooled."""

    logits: Tensor
    pooled: Tensor
    features: Tensor


class LocatedTagHead(TagHead):
    """A classifier on the average of a map, which also says where its best tags are (Zhou et al. 2016, section 2).

    Args:
        source: the trunk's last map.
        classifier: the linear layer behind the average.
        classes: its names.
        most: tags that are located at most.
        threshold: probability from which a tag is located.
    """

    classifier: nn.Linear

    def __init__(
        self, *, source: str, classifier: nn.Linear, classes: Vocabulary, most: int = 2, threshold: float = 0.3
    ) -> None:
        super().__init__(source=source, classifier=classifier, classes=classes)
        self.most = most
        self.threshold = threshold

    def forward(self, features: Features, frames: Sequence[Frame]) -> LocatedOutputs:  # type: ignore[override]
        """Return logits, the pooled vector and the map; padding takes part in the average as it did in training."""
        feature = features[self.inputs[0]]
        pooled = feature.mean(dim=(-2, -1))
        return LocatedOutputs(self.classifier(pooled), pooled, feature)

    def decode(self, outputs: LocatedOutputs, frames: Sequence[Frame]) -> list[Scene]:  # type: ignore[override]
        """Return tags, and for the best of them a weak box with a mask, in original pixels."""
        scenes = []
        for row, feature, frame in zip(self.probabilities(outputs), outputs.features, frames, strict=True):  # type: ignore[arg-type]
            best, labels = row.topk(min(self.most, len(row)))
            labels = labels[best >= self.threshold]
            heat = class_activation_map(feature.float().expand(len(labels), -1, -1, -1), self.classifier.weight[labels])
            places = [locate(one.cpu(), frame.padded) for one in heat]
            size = frame.padded if places else frame.original  # where there is nothing, nothing needs to be moved
            found = Scene(
                size,
                boxes=torch.stack([box for box, _ in places]) if places else torch.zeros(0, 4),
                labels=labels.cpu(),
                scores=row[labels].cpu(),
                weak=torch.ones(len(places), dtype=torch.bool),
                masks=_cut_out(places, size),
                object_classes=self.classes,
            )
            moved = frame.to_original(found) if places else found
            scenes.append(moved.with_(tags=row.cpu(), tag_classes=self.classes))
        return scenes


def imagenet_tags() -> Vision:
    """Return EfficientNet-Lite0 as it was published, which says ImageNet's names and where the best of them are."""
    trunk = efficientnet_lite0()
    classifier: nn.Linear = trunk.get_submodule("_fc")  # type: ignore[assignment]
    head = LocatedTagHead(source="head", classifier=classifier, classes=Vocabulary(imagenet_classes()))
    return Vision(trunk=trunk.cut("head"), heads={"tags": head})


def _cut_out(places: Sequence[tuple[Tensor, Tensor]], size: tuple[int, int]) -> Masks:
    """Return dense masks, each with the tight box around it, as packed ones."""
    if not places:
        return Masks.blank(0, size)
    windows = torch.stack([box for box, _ in places]).long()
    bits = [mask[y1:y2, x1:x2].flatten() for (x1, y1, x2, y2), (_, mask) in zip(windows.tolist(), places, strict=True)]
    return Masks(torch.cat(bits), windows, size)
