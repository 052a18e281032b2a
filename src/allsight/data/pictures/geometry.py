"""Parts of geometric augmentation: each adds to one affine map, so that pixels are resampled once.

A part is a callable `(view, scene, generator) -> view`. All randomness comes from the generator.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from allsight.scene import Scene
from allsight.scene.geometry import clip, move_boxes, scaling, translation


@dataclass(frozen=True, eq=False)
class View:
    """What has been decided about a picture so far.

    Args:
        matrix: (3, 3) float64, from the picture's pixels to those of the view.
        size: (height, width) of the view.
        window: (height, width) that the model wants in the end.
    """

    matrix: Tensor
    size: tuple[int, int]
    window: tuple[int, int]

    def then(self, matrix: Tensor, size: tuple[int, int] | None = None) -> "View":
        """Return the view after another map."""
        return View(matrix @ self.matrix, size or self.size, self.window)


Part = Callable[[View, Scene, Generator], View]


@dataclass(frozen=True)
class Flip:
    """Mirror left and right in a share `chance` of cases."""

    chance: float = 0.5

    def __call__(self, view: View, scene: Scene, generator: Generator) -> View:
        """Return the view, perhaps mirrored."""
        if uniform(generator) >= self.chance:
            return view
        return view.then(translation(view.size[1], 0) @ scaling(-1, 1))


@dataclass(frozen=True)
class QuarterTurn:
    """Turn by none, one, two or three quarters, for pictures that have no up and down.

    With `Flip`, all eight ways of laying a slide under a microscope are equally likely.
    """

    def __call__(self, view: View, scene: Scene, generator: Generator) -> View:
        """Return the view, perhaps turned."""
        for _ in range(int(torch.randint(4, (), generator=generator))):
            height, width = view.size
            turn = torch.tensor([[0, -1, height], [1, 0, 0], [0, 0, 1]], dtype=torch.float64)
            view = view.then(turn, (width, height))
        return view


@dataclass(frozen=True)
class Scale:
    """Scale so that the whole picture fits the window, times a factor from `low` to `high` (uniform in its logarithm).

    Args:
        low, high: 1 fits exactly; above, `Crop` has something to cut off; below, the rest is filled.
    """

    low: float = 1.0
    high: float = 1.0

    def __call__(self, view: View, scene: Scene, generator: Generator) -> View:
        """Return the view at its new, whole size."""
        factor = math.exp(uniform(generator, math.log(self.low), math.log(self.high)))
        (height, width), window = view.size, view.window
        fit = min(window[0] / height, window[1] / width) * factor
        size = (max(1, round(height * fit)), max(1, round(width * fit)))
        return view.then(scaling(size[1] / width, size[0] / height), size)


@dataclass(frozen=True)
class Affine:
    """Turn and shear about the centre in a share `chance` of cases; what leaves the view is cut off.

    Args:
        degrees: turn by up to this angle either way.
        shear: slant by up to this angle either way.
    """

    degrees: float = 5.0
    shear: float = 3.0
    chance: float = 0.3

    def __call__(self, view: View, scene: Scene, generator: Generator) -> View:
        """Return the view, perhaps turned."""
        if uniform(generator) >= self.chance:
            return view
        angle = math.radians(uniform(generator, -self.degrees, self.degrees))
        slant = math.tan(math.radians(uniform(generator, -self.shear, self.shear)))
        turn = scaling(1, 1)
        turn[0, 0] = turn[1, 1] = math.cos(angle)
        turn[0, 1], turn[1, 0] = -math.sin(angle), math.sin(angle)
        turn[:2, :2] @= torch.tensor([[1, slant], [0, 1]], dtype=torch.float64)
        height, width = view.size
        centre = translation(width / 2, height / 2)
        return view.then(centre @ turn @ translation(-width / 2, -height / 2))


@dataclass(frozen=True)
class Crop:
    """Cut out the window at a place where an object stays visible, if there is any; pad what is smaller.

    Args:
        min_visible: an object counts as kept if more than this share of its box lies in the window.
        tries: places that are drawn; if none keeps an object, the window is laid on one.
    """

    min_visible: float = 0.2
    tries: int = 16

    def __call__(self, view: View, scene: Scene, generator: Generator) -> View:
        """Return the view of the window's size."""
        room = torch.tensor([view.size[1] - view.window[1], view.size[0] - view.window[0]], dtype=torch.float64)
        places = torch.rand(self.tries, 2, generator=generator, dtype=torch.float64) * (room.abs() + 1)
        places = (places.floor().minimum(room.abs()) * room.sign())[:, None]
        place = places[0, 0]
        if scene.boxes is not None and len(scene.boxes) and bool((room > 0).any()):
            boxes = move_boxes(scene.boxes.double(), view.matrix)
            shifted = boxes - places.repeat(1, 1, 2)
            seen = area(clip(shifted.reshape(-1, 4), view.window)).reshape(self.tries, -1)
            keeps = (seen > self.min_visible * area(boxes).clamp_min(1e-9)).any(1)
            if bool(keeps.any()):
                place = places[int(keeps.int().argmax()), 0]
            else:
                chosen = boxes[int(torch.randint(len(boxes), (), generator=generator))].reshape(2, 2).mean(0)
                middle = torch.tensor([view.window[1] / 2, view.window[0] / 2], dtype=torch.float64)
                place = (chosen - middle).round().maximum(room.clamp_max(0)).minimum(room.clamp_min(0))
        return view.then(translation(-float(place[0]), -float(place[1])), view.window)


def area(boxes: Tensor) -> Tensor:
    """Return the areas (N,) of boxes (N, 4)."""
    return (boxes[:, 2] - boxes[:, 0]).clamp_min(0) * (boxes[:, 3] - boxes[:, 1]).clamp_min(0)


def uniform(generator: Generator, low: float = 0.0, high: float = 1.0) -> float:
    """Return one number drawn uniformly from [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator, dtype=torch.float64))
