"""What is in each region, and where exactly (Girshick 2015, "Fast R-CNN", section 2)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from allsight.machine.processes import mean_over_ranks
from allsight.models.detection.matcher import IGNORED, Matcher, Targets
from allsight.models.detection.sampling import sample
from allsight.ops.boxes import area, encode
from allsight.ops.roi_align import roi_align
from allsight.scene import Scene

CANONICAL_LEVEL = 4  # of the cells of 16 pixels


def assign_levels(boxes: Tensor, lowest: int, highest: int, canonical_side: float = 224.0) -> Tensor:
    """Return the pyramid level that each region is looked at on: k = floor(4 + log2(sqrt(w h) / 224)).

    Args:
        boxes: (..., 4) in pixels.
        lowest, highest: levels that there are; level k has cells of 2^k pixels.
        canonical_side: of a square region that belongs to level 4.

    Returns:
        (...) int64 in [lowest, highest]; the lowest for regions without area.

    Source:
        Lin et al. 2017, "Feature pyramid networks for object detection", equation 1.
    """
    level = CANONICAL_LEVEL + torch.log2(area(boxes).sqrt() / canonical_side)
    return level.floor().clamp(lowest, highest).long()


class RegionPooling(nn.Module):
    """Maps of one size from regions of any size, each from the level of the pyramid that suits it.

    Args:
        strides: pixels per cell of every level, finest first, each twice the one before.
        output: cells of the result, down and across.
        sampling, aligned: see `roi_align`.
        canonical_side: see `assign_levels`.
    """

    def __init__(
        self,
        strides: Sequence[int],
        *,
        output: int = 7,
        sampling: int = 2,
        aligned: bool = True,
        canonical_side: float = 224.0,
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.output = output
        self.sampling = sampling
        self.aligned = aligned
        self.canonical_side = canonical_side

    def forward(self, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Levels (B, C, h, w) and regions (B, N, 4) in the model's pixels to (B * N, C, output, output)."""
        batch, count = boxes.shape[:2]
        boxes = boxes.flatten(0, 1)
        owner = torch.arange(batch, device=boxes.device)[:, None].expand(-1, count).flatten()
        if len(levels) == 1:
            return self._pool(levels[0], boxes, owner, self.strides[0])
        lowest = round(math.log2(self.strides[0]))
        level = assign_levels(boxes, lowest, lowest + len(levels) - 1, self.canonical_side) - lowest
        pooled = levels[0].new_zeros(boxes.shape[0], self.output, self.output, levels[0].shape[1]).permute(0, 3, 1, 2)
        for number, (features, stride) in enumerate(zip(levels, self.strides, strict=True)):
            here = (level == number).nonzero()[:, 0]
            pooled.index_copy_(0, here, self._pool(features, boxes[here], owner[here], stride))
        return pooled

    def _pool(self, features: Tensor, boxes: Tensor, owner: Tensor, stride: int) -> Tensor:
        sides = (self.output, self.output)
        return roi_align(
            features, boxes, owner, output=sides, scale=1 / stride, sampling=self.sampling, aligned=self.aligned
        )


class RegionNet(nn.Module):
    """The class of every region, and a box for each class that it might be.

    Args:
        pooling: regions to maps of one size.
        body: (R, C, output, output) to (R, D).
        classification: linear layer to C + 1 logits, the background's first.
        regression: linear layer to (C + 1) x 4 deltas; the background's are never used, and are there because
            published weights have them.
        matcher: which region answers for which object.
        samples: regions of a picture that are learned from.
        positives: at most this share of them are objects.
        weights: of the deltas, which makes them about as large as the logits (Girshick 2015, section 2.3: "normalize").
    """

    def __init__(
        self,
        *,
        pooling: RegionPooling,
        body: nn.Module,
        classification: nn.Linear,
        regression: nn.Linear,
        matcher: Matcher | None = None,
        samples: int = 128,
        positives: float = 0.25,
        weights: tuple[float, float, float, float] = (10.0, 10.0, 5.0, 5.0),
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.body = body
        self.classification = classification
        self.regression = regression
        self.matcher = matcher or Matcher(0.5, 0.5, rescue=False)
        self.samples = samples
        self.positives = positives
        self.weights = weights

    def forward(self, levels: Sequence[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Levels and regions (B, N, 4) to logits (B, N, C + 1) and deltas (B, N, C + 1, 4)."""
        seen = self.body(self.pooling(levels, boxes))
        logits, deltas = self.classification(seen), self.regression(seen)
        shape = boxes.shape[:2]
        return logits.unflatten(0, shape), deltas.unflatten(1, (-1, 4)).unflatten(0, shape)

    def sample(self, boxes: Tensor, valid: Tensor, scenes: Sequence[Scene]) -> tuple[Tensor, Tensor]:
        """Choose the regions to learn from, among the proposals and the true boxes themselves.

        Args:
            boxes: (B, N, 4) proposals. valid: (B, N) which of them count.
            scenes: the truth.

        Returns:
            boxes (B, S, 4) and valid (B, S), false in pictures that have fewer, or are not annotated.
        """
        truth, given = _true_boxes(scenes, boxes)
        boxes, valid = torch.cat([boxes, truth], dim=1), torch.cat([valid, given], dim=1)
        labels = Targets(boxes, list(scenes), self.matcher).labels.masked_fill(~valid, IGNORED)
        picked = sample(labels, self.samples, round(self.positives * self.samples))
        index = picked.int().argsort(dim=1, descending=True, stable=True)[:, : self.samples]
        return boxes.gather(1, index[..., None].expand(-1, -1, 4)), picked.gather(1, index)

    def criterion(
        self, logits: Tensor, deltas: Tensor, boxes: Tensor, valid: Tensor, scenes: Sequence[Scene]
    ) -> dict[str, Tensor]:
        """Return "classes" and "boxes": means over the regions that are judged (Girshick 2015, equations 1 to 3).

        Args:
            logits, deltas: of `forward`. boxes: (B, N, 4) regions. valid: (B, N) which of them count.
            scenes: the truth, in the model's pixels.
        """
        targets = Targets(boxes, list(scenes), self.matcher)
        labels = targets.labels.masked_fill(~valid, IGNORED)
        count = mean_over_ranks((labels != IGNORED).sum())
        # The background's logit is the first: what has label BACKGROUND = -1 is class 0 here.
        classes = F.cross_entropy(
            logits.float().flatten(0, 1), (labels + 1).flatten(), ignore_index=IGNORED + 1, reduction="sum"
        )
        chosen = (labels.clamp_min(0) + 1)[..., None, None].expand(-1, -1, 1, 4)
        wanted = encode(targets.boxes, boxes, self.weights)
        distance = F.smooth_l1_loss(deltas.float().gather(2, chosen)[:, :, 0], wanted, reduction="none").sum(-1)
        return {"classes": classes / count, "boxes": torch.where(labels >= 0, distance, 0.0).sum() / count}


def _true_boxes(scenes: Sequence[Scene], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return (B, G, 4) the objects of every picture, crowds left out, and (B, G) which are there."""
    rows = []
    for scene in scenes:
        boxes = like.new_zeros(0, 4) if scene.boxes is None else scene.boxes.to(like)
        rows.append(boxes if scene.crowd is None or scene.boxes is None else boxes[~scene.crowd.to(like.device)])
    counts = torch.tensor([len(row) for row in rows], device=like.device)
    truth = pad_sequence(rows, batch_first=True)
    return truth, torch.arange(truth.shape[1], device=like.device) < counts[:, None]
