"""The last step of every detector: from many scored boxes to the few objects that it answers with."""

from collections.abc import Sequence

from torch import Tensor

from allsight.ops.nms import batched_nms
from allsight.scene import Frame, Scene, Vocabulary


def best_objects(
    found: tuple[Tensor, Tensor, Tensor],
    frames: Sequence[Frame],
    classes: Vocabulary,
    *,
    score_threshold: float,
    nms_iou: float,
    most: int,
) -> list[Scene]:
    """Return the objects of every picture, best first, in original pixels, cut at its border.

    Args:
        found: boxes (B, K, 4) in the model's pixels, labels (B, K) and scores (B, K).
        frames: B.
        classes: names behind the labels.
        score_threshold: scores below are dropped.
        nms_iou: a box that overlaps a better one of its class by more is suppressed.
        most: objects that remain.
    """
    scenes = []
    for frame, boxes, labels, scores in zip(frames, *(x.cpu() for x in found), strict=True):
        scene = Scene(frame.padded, boxes=boxes, labels=labels, scores=scores, object_classes=classes)
        scene = frame.to_original(scene.keep(scores >= score_threshold))
        assert scene.boxes is not None and scene.scores is not None and scene.labels is not None
        scenes.append(scene.keep(batched_nms(scene.boxes, scene.scores, scene.labels, nms_iou)[:most]))
    return scenes
