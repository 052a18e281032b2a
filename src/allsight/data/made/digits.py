"""Digits turned, scaled, shifted and hidden in clutter, made a batch at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from allsight.data.pictures.dataset import Dataset
from allsight.data.pictures.loading import Batch
from allsight.machine.randomness import generator
from allsight.ops import grids
from allsight.scene import Frame, Scene, Vocabulary

PIECE = 6  # side of a piece of clutter in pixels


@dataclass(frozen=True)
class Distortion:
    """What is done to digits (Jaderberg et al. 2015, section 4.1 and appendix A.4).

    Args:
        size: side of the made picture in pixels; the digit keeps its own size in it.
        turn: degrees, at most, to either side.
        scale: least and greatest.
        shifted: the digit lies anywhere in the picture rather than in its middle.
        pieces: of other digits, `PIECE` pixels a side, scattered over the picture.
        digits: in one picture, each in a channel of its own and distorted by itself; the class is their sum.
    """

    size: int = 28
    turn: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shifted: bool = False
    pieces: int = 0
    digits: int = 1


TASKS = {
    "plain": Distortion(),
    "rotated": Distortion(turn=90),
    "rts": Distortion(size=42, turn=45, scale=(0.7, 1.2), shifted=True),
    "cluttered": Distortion(size=60, shifted=True, pieces=16),
    "addition": Distortion(turn=90, digits=2),
}


class Draw(NamedTuple):
    """What one made picture is made of: which digits (D,), and uniform numbers (K,) for everything else."""

    digits: Tensor
    numbers: Tensor


class DigitSet:
    """Made pictures, a function of (seed, epoch, index); computed in `collate`, all of a batch at once.

    Args:
        dataset: small tagged pictures of one size, white on black.
        distortion: what is done to them.
        seed: 0 or more.
    """

    def __init__(self, dataset: Dataset, distortion: Distortion, *, seed: int = 0) -> None:
        self.pictures = torch.stack([example.picture()[0] for example in dataset])
        self.labels = torch.tensor([int(e.annotation.tags.argmax()) for e in dataset if e.annotation.tags is not None])
        self.distortion = distortion
        self.seed = seed
        self.names = [str(example.path) for example in dataset]
        self.drawn: tuple[int, Tensor, Tensor] | None = None
        count = int(self.labels.max()) * distortion.digits + 1
        self.classes = Vocabulary(tuple(str(i) for i in range(count)))

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, key: tuple[int, int]) -> Draw:
        """Draw what picture `index` is made of in an epoch: the digit of that index first, others at random."""
        epoch, index = key
        digits, numbers = self.draws(epoch)
        return Draw(digits[index], numbers[index])

    def draws(self, epoch: int) -> Draw:
        """Draw for all pictures of an epoch at once, which takes a hundredth of the time; the last one is remembered.

        Returns:
            digits (N, D), of which the first is the picture's own, and numbers (N, K).
        """
        drawn = self.drawn
        if drawn is None or drawn[0] != epoch:
            random = generator(self.seed, epoch)
            others = torch.randint(len(self), (len(self), self.distortion.digits - 1), generator=random)
            numbers = 4 * self.distortion.digits + 5 * self.distortion.pieces
            digits = torch.cat([torch.arange(len(self))[:, None], others], dim=1)
            drawn = epoch, digits, torch.rand(len(self), numbers, generator=random)
            self.drawn = drawn
        return Draw(*drawn[1:])

    def collate(self, draws: Sequence[Draw]) -> Batch:
        """Make a batch: one digit is grey, several lie in red, green, blue."""
        chosen = torch.stack([draw.digits for draw in draws])
        numbers = torch.stack([draw.numbers for draw in draws])
        count, digits = chosen.shape
        where, clutter = numbers.split([4 * digits, numbers.shape[1] - 4 * digits], dim=1)
        made = distort(self.pictures[chosen].flatten(0, 1), where.reshape(-1, 4), self.distortion)
        made = made.unflatten(0, (count, digits))
        if self.distortion.pieces:
            made = torch.maximum(made, scatter(self.pictures, clutter.unflatten(1, (-1, 5)), self.distortion.size))
        pictures = (
            made.expand(-1, 3, -1, -1)
            if digits == 1
            else torch.cat([made, made.new_zeros(count, 3 - digits, *made.shape[2:])], dim=1)
        )
        size = (self.distortion.size, self.distortion.size)
        one_hot = torch.eye(len(self.classes))[self.labels[chosen].sum(1)]
        scenes = [Scene(size, tags=tags, tag_classes=self.classes) for tags in one_hot]
        names = [self.names[i] for i in chosen[:, 0].tolist()]
        return Batch(pictures, [Frame.whole(size)] * count, scenes, names)


def distort(pictures: Tensor, numbers: Tensor, distortion: Distortion) -> Tensor:
    """Turn, scale and shift digits, each on a picture of its own.

    Args:
        pictures: (N, h, w) uint8. numbers: (N, 4) in [0, 1): turn, scale, x, y. distortion: how far.

    Returns:
        (N, size, size) uint8, 0 where there is no digit.
    """
    angle = (2 * numbers[:, 0] - 1) * math.radians(distortion.turn)
    low, high = distortion.scale
    scale = (low + (high - low) * numbers[:, 1]) * pictures.shape[-1] / distortion.size
    # The middle of the digit, in the made picture's normalised coordinates; the digit's frame stays inside.
    room = (1 - scale).clamp_min(0)[:, None] if distortion.shifted else 0.0
    middle = (2 * numbers[:, 2:] - 1) * room
    turn = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()], dim=1).unflatten(1, (2, 2))
    matrix = turn / scale[:, None, None]  # from the made picture back to the digit
    theta = torch.cat([matrix, -matrix @ middle[..., None]], dim=2).flatten(1)
    grid = grids.affine(theta, (distortion.size, distortion.size))
    return grids.sample(pictures[:, None].float(), grid)[:, 0].round().to(torch.uint8)


def scatter(pictures: Tensor, numbers: Tensor, size: int) -> Tensor:
    """Return (B, 1, size, size) uint8: pieces of digits thrown over empty pictures.

    Args:
        pictures: (N, h, w) uint8 to cut from. numbers: (B, P, 5) in [0, 1): which picture, where from and where to.
        size: of the made pictures in pixels.
    """
    count = len(numbers)
    side = torch.arange(PIECE)

    def window(start: Tensor, room: int) -> Tensor:
        return (start * (room - PIECE + 1)).long()[..., None] + side  # (B, P, PIECE)

    source = (numbers[..., 0] * len(pictures)).long()[..., None, None]
    rows, columns = window(numbers[..., 1], pictures.shape[1]), window(numbers[..., 2], pictures.shape[2])
    cut = pictures[source, rows[..., :, None], columns[..., None, :]]
    rows, columns = window(numbers[..., 3], size), window(numbers[..., 4], size)
    place = (rows[..., :, None] * size + columns[..., None, :]).flatten(1)
    made = pictures.new_zeros(count, size * size).scatter_reduce_(1, place, cut.flatten(1), "amax")
    return made.view(count, 1, size, size)
