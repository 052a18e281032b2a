"""The last step of every detector: from many scored boxes to the few objects that it answers with."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from allsight.ops.nms import batched_nms
from allsight.scene import Frame, Scene, Vocabulary


@dataclass(frozen=True)
class Selection:
    """Which of many scored boxes are the answer.

    Args:
        candidates: so many best pairs of a box and a class go on.
        score_threshold: scores below are dropped.
        nms_iou: a box that overlaps a better one of its class by more is suppressed.
        most: objects that remain.
    """

    candidates: int = 1000
    score_threshold: float = 0.05
    nms_iou: float = 0.5
    most: int = 100

    def best_pairs(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the best `candidates` pairs of a box and a class, or all where there are fewer.

        Args:
            scores: (B, N, C) of every box and class, on any scale.

        Returns:
            Their scores (B, K), falling, their boxes (B, K) as positions in N, and their labels (B, K).
        """
        count, classes = scores.shape[1:]
        if torch.compiler.is_compiling():  # a graph for any size takes as many of a small picture: the rest are none
            none = scores.new_full((len(scores), self.candidates, classes), -torch.inf)
            best, boxes, labels = self._best(torch.cat([scores, none], dim=1))
            return best, boxes.clamp(max=count - 1), labels
        return self._best(scores)

    def _best(self, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count, classes = scores.shape[1:]
        boxes = torch.arange(count, device=scores.device).expand(len(scores), -1)
        if count > self.candidates:
            # The K best pairs lie on the K boxes whose best class is best: half the time for 16,000 boxes, 80 classes.
            boxes = scores.amax(2).topk(self.candidates).indices.sort().values
            scores = scores.gather(1, boxes[..., None].expand(-1, -1, classes))
        best, index = scores.flatten(1).topk(min(self.candidates, boxes.shape[1] * classes))
        return best, boxes.gather(1, index // classes), index % classes


USUAL = Selection()


def survivors(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float, most: int) -> tuple[Tensor, Tensor]:
    """Choose the best boxes that no better one of their group suppresses; all shapes are fixed, so that this exports.

    Args:
        boxes: (B, K, 4); one without area suppresses none. scores: (B, K), -inf for what is not to be chosen.
        groups: (B, K) int64: boxes of different groups, or of different pictures, do not suppress one another.
        iou: overlap from which on a box is suppressed. most: boxes to choose, or K if that is less.

    Returns:
        Positions (B, N), best first, and (B, N) which of them count: there may not be as many.
    """
    apart = groups + (groups.max() + 1) * torch.arange(len(groups), device=groups.device)[:, None]
    kept = batched_nms(boxes.flatten(0, 1), scores.flatten(), apart.flatten(), iou)
    stays = torch.zeros(scores.numel(), dtype=torch.bool, device=scores.device).scatter(0, kept, True)
    best = torch.where(stays.view_as(scores), scores, -torch.inf).topk(min(most, scores.shape[1]))
    return best.indices, best.values > -torch.inf


def best_objects(
    found: tuple[Tensor, Tensor, Tensor], frames: Sequence[Frame], classes: Vocabulary, selection: Selection
) -> list[Scene]:
    """Return the objects of every picture, best first, in original pixels, cut at its border.

    Args:
        found: boxes (B, K, 4) in the model's pixels, labels (B, K) and scores (B, K).
        frames: B.
        classes: names behind the labels.
        selection: what is dropped, suppressed and kept of them.
    """
    scenes = []
    for frame, boxes, labels, scores in zip(frames, *(x.cpu() for x in found), strict=True):
        scene = Scene(frame.padded, boxes=boxes, labels=labels, scores=scores, object_classes=classes)
        scene = frame.to_original(scene.keep(scores >= selection.score_threshold))
        assert scene.boxes is not None and scene.scores is not None and scene.labels is not None
        kept = batched_nms(scene.boxes, scene.scores, scene.labels, selection.nms_iou)
        scenes.append(scene.keep(kept[: selection.most]))
    return scenes
