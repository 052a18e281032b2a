"""Made pictures: coloured, striped shapes on a noisy ground, whose boxes, labels and masks are known exactly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from allsight.data.pictures.dataset import Dataset, Example
from allsight.machine.randomness import generator
from allsight.ops.nms import nms
from allsight.scene import Masks, Scene, Vocabulary

# From the shape's own coordinates, -1 to 1 over its box with y downwards, to whether a point is inside.
SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "square": lambda x, y: torch.maximum(x.abs(), y.abs()) <= 1,
    "disc": lambda x, y: x**2 + y**2 <= 1,
    "triangle": lambda x, y: (2 * x.abs() <= y + 1) & (y <= 1),
    "cross": lambda x, y: (torch.minimum(x.abs(), y.abs()) <= 1 / 3) & (torch.maximum(x.abs(), y.abs()) <= 1),
}
SHAPE_CLASSES = Vocabulary(tuple(SHAPES))

_TRIES = 64  # places thrown for the objects of a picture; those that overlap another are not used


def made_scenes(
    count: int,
    *,
    seed: int = 0,
    size: tuple[int, int] = (64, 64),
    objects: tuple[int, int] = (1, 1),
    sides: tuple[int, int] = (14, 24),
    mirrored: bool = False,
) -> Dataset:
    """Make annotated pictures with shapes that do not overlap; picture i depends on the seed and i alone.

    Args:
        count: of pictures.
        seed: 0 or more.
        size: (height, width) in pixels.
        objects: least and greatest number of shapes in a picture; fewer where there is no room.
        sides: least and greatest side of a shape in pixels.
        mirrored: shapes stand in the left half, each with its mirror image in the right one.

    Returns:
        A data set of `SHAPE_CLASSES` whose pictures are in memory and whose scenes have boxes, labels and masks.
    """
    examples = tuple(
        _example(generator(seed, i), f"made-{seed}-{i}.png", size, objects, sides, mirrored) for i in range(count)
    )
    return Dataset(examples, SHAPE_CLASSES, name="made")


def _example(
    random: Generator,
    name: str,
    size: tuple[int, int],
    objects: tuple[int, int],
    sides: tuple[int, int],
    mirrored: bool,
) -> Example:
    number = _integer(random, *objects)
    places = _places(random, (size[0], size[1] // 2 if mirrored else size[1]), sides)[:number]
    labels = torch.randint(len(SHAPE_CLASSES), (len(places),), generator=random)
    masks = torch.zeros((len(places), *size), dtype=torch.bool)
    pixels = _ground(random, size)
    for mask, (x, y, side), label in zip(masks, places.tolist(), labels.tolist(), strict=True):
        mask[y : y + side, x : x + side] = _shape(SHAPE_CLASSES[label], side)
        surface = _stripes(random, size)
        pixels = torch.where(mask, surface, pixels)
        if mirrored:
            pixels = torch.where(mask.flip(-1), surface.flip(-1), pixels)
    if mirrored:
        masks, labels = torch.cat([masks, masks.flip(-1)]), labels.repeat(2)
    packed = Masks.from_dense(masks)
    scene: dict[str, Any] = {
        "boxes": packed.boxes(),
        "labels": labels,
        "masks": packed,
        "object_classes": SHAPE_CLASSES,
    }
    return Example(Path(name), Scene(size, **scene), pixels=pixels.round().to(torch.uint8))


def _integer(random: Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (), generator=random))


def _places(random: Generator, size: tuple[int, int], sides: tuple[int, int]) -> Tensor:
    """Return (N, 3) x, y and side of squares in random order that lie in the picture and do not overlap."""
    side = torch.randint(sides[0], sides[1] + 1, (_TRIES,), generator=random)
    room = torch.tensor([size[1], size[0]]) - side[:, None]
    corner = (torch.rand((_TRIES, 2), generator=random) * (room + 1)).long()
    boxes = torch.cat([corner, corner + side[:, None]], dim=1).float()
    fits = (room >= 0).all(1)
    free = nms(boxes[fits], torch.rand(_TRIES, generator=random)[fits], 0.0)
    return torch.cat([corner, side[:, None]], dim=1)[fits][free]


def _shape(name: str, side: int) -> Tensor:
    """Return (side, side) bool, read at the centres of the pixels."""
    centre = (2 * torch.arange(side) + 1) / side - 1
    y, x = torch.meshgrid(centre, centre, indexing="ij")
    return SHAPES[name](x, y)


def _ground(random: Generator, size: tuple[int, int]) -> Tensor:
    """Return (3, H, W) floats of greyish, cloudy noise between 40 and 150."""
    clouds = torch.rand((1, 3, 5, 5), generator=random) * 20 + torch.rand((1, 1, 5, 5), generator=random) * 60
    fine = torch.rand((1, *size), generator=random) * 30
    return 40 + fine + F.interpolate(clouds, size, mode="bilinear")[0]


def _stripes(random: Generator, size: tuple[int, int]) -> Tensor:
    """Return (3, H, W) floats: stripes of a bright and a darker tone of one colour, in a random direction."""
    hue = torch.rand(3, generator=random)
    colour = 255 * (hue - hue.min()) / (hue.max() - hue.min()).clamp_min(1e-3)
    angle, width = torch.rand(2, generator=random).tolist()
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    turn = torch.tensor(angle * torch.pi)
    wave = torch.sin((x * turn.cos() + y * turn.sin()) * 2 * torch.pi / (4 + 4 * width))
    return colour[:, None, None] * (0.8 + 0.2 * wave.sign())
