"""Where is the object? Three ways to answer with one box a picture."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allsight.data.pictures.loading import Batch
from allsight.machine.processes import mean_over_ranks
from allsight.models.detection.anchors import Anchors
from allsight.models.system import Answering
from allsight.ops.boxes import decode
from allsight.scene import Frame, Scene, Vocabulary

OBJECT = Vocabulary(("object",))


class BoxOutputs(NamedTuple):
    """K answers a picture: boxes (B, K, 4) in the model's pixels, and logits (B, K) of which one it is."""

    boxes: Tensor
    logits: Tensor


class OneBox(Answering[Frame, Scene]):
    """Says where the object is, of whatever class, by the likeliest of its answers.

    Where there are several objects each of them is right, and counts 1 / n in the loss: nothing says which one is
    meant. Pictures without objects are not learned from.

    Args:
        net: pictures (B, 3, H, W) from -1 to 1, to (B, numbers).
        candidates: (K, 4) boxes to choose from, in pixels of the model.
    """

    candidates: Tensor

    def __init__(self, *, net: nn.Module, candidates: Tensor) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("candidates", candidates, persistent=False)

    def forward(self, pictures: Tensor) -> BoxOutputs:
        """Return the answers for uint8 pictures (B, 3, H, W)."""
        return self._answers(self.net(pictures.float() / 127.5 - 1), (pictures.shape[-2], pictures.shape[-1]))

    @abstractmethod
    def _answers(self, numbers: Tensor, size: tuple[int, int]) -> BoxOutputs:
        """Return what the net's numbers (B, numbers) mean on pictures of (height, width)."""

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of all objects, averaged over those of a picture, then over the pictures that have any."""
        outputs = self(batch.pictures)
        boxes = [s.boxes if s.boxes is not None else torch.zeros(0, 4) for s in batch.scenes]
        counts = torch.tensor([len(b) for b in boxes])
        picture = torch.repeat_interleave(counts).to(outputs.boxes.device)
        weight = (1 / counts.clamp_min(1)).to(outputs.boxes.device)[picture]
        pictures = mean_over_ranks((counts > 0).sum().to(outputs.boxes.device))
        size = outputs.boxes.new_tensor([batch.pictures.shape[-1], batch.pictures.shape[-2]]).repeat(2)
        chosen = BoxOutputs(outputs.boxes[picture], outputs.logits[picture])
        terms = self._terms(chosen, torch.cat(boxes).to(outputs.boxes.device), size)
        return {name: (weight * value).sum() / pictures for name, value in terms.items()}

    @abstractmethod
    def _terms(self, outputs: BoxOutputs, truth: Tensor, size: Tensor) -> dict[str, Tensor]:
        """Compare the answers about the picture of each of M objects with its box (M, 4); size: (4,) w, h, w, h."""

    def nearest(self, truth: Tensor) -> Tensor:
        """Return (M,) int64, the candidate whose corners lie nearest to those of each box (M, 4)."""
        return torch.cdist(truth, self.candidates).argmin(1)

    def decode(self, outputs: BoxOutputs, places: Sequence[Frame]) -> list[Scene]:
        """Return one object a picture in original pixels, its score the probability of the answer."""
        scores, best = outputs.logits.float().softmax(1).max(1)
        boxes = outputs.boxes.float()[torch.arange(len(best), device=best.device), best]
        label = torch.zeros(1, dtype=torch.int64)
        return [
            frame.to_original(Scene(frame.padded, box[None], label, score[None], object_classes=OBJECT))
            for frame, box, score in zip(places, boxes.cpu(), scores.cpu(), strict=True)
        ]


class QuadraticBox(OneBox):
    """Four numbers with the squared distance as loss: of several objects, its best answer is their mean.

    The net's numbers are shares of the picture's sides, from its middle.
    """

    def __init__(self, *, net: nn.Module) -> None:
        super().__init__(net=net, candidates=torch.zeros(0, 4))

    def _answers(self, numbers: Tensor, size: tuple[int, int]) -> BoxOutputs:
        sides = numbers.new_tensor([size[1], size[0]]).repeat(2)
        return BoxOutputs(((numbers + 0.5) * sides)[:, None], numbers.new_zeros(len(numbers), 1))

    def _terms(self, outputs: BoxOutputs, truth: Tensor, size: Tensor) -> dict[str, Tensor]:
        return {"box": _quadratic(outputs.boxes[:, 0], truth, size)}


class ClassifiedBox(OneBox):
    """Which of a grid of boxes is it? Cross-entropy; several objects become several likely answers.

    The net gives a logit for each candidate. It is as exact as the grid is fine.
    """

    def _answers(self, numbers: Tensor, size: tuple[int, int]) -> BoxOutputs:
        return BoxOutputs(self.candidates.expand(len(numbers), -1, -1), numbers)

    def _terms(self, outputs: BoxOutputs, truth: Tensor, size: Tensor) -> dict[str, Tensor]:
        return {"choice": F.cross_entropy(outputs.logits.float(), self.nearest(truth), reduction="none")}


class RefinedBox(OneBox):
    """First which of a coarse grid of boxes, then how far from it: cross-entropy, and squares for the chosen one alone.

    The net gives a logit and four deltas (Girshick et al. 2014, appendix C) for each candidate.

    Args:
        refinement: weight of the squares, which are shares of the picture and so far less than the cross-entropy.
    """

    def __init__(self, *, net: nn.Module, candidates: Tensor, refinement: float = 10.0) -> None:
        super().__init__(net=net, candidates=candidates)
        self.refinement = refinement

    def _answers(self, numbers: Tensor, size: tuple[int, int]) -> BoxOutputs:
        logits, deltas = numbers.unflatten(1, (-1, 5)).split([1, 4], dim=2)
        return BoxOutputs(decode(deltas, self.candidates), logits[..., 0])

    def _terms(self, outputs: BoxOutputs, truth: Tensor, size: Tensor) -> dict[str, Tensor]:
        chosen = self.nearest(truth)
        boxes = outputs.boxes[torch.arange(len(chosen), device=chosen.device), chosen]
        choice = F.cross_entropy(outputs.logits.float(), chosen, reduction="none")
        return {"choice": choice, "box": self.refinement * _quadratic(boxes, truth, size)}


def _quadratic(boxes: Tensor, truth: Tensor, size: Tensor) -> Tensor:
    """Return (M,) squared distances of boxes (M, 4) in shares of the picture's sides."""
    return ((boxes - truth) / size).square().sum(-1)


