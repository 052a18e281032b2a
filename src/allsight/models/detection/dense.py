"""`DenseHead`: classes and boxes at every anchor of a pyramid, in one stage."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from allsight.losses.boxes import smooth_l1
from allsight.losses.focal import sigmoid_focal_loss
from allsight.machine.processes import mean_over_ranks
from allsight.models.detection.anchors import Anchors, flatten_levels
from allsight.models.detection.best import USUAL, Selection, best_objects
from allsight.models.detection.matcher import IGNORED, Matcher, Targets
from allsight.models.vision import Features, Head
from allsight.ops.boxes import decode
from allsight.scene import Frame, Scene, Vocabulary


class DenseOutputs(NamedTuple):
    """Raw answers of all anchors: logits (B, A, C), deltas (B, A, 4), and the anchors (A, 4) themselves."""

    logits: Tensor
    deltas: Tensor
    anchors: Tensor


class DenseHead(Head):
    """The head of RetinaNet (Lin et al. 2017, sections 3 and 4): two subnets over every level, no proposals.

    Args:
        inputs: names of the pyramid's levels, finest first.
        classification: list of maps to list of maps of anchors x classes channels.
        regression: list of maps to list of maps of anchors x 4 channels.
        anchors: the boxes to start from.
        classes: names behind the labels.
        matcher: which anchor answers for which object.
        class_loss: (logits, targets 0 or 1), both (B, A, C), and judged, (B, A, 1) bool, to the loss of every element,
            0 for anchors that are not judged.
        box_loss: (deltas, anchors, boxes) to the loss of every box.
        box_weight: of the box term in the sum.
        selection: which of all pairs of an anchor and a class `decode` answers with.
    """

    def __init__(
        self,
        *,
        inputs: Sequence[str],
        classification: nn.Module,
        regression: nn.Module,
        anchors: Anchors,
        classes: Vocabulary,
        matcher: Matcher | None = None,
        class_loss: Callable[[Tensor, Tensor, Tensor], Tensor] = sigmoid_focal_loss,
        box_loss: Callable[[Tensor, Tensor, Tensor], Tensor] = smooth_l1,
        box_weight: float = 1.0,
        selection: Selection = USUAL,
    ) -> None:
        super().__init__()
        self.inputs = tuple(inputs)
        self.classification = classification
        self.regression = regression
        self.anchors = anchors
        self.classes = classes
        self.matcher = matcher or Matcher()
        self.class_loss = class_loss
        self.box_loss = box_loss
        self.box_weight = box_weight
        self.selection = selection
        self.labels: Tensor | None
        self.register_buffer("labels", None, persistent=False)  # behind the logits, where not all classes have one

    def forward(self, features: Features, frames: Sequence[Frame]) -> DenseOutputs:
        """Return the raw answers of all anchors."""
        levels = [features[name] for name in self.inputs]
        logits = flatten_levels(self.classification(levels), len(self.classes if self.labels is None else self.labels))
        deltas = flatten_levels(self.regression(levels), 4)
        return DenseOutputs(logits, deltas, self.anchors([(x.shape[-2], x.shape[-1]) for x in levels]))

    def criterion(self, outputs: DenseOutputs, frames: Sequence[Frame], scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return "classes" and "boxes", sums over the batch divided by the number of positive anchors."""
        logits, deltas, anchors = outputs.logits.float(), outputs.deltas.float(), outputs.anchors
        targets = Targets(anchors, list(scenes), self.matcher)
        positive = targets.labels >= 0
        count = mean_over_ranks(positive.sum())
        truth = torch.zeros_like(logits).scatter_(
            2, targets.labels.clamp_min(0)[..., None], positive[..., None].float()
        )
        judged = (targets.labels != IGNORED)[..., None]
        class_term = self.class_loss(logits, truth, judged).sum() / count
        box_term = self._box_losses(deltas, anchors, targets.boxes, positive).sum() / count
        return {"classes": class_term, "boxes": self.box_weight * box_term}

    def _box_losses(self, deltas: Tensor, anchors: Tensor, boxes: Tensor, positive: Tensor) -> Tensor:
        """Return the losses of the positive anchors, with zeros between them on an accelerator.

        One anchor in a hundred is positive, but to pick them out the host would have to wait for their number.
        """
        if positive.is_cpu:
            return self.box_loss(deltas[positive], anchors.expand_as(boxes)[positive], boxes[positive])
        return torch.where(positive, self.box_loss(deltas, anchors, boxes), 0.0)

    def decode(self, outputs: DenseOutputs, frames: Sequence[Frame]) -> list[Scene]:
        """Return the objects of every picture, best first, in original pixels."""
        return best_objects(self.candidates(outputs), frames, self.classes, self.selection)

    def candidates(self, outputs: DenseOutputs) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best pairs of an anchor and a class: boxes (B, K, 4), labels (B, K) and scores (B, K)."""
        logits, anchor, labels = self.selection.best_pairs(outputs.logits.float())
        deltas = outputs.deltas.float().gather(1, anchor[..., None].expand(-1, -1, 4))
        labels = labels if self.labels is None else self.labels[labels]
        return decode(deltas, outputs.anchors[anchor]), labels, logits.sigmoid()

    def narrow(self, least: Callable[[str], float]) -> None:
        """Leave out the logits of classes that are not wanted: the others' stay what they were."""
        wanted = [label for label, name in enumerate(self.classes) if least(name) <= 1] or [0]
        if len(wanted) == len(self.classes):
            return
        self.labels = torch.tensor(wanted)
        last = _last_conv(self.classification)
        rows = torch.arange(last.out_channels).view(-1, len(self.classes))[:, self.labels].flatten()
        last.weight = nn.Parameter(last.weight.detach()[rows])
        last.bias = nn.Parameter(last.bias.detach()[rows]) if last.bias is not None else None
        last.out_channels = len(rows)


def set_prior(last: nn.Module, probability: float = 0.01) -> None:
    """Start the classifier by saying `probability` everywhere, so that the many negatives do not drown the start.

    Lin et al. 2017, section 4.1, "Initialization": b = -log((1 - p) / p).
    """
    bias = _last_conv(last).bias
    assert bias is not None
    nn.init.constant_(bias, -math.log((1 - probability) / probability))


def _last_conv(subnet: nn.Module) -> nn.Conv2d:
    return [module for module in subnet.modules() if isinstance(module, nn.Conv2d)][-1]
