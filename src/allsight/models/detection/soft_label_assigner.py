"""Which place answers for which object, by what the places say themselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from allsight.models.detection.matcher import BACKGROUND, IGNORED
from allsight.ops.boxes import pairwise_iou
from allsight.scene import Scene


@dataclass(frozen=True)
class SoftLabelAssigner:
    """Places are given to the objects for which they cost least, and to each as many as fit it well.

    A place inside of some object costs an object what its classes cost by quality focal loss, with the overlap for a
    soft label, and 3 times minus the logarithm of that overlap. An object takes as many of its cheapest places as the
    overlaps of its best 13 add up to, at least one; a place that several take goes to the object for which it costs
    least.

    Args:
        candidates: how many overlaps are added up. iou_weight: of the cost of the overlap.

    Source: RangiLyu 2021, NanoDet-Plus, "dynamic soft label assigner", after Ge et al. 2021, "YOLOX", section 2.1
    (SimOTA) and Li et al. 2020, "Generalized focal loss", equation 5.
    """

    candidates: int = 13
    iou_weight: float = 3.0

    @torch.no_grad()
    def __call__(
        self, logits: Tensor, found: Tensor, where: Tensor, boxes: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Assign the places of one picture; nothing waits for an accelerator.

        Args:
            logits: (P, C) what the places say of classes. found: (P, 4) and of boxes, in pixels.
            where: (P, 3) as `allsight.models.detection.side_distributions.places` gives them.
            boxes: (N, 4) objects. labels: (N,) their classes.

        Returns:
            (P,) int64 the object's position or BACKGROUND, and (P,) the overlap with it, 0 for background.
        """
        if not len(boxes):
            return torch.full_like(where[:, 0], BACKGROUND, dtype=torch.int64), torch.zeros_like(where[:, 0])
        sides = torch.cat([where[:, None, :2] - boxes[:, :2], boxes[:, 2:] - where[:, None, :2]], dim=-1)
        inside = (sides.amin(-1) > 0).any(1, keepdim=True)  # of any object, not of the one alone
        overlap = pairwise_iou(found.float(), boxes) * inside
        cost = self._class_costs(logits.float(), overlap, labels) - self.iou_weight * (overlap + 1e-7).log()
        cost = torch.where(inside, cost, torch.inf)
        number = min(self.candidates, len(where))
        share = overlap.topk(number, dim=0).values.sum(0).int().clamp_min(1)
        cheapest, rows = cost.topk(number, dim=0, largest=False)
        wanted = (torch.arange(number, device=cost.device)[:, None] < share) & cheapest.isfinite()
        taken = torch.zeros_like(cost, dtype=torch.bool).scatter(0, rows, wanted)
        several = taken.sum(1, keepdim=True) > 1
        match = torch.where(several, cost, torch.where(taken, 0.0, 1.0)).argmin(1)
        positive = taken.any(1)
        own = overlap.gather(1, match[:, None])[:, 0]
        return torch.where(positive, match, BACKGROUND), torch.where(positive, own, 0.0)

    @staticmethod
    def _class_costs(logits: Tensor, overlap: Tensor, labels: Tensor) -> Tensor:
        """Return (P, N), summed over classes: all of them as if absent, but for the object's own."""
        scores = logits.sigmoid()
        absent = F.softplus(logits) * scores.square()
        own, score = logits[:, labels], scores[:, labels]
        present = F.softplus(own) - overlap * own  # cross-entropy with a soft label
        return absent.sum(1, keepdim=True) - absent[:, labels] + present * (overlap - score).square()


class SoftTargets(NamedTuple):
    """What the places of a batch should say.

    Attributes:
        labels: (B, P) int64 class, BACKGROUND or IGNORED.
        overlaps: (B, P) of the assigning boxes with their objects, 0 where there is none.
        boxes: (B, P, 4) the object of a positive place, zeros elsewhere.
    """

    labels: Tensor
    overlaps: Tensor
    boxes: Tensor

    @classmethod
    def of(
        cls, logits: Tensor, found: Tensor, where: Tensor, scenes: Sequence[Scene], assigner: SoftLabelAssigner
    ) -> "SoftTargets":
        """Assign the places of a batch.

        Crowds are no objects; background places inside of one are ignored, and all of a picture without annotation.

        Args:
            logits: (B, P, C), found: (B, P, 4), where: (P, 3); see `SoftLabelAssigner`.
            scenes: B, in the same pixels.
        """
        each = zip(logits, found, scenes, strict=True)
        rows = [_one(scores, boxes, where, scene, assigner) for scores, boxes, scene in each]
        return cls(*(torch.stack(column) for column in zip(*rows, strict=True)))


def _one(
    logits: Tensor, found: Tensor, where: Tensor, scene: Scene, assigner: SoftLabelAssigner
) -> tuple[Tensor, Tensor, Tensor]:
    nothing = where.new_zeros(len(where))
    if scene.boxes is None or scene.labels is None:
        return torch.full_like(nothing, IGNORED, dtype=torch.int64), nothing, where.new_zeros(len(where), 4)
    boxes, labels = scene.boxes.to(where), scene.labels.to(where.device)
    crowds = boxes[:0]
    if scene.crowd is not None and bool(scene.crowd.any()):
        crowd = scene.crowd.to(where.device)
        crowds, boxes, labels = boxes[crowd], boxes[~crowd], labels[~crowd]
    match, overlap = assigner(logits, found, where, boxes, labels)
    if len(crowds):
        x, y = where[:, None, 0], where[:, None, 1]
        within = (crowds[:, 0] <= x) & (x < crowds[:, 2]) & (crowds[:, 1] <= y) & (y < crowds[:, 3])
        match = match.masked_fill(within.any(1) & (match == BACKGROUND), IGNORED)
    if not len(boxes):
        return match, overlap, where.new_zeros(len(where), 4)
    positive, chosen = match >= 0, match.clamp_min(0)
    return torch.where(positive, labels[chosen], match), overlap, boxes[chosen] * positive[:, None]
