"""Which anchor answers for which object."""

from dataclasses import dataclass

import torch
from torch import Tensor

from allsight.ops.boxes import area, pairwise_iou
from allsight.scene import Scene

BACKGROUND = -1
IGNORED = -2


@dataclass(frozen=True)
class Matcher:
    """Anchors are matched to objects by overlap (Lin et al. 2017, RetinaNet, section 4).

    Args:
        positive: at this IoU or more an anchor answers for the object that it overlaps most.
        negative: below this IoU with every object an anchor is background; between the two it is ignored.
        rescue: an object that no anchor reaches gets the anchors that overlap it most (Ren et al. 2015, Faster R-CNN,
            section 3.1.2). The RetinaNet paper leaves this out; small objects of small data sets need it.
    """

    positive: float = 0.5
    negative: float = 0.4
    rescue: bool = True

    def __call__(self, anchors: Tensor, boxes: Tensor, crowd: Tensor | None = None) -> Tensor:
        """Match the anchors of one picture.

        Args:
            anchors: (A, 4). boxes: (N, 4) objects.
            crowd: (M, 4) regions of many objects: background anchors that lie in one by half or more are ignored.

        Returns:
            (A,) int64: the object's position, BACKGROUND or IGNORED.
        """
        if len(boxes):
            iou = pairwise_iou(boxes, anchors)
            best, match = iou.max(dim=0)
            match = match.masked_fill(best < self.positive, IGNORED).masked_fill(best < self.negative, BACKGROUND)
            if self.rescue:
                most = iou.amax(dim=1, keepdim=True)
                least = torch.where((most > 0) & (most < self.positive), most, 2.0)  # no overlap is as large as 2
                chosen = (iou - least).sign() + 1  # 1 where they are equal, 0 below; `==` takes five times as long
                overlap, which = (iou * chosen).max(dim=0)
                match = torch.where((overlap > 0) & (match < 0), which, match)
        else:
            match = torch.full((len(anchors),), BACKGROUND, device=anchors.device)
        if crowd is not None and len(crowd):
            low = torch.maximum(crowd[:, None, :2], anchors[:, :2])
            high = torch.minimum(crowd[:, None, 2:], anchors[:, 2:])
            inside = area(torch.cat([low, high], dim=-1)).amax(dim=0) / area(anchors)
            match = match.masked_fill((inside >= 0.5) & (match == BACKGROUND), IGNORED)
        return match


class Targets:
    """What every anchor of a batch should say.

    Args:
        anchors: (A, 4) for all pictures alike, or (B, A, 4).
        scenes: B, in the same pixels.
        matcher: which anchor answers for which object.

    Attributes:
        labels: (B, A) int64 class, BACKGROUND or IGNORED.
        boxes: (B, A, 4) the object that a positive anchor answers for; the anchor itself elsewhere.
        objects: (B, A) int64 that object's position in its scene; 0 elsewhere.
    """

    def __init__(self, anchors: Tensor, scenes: list[Scene], matcher: Matcher) -> None:
        each = anchors.expand(len(scenes), *anchors.shape[-2:])
        rows = [self._one(own, scene, matcher) for own, scene in zip(each, scenes, strict=True)]
        self.labels, self.boxes, self.objects = (torch.stack(column) for column in zip(*rows, strict=True))

    @staticmethod
    def _one(anchors: Tensor, scene: Scene, matcher: Matcher) -> tuple[Tensor, Tensor, Tensor]:
        nowhere = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
        if scene.boxes is None or scene.labels is None:
            return nowhere.fill_(IGNORED), anchors, torch.zeros_like(nowhere)
        boxes, labels = scene.boxes.to(anchors.device), scene.labels.to(anchors.device)
        places = torch.arange(len(boxes), device=anchors.device)
        crowds = None
        if scene.crowd is not None and bool(scene.crowd.any()):
            crowds, single = boxes[scene.crowd], ~scene.crowd
            boxes, labels, places = boxes[single], labels[single], places[single]
        match = matcher(anchors, boxes, crowds)
        if not len(boxes):
            return match, anchors, nowhere
        found = match >= 0
        chosen = match.clamp_min(0)
        answers = torch.where(found, labels[chosen], match), torch.where(found[:, None], boxes[chosen], anchors)
        return *answers, places[chosen]