def small_trunk(channels: Sequence[int] = (16, 32, 32, 32), strides: Sequence[int] = (2, 2, 2, 1)) -> nn.Sequential:
    """Return convolutions of 3x3 with batch norms: pictures (B, 3, H, W) to maps (B, channels[-1], H / 8, W / 8)."""
    layers: list[nn.Module] = []
    for width, out, stride in zip((3, *channels), channels, strides, strict=False):
        layers += [nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
    return nn.Sequential(*layers)


class PerCell(nn.Sequential):
    """The same 1x1 convolution in every cell: (B, C, h, w) to (B, h * w * numbers), cell by cell."""

    def __init__(self, channels: int, numbers: int) -> None:
        super().__init__(nn.Conv2d(channels, numbers, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the numbers of all cells."""
        return super().forward(x).permute(0, 2, 3, 1).flatten(1)


def box_grid(side: int = 64, step: int = 8, sides: Sequence[float] = (16.0, 22.0)) -> Tensor:
    """Return (K, 4) square boxes of the given sides around the middle of every `step` x `step` pixels, in pixels."""
    return Anchors((step,), size=1.0, scales=[s / step for s in sides], ratios=(1.0,))([(side // step, side // step)])


def quadratic_box(side: int = 64) -> QuadraticBox:
    """Return direct regression for pictures of `side` x `side` pixels."""
    return QuadraticBox(net=nn.Sequential(small_trunk(), nn.Flatten(), nn.Linear(32 * (side // 8) ** 2, 4)))


def classified_box(side: int = 64) -> ClassifiedBox:
    """Return classification over a grid of boxes for pictures of `side` x `side` pixels."""
    return ClassifiedBox(net=nn.Sequential(small_trunk(), PerCell(32, 2)), candidates=box_grid(side))


def refined_box(side: int = 64) -> RefinedBox:
    """Return classification, then refinement, for pictures of `side` x `side` pixels."""
    return RefinedBox(net=nn.Sequential(small_trunk(), PerCell(32, 2 * 5)), candidates=box_grid(side))


WAYS: dict[str, Callable[[int], OneBox]] = {
    "quadratic": quadratic_box,
    "classified": classified_box,
    "refined": refined_box,
}
