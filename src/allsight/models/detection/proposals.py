"""The region-proposal net: where something is, whatever it is (Ren et al. 2015, "Faster R-CNN", section 3.1)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.losses.boxes import smooth_l1
from allsight.machine.processes import mean_over_ranks
from allsight.models.detection.anchors import Anchors, flatten_levels
from allsight.models.detection.best import survivors
from allsight.models.detection.matcher import Matcher, Targets
from allsight.models.detection.sampling import sample
from allsight.ops.boxes import clip, decode
from allsight.scene import Scene

LEAST_SIDE = 1e-3  # pixels; a proposal that is thinner inside of the picture is removed


class ProposalOutputs(NamedTuple):
    """What the region-proposal net says.

    Attributes:
        objectness: (B, A) logit of every anchor. deltas: (B, A, 4). anchors: (A, 4) in the model's pixels.
        boxes: (B, N, 4) proposals, best first; scores: (B, N) probability of an object; neither has a gradient.
        valid: (B, N) false where there were no more proposals; the box there is all zeros.
    """

    objectness: Tensor
    deltas: Tensor
    anchors: Tensor
    boxes: Tensor
    scores: Tensor
    valid: Tensor


class ProposalNet(nn.Module):
    """A small net over every cell says of each anchor whether it is an object, and how to make it fit.

    Two deviations from the paper. Anchors that cross the border of the picture are learned from, as in Lin et al. 2017
    (Feature Pyramid Networks, section 4.1): in small pictures there are hardly any others. Both losses are divided by
    the number of sampled anchors, which is about what the paper's lambda = 10 amounts to.

    Args:
        hidden: the 3x3 convolution, without its ReLU; shared by all levels.
        objectness: 1x1 convolution to k maps, one for each anchor of a cell (sigmoid), or to 2k: background and object
            (softmax, as in the paper). The softmax of two is the sigmoid of their difference, which is what is used.
        deltas: 1x1 convolution to 4k maps.
        anchors: the boxes to start from.
        matcher: which anchor answers for which object.
        samples: anchors of a picture that are learned from, at most half of them objects.
        candidates: best anchors of a level that go into suppression.
        nms_iou: a proposal that overlaps a better one of its level by more is suppressed.
    """

    def __init__(
        self,
        *,
        hidden: nn.Module,
        objectness: nn.Conv2d,
        deltas: nn.Conv2d,
        anchors: Anchors,
        matcher: Matcher | None = None,
        samples: int = 256,
        candidates: int = 1000,
        nms_iou: float = 0.7,
    ) -> None:
        super().__init__()
        self.hidden = hidden
        self.objectness = objectness
        self.deltas = deltas
        self.anchors = anchors
        self.matcher = matcher or Matcher(0.7, 0.3)
        self.samples = samples
        self.candidates = candidates
        self.nms_iou = nms_iou

    def forward(self, levels: Sequence[Tensor], size: tuple[int, int], most: int) -> ProposalOutputs:
        """Propose.

        Args:
            levels: (B, C, h, w) maps, finest first.
            size: (height, width) of the pictures, which proposals are cut at.
            most: proposals of a picture; fewer only where there are fewer anchors.
        """
        hidden = [self.hidden(x).relu() for x in levels]
        two_way = flatten_levels([self.objectness(x) for x in hidden], self.objectness.out_channels // self._per_cell)
        objectness = two_way[..., -1] - two_way[..., 0] if two_way.shape[-1] == 2 else two_way[..., 0]
        deltas = flatten_levels([self.deltas(x) for x in hidden], 4)
        shapes = [(x.shape[-2], x.shape[-1]) for x in levels]
        anchors = self.anchors(shapes)
        counts = [height * width * self._per_cell for height, width in shapes]
        best = self._best(objectness.detach().float(), deltas.detach().float(), anchors, counts, size, most)
        return ProposalOutputs(objectness, deltas, anchors, *best)

    @property
    def _per_cell(self) -> int:
        return self.anchors.per_cell

    def _best(
        self, objectness: Tensor, deltas: Tensor, anchors: Tensor, counts: list[int], size: tuple[int, int], most: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, scores and validity of proposals: the best of each level, cut, thinned out, the best of all.

        All pictures go through at once and the shapes depend on no value, so that this exports.
        """
        tops = [level.topk(min(self.candidates, level.shape[1])) for level in objectness.split(counts, dim=1)]
        starts = [sum(counts[:number]) for number in range(len(counts))]
        index = torch.cat([top.indices + start for top, start in zip(tops, starts, strict=True)], dim=1)
        logits = torch.cat([top.values for top in tops], dim=1)
        boxes = clip(decode(deltas.gather(1, index[..., None].expand(-1, -1, 4)), anchors[index]), size)
        solid = ((boxes[..., 2:] - boxes[..., :2]) >= LEAST_SIDE).all(-1) & logits.isfinite()
        boxes, logits = torch.where(solid[..., None], boxes, 0.0), torch.where(solid, logits, -torch.inf)
        # Levels do not suppress one another's boxes.
        level = torch.cat([torch.full_like(top.indices, number) for number, top in enumerate(tops)], dim=1)
        best, valid = survivors(boxes, logits, level, self.nms_iou, most)
        chosen = boxes.gather(1, best[..., None].expand(-1, -1, 4))
        return torch.where(valid[..., None], chosen, 0.0), logits.gather(1, best).sigmoid(), valid

    def criterion(self, outputs: ProposalOutputs, scenes: Sequence[Scene]) -> dict[str, Tensor]:
        """Return "objectness" and "proposals": means over the sampled anchors (Ren et al. 2015, equation 1).

        Args:
            outputs: of `forward`.
            scenes: the truth, in the model's pixels; the classes do not matter.
        """
        targets = Targets(outputs.anchors, list(scenes), self.matcher)
        positive = targets.labels >= 0
        sampled = sample(targets.labels, self.samples, self.samples // 2)
        count = mean_over_ranks(sampled.sum())
        entropy = F.binary_cross_entropy_with_logits(outputs.objectness.float(), positive.float(), reduction="none")
        distance = smooth_l1(outputs.deltas, outputs.anchors, targets.boxes)
        return {
            "objectness": torch.where(sampled, entropy, 0.0).sum() / count,
            "proposals": torch.where(sampled & positive, distance, 0.0).sum() / count,
        }
