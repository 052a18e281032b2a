"""A few fixed looks at every picture, so that what a frozen trunk makes of them can be computed once and kept."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from allsight.data.pictures.augment import Augmentation
from allsight.data.pictures.geometry import Crop, Scale, View
from allsight.data.pictures.warp import move_scene, warp
from allsight.machine.randomness import generator
from allsight.scene import Frame, Scene
from allsight.scene.geometry import scaling


@dataclass(frozen=True, eq=False)
class Look:
    """One way of looking at one picture, decided before the picture is decoded.

    Args:
        matrix: (3, 3) float64, from original pixels to those of the look.
        frame: the sizes that an answer goes back through; only its `padded` counts if the picture was augmented.
        fill: colour of what lies outside.
        min_visible: objects of which this share of the box or less is left are dropped.
        colour: change of the pixels, or None. keys: of the randomness that it draws from.
    """

    matrix: Tensor
    frame: Frame
    fill: tuple[int, int, int]
    min_visible: float = 0.0
    colour: Callable[[Tensor, Generator], Tensor] | None = None
    keys: tuple[int, ...] = ()

    def __str__(self) -> str:
        """All that the pixels depend on beside the picture itself."""
        return f"{self.matrix[:2].tolist()} {self.frame.padded} {self.fill} {self.colour} {self.keys}"

    def picture(self, pixels: Tensor) -> Tensor:
        """Return (3, *frame.padded) uint8 for a picture (3, H, W), decoded at whatever scale."""
        height, width = self.frame.original
        matrix = self.matrix @ scaling(width / pixels.shape[2], height / pixels.shape[1])
        seen = warp(pixels, matrix, self.frame.padded, self.fill)
        return seen if self.colour is None else self.colour(seen, generator(0, *self.keys))

    def scene(self, scene: Scene) -> Scene:
        """Return a scene of the original picture as this look has it."""
        return move_scene(scene, self.matrix, self.frame.padded, self.min_visible)


# (what is annotated in a picture, the hash of its content) -> how it is looked at
Looks = Callable[[Scene, int], list[Look]]


@dataclass(frozen=True, eq=False)
class AugmentedLooks:
    """The whole picture as it is, then augmented looks: a function of the picture's content and the look's number.

    Args:
        augmentation: its parts, window and colours; without mosaics, which need other pictures.
        count: of looks, the plain one among them.
    """

    augmentation: Augmentation
    count: int

    def __call__(self, scene: Scene, content: int) -> list[Look]:
        """Return the looks at one picture."""
        return [self._look(scene, content, number) for number in range(self.count)]

    def _look(self, scene: Scene, content: int, number: int) -> Look:
        made = self.augmentation
        parts = made.parts if number else (Scale(), Crop())
        draws = generator(0, content, number)
        view = View(torch.eye(3, dtype=torch.float64), scene.size, made.size)
        for part in parts:
            view = part(view, scene, draws)
        frame = Frame(scene.size, view.size, view.size)
        colour = made.colour if number else None
        return Look(view.matrix, frame, made.fill, made.min_visible, colour, (content, number, 1) if colour else ())


@dataclass(frozen=True, eq=False)
class PlainLook:
    """One look at every picture: scaled and padded as a model has it.

    Args:
        frame: from a picture's (height, width) to what is done to it. fill: colour of the padding.
    """

    frame: Callable[[tuple[int, int]], Frame]
    fill: tuple[int, int, int]

    def __call__(self, scene: Scene, content: int) -> list[Look]:
        """Return the look at one picture."""
        frame = self.frame(scene.size)
        return [Look(scaling(frame.scale[1], frame.scale[0]), frame, self.fill)]
