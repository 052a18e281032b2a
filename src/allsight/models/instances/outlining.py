"""The last step of detectors that outline: from many scored boxes to few objects, and a mask for each of these."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from allsight.models.detection.best import Selection, survivors
from allsight.models.instances.masks import MaskNet
from allsight.ops.boxes import clip
from allsight.ops.masks import paste
from allsight.scene import Frame, Masks, Scene, Vocabulary


class Outlined(NamedTuple):
    """Objects and their masks.

    Attributes:
        boxes: (B, K, 4) in the model's pixels, best first; a graph has as many as there may be, else K is as many as
            the picture with most of them has. labels, scores: (B, K).
        valid: (B, K) false where there were no more objects.
        masks: (B, M, m, m) logits over the boxes of the best M objects, of all K if there are no more.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    valid: Tensor
    masks: Tensor


def outline(
    masks: MaskNet,
    levels: Sequence[Tensor],
    candidates: tuple[Tensor, Tensor, Tensor],
    selection: Selection,
    size: tuple[int, int],
    outlined: int | None = None,
    least: Tensor | None = None,
) -> Outlined:
    """Choose objects from candidates and look at them once more for their masks.

    Masks are made for the final boxes: fewer than proposals, and better placed (He et al. 2017, "Mask R-CNN", section
    3.1).

    Args:
        masks: the mask branch. levels: the maps that it reads.
        candidates: boxes (B, N, 4) in the model's pixels, labels (B, N) and scores (B, N).
        selection: which of them stay.
        size: (height, width) that boxes are cut at.
        outlined: so many of them get a mask, the best; None for all.
        least: (C,) score from which an object of a class is wanted: of the rest, those that come after the last of
            these get no mask.
    """
    boxes, labels, scores = candidates
    boxes = clip(boxes, size)
    index, valid = survivors(boxes, scores, labels, selection.nms_iou, selection.most)
    if not torch.compiler.is_compiling():  # a graph has one shape; else masks are made for what can be an answer
        sure = (valid & (scores.gather(1, index) >= selection.score_threshold)).sum(1)
        index, valid = (each[:, : int(sure.max())] for each in (index, valid))
    boxes = boxes.gather(1, index[..., None].expand(-1, -1, 4))
    labels, scores = labels.gather(1, index), scores.gather(1, index)
    if least is not None:
        outlined = _last(valid & (scores >= least[labels]), outlined or selection.most)
    return Outlined(boxes, labels, scores, valid, masks(levels, boxes[:, :outlined], labels[:, :outlined]))


def _last(wanted: Tensor, most: int) -> int:
    """Return how many objects there are up to the last that is wanted (B, K) in any picture, from 1 to `most`.

    At least one: runtimes do not all take convolutions of nothing.
    """
    places = wanted * torch.arange(1, wanted.shape[1] + 1, device=wanted.device)
    last: Any = places.flatten().amax(0).clamp(1, most).item() if places.shape[1] else 1
    torch._check(last >= 1)  # torch.export knows nothing of this number (and so would not take int(...) of it)
    torch._check(last <= most)
    return last


def outlined_scenes(found: Outlined, frames: Sequence[Frame], classes: Vocabulary, selection: Selection) -> list[Scene]:
    """Return the objects of every picture with their masks, best first, in original pixels."""
    sure = found.valid & (found.scores >= selection.score_threshold)
    each = (found.boxes.float(), found.labels, found.scores.float(), found.masks.float().sigmoid(), sure)
    return [_scene(frame, classes, *own) for frame, *own in zip(frames, *(x.cpu() for x in each), strict=True)]


def _scene(
    frame: Frame, classes: Vocabulary, boxes: Tensor, labels: Tensor, scores: Tensor, maps: Tensor, sure: Tensor
) -> Scene:
    """Return the objects of one picture (K, ...), those that are sure; they come first, as the best do."""
    boxes = boxes[sure] / torch.tensor(frame.scale[::-1] * 2)
    maps = maps[sure[: len(maps)]]
    masks = paste(maps, boxes[: len(maps)], frame.original)  # a map covers its whole box, also what is cut off now
    masks = Masks.cat([masks, Masks.blank(len(boxes) - len(maps), frame.original)])
    boxes = clip(boxes, frame.original)
    scene = Scene(
        frame.original,
        boxes=boxes,
        labels=labels[sure],
        scores=scores[sure],
        masks=masks,
        object_classes=classes,
    )
    inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return scene if bool(inside.all()) else scene.keep(inside)
