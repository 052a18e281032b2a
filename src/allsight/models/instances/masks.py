"""The mask branch: the outline of what a region shows (He et al. 2017, "Mask R-CNN", section 3)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.machine.processes import mean_over_ranks
from allsight.models.detection.matcher import IGNORED, Matcher, Targets
from allsight.models.detection.roi_heads import RegionPooling
from allsight.scene import Scene


class MaskNet(nn.Module):
    """A small map of probabilities for every region, one for each class that it might show, or one for all.

    Classes do not compete for a pixel: the map of the region's class is all that is judged and all that is used.

    Args:
        pooling: regions to maps of one size.
        body: (R, C, output, output) to (R, D, m, m).
        last: 1x1 convolution to C + 1 maps of logits; the background's, which comes first, is never used and is there
            because published weights have it. Or to one map, for whatever the region shows: where examples of a class
            are few, outlines are learned from all of them (He et al. 2017, table 2b: nearly as good).
        matcher: which region answers for which object.
        samples: regions of a picture that are learned from, all of them objects.
    """

    def __init__(
        self,
        *,
        pooling: RegionPooling,
        body: nn.Module,
        last: nn.Conv2d,
        matcher: Matcher | None = None,
        samples: int = 32,
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.body = body
        self.last = last
        self.matcher = matcher or Matcher(0.5, 0.5, rescue=False)
        self.samples = samples

    def forward(self, levels: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Levels, regions (B, K, 4) and their labels (B, K) to logits (B, K, m, m)."""
        every = self.last(self.body(self.pooling(levels, boxes)))
        own = labels.flatten() + 1 if self.last.out_channels > 1 else torch.zeros_like(labels).flatten()
        return every[torch.arange(every.shape[0], device=every.device), own].unflatten(0, labels.shape)

    def loss(self, levels: Sequence[Tensor], boxes: Tensor, valid: Tensor, scenes: Sequence[Scene]) -> Tensor:
        """Return the mean binary cross-entropy over the cells of those regions that show an object with a mask.

        The truth of a cell is whether the mask covers its centre, half or more of it by bilinear reading.

        Args:
            levels: of the pyramid. boxes: (B, N, 4) regions. valid: (B, N) which of them count.
            scenes: the truth, in the model's pixels.
        """
        targets = Targets(boxes, list(scenes), self.matcher)
        outlined = torch.tensor([scene.masks is not None for scene in scenes], device=boxes.device)
        labels = targets.labels.masked_fill(~valid | ~outlined[:, None], IGNORED)
        # As many of every picture: which ones show objects is known to the device alone.
        order = (labels >= 0).int().argsort(dim=1, descending=True, stable=True)[:, : self.samples]
        boxes, labels = boxes.gather(1, order[..., None].expand(-1, -1, 4)), labels.gather(1, order)
        shown = labels >= 0
        logits = self(levels, boxes, labels.clamp_min(0)).float()
        truth = _cropped(scenes, targets.objects.gather(1, order), boxes, logits.shape[-1])
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((-2, -1))
        return torch.where(shown, each, 0.0).sum() / mean_over_ranks(shown.sum())


def _cropped(scenes: Sequence[Scene], objects: Tensor, boxes: Tensor, side: int) -> Tensor:
    """Return (B, K, side, side), 1 where the mask of a region's object covers the cell, else 0."""
    rows = []
    for scene, which, own in zip(scenes, objects.cpu(), boxes.detach().cpu(), strict=True):
        if scene.masks is None or not len(scene.masks):
            rows.append(torch.zeros(len(own), side, side))
        else:
            rows.append(scene.masks.crop(which, own, side))
    return (torch.stack(rows) >= 0.5).to(boxes)
