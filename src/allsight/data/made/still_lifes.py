"""Still lifes: solids before a wall and over a floor, of which everything is known exactly.

Solids hide one another as depth has it, and are lit from one side, so that their form shows. Every picture comes with
boxes, masks, classes of pixels, a panoptic map, tags, depth and normals.

Seen in parallel, in pixels: x to the right, y downwards, depth away from the eye. A normal points out of its surface,
towards the eye, so that its third component is negative; it is the gradient of depth and -1, brought to unit length.
"""

import math
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from allsight.data.pictures.dataset import Dataset, Example
from allsight.machine.randomness import generator
from allsight.scene import Masks, Scene, Vocabulary

SOLIDS = Vocabulary(("ball", "tile", "tube", "pyramid", "cone"))
SURFACES = Vocabulary(("wall", "floor", *SOLIDS))
METRES = 1 / 64  # a pixel
FAR = 160.0  # pixels from the eye to the wall
LEAST_SEEN = 0.2  # of a solid's outline; what shows less is taken away
_CUT = 0.02  # height of a ball's or tube's rim, where its slope would be without bounds


class Relief(NamedTuple):
    """Surfaces over the same pixels, each (N, H, W): where they are, how deep, and the slope of that (N, 2, H, W)."""

    inside: Tensor
    depth: Tensor
    slope: Tensor


def still_lifes(
    count: int, *, seed: int = 0, size: tuple[int, int] = (96, 128), solids: tuple[int, int] = (2, 6)
) -> Dataset:
    """Make annotated pictures; picture i depends on the seed and i alone.

    Args:
        count: of pictures. seed: 0 or more. size: (height, width) in pixels.
        solids: least and greatest number in a picture; fewer are seen where others hide them.

    Returns:
        A data set of `SOLIDS` and `SURFACES`; its pictures are in memory.
    """
    examples = tuple(_example(generator(seed, i), f"still-life-{seed}-{i}.png", size, solids) for i in range(count))
    return Dataset(examples, SOLIDS, SOLIDS, region_classes=SURFACES, name="still-lifes")


def _example(random: Generator, name: str, size: tuple[int, int], solids: tuple[int, int]) -> Example:
    number = int(torch.randint(solids[0], solids[1] + 1, (), generator=random))
    labels = torch.randint(len(SOLIDS), (number,), generator=random)
    things, room = _solids(random, labels, size), _room(random, size)
    front = _in_front(room, things)
    kept = _seen(front, number).sum((1, 2)) >= LEAST_SEEN * things.inside.sum((1, 2))
    things, labels = Relief(*(part[kept] for part in things)), labels[kept]
    front = _in_front(room, things)
    depth = torch.cat([room.depth, things.depth]).gather(0, front[None])[0]
    slope = torch.cat([room.slope, things.slope]).gather(0, front[None, None].expand(1, 2, -1, -1))[0]
    normals = F.normalize(torch.cat([slope, -torch.ones(1, *size)]), dim=0)
    masks = Masks.from_dense(_seen(front, len(labels)))
    classes = torch.cat([torch.arange(2), labels + 2])
    segments = tuple({"id": i + 1, "label": n, "thing": i > 1} for i, n in enumerate(classes.tolist()))
    scene = Scene(
        size,
        boxes=masks.boxes(),
        labels=labels,
        masks=masks,
        regions=classes[front],
        panoptic=front + 1,
        segments=segments,
        tags=torch.zeros(len(SOLIDS)).index_fill_(0, labels, 1.0),
        depth=depth * METRES,
        normals=normals,
        object_classes=SOLIDS,
        region_classes=SURFACES,
        tag_classes=SOLIDS,
    )
    return Example(Path(name), scene, pixels=_lit(random, front, classes, normals))


def _in_front(room: Relief, things: Relief) -> Tensor:
    """Return (H, W) which surface is nearest: 0 the wall, 1 the floor, then the solids."""
    depth, inside = torch.cat([room.depth, things.depth]), torch.cat([room.inside, things.inside])
    return depth.masked_fill(~inside, math.inf).argmin(0)


def _seen(front: Tensor, count: int) -> Tensor:
    """Return (count, H, W) bool: where each solid is nearest."""
    return front == torch.arange(2, count + 2)[:, None, None]


def _room(random: Generator, size: tuple[int, int]) -> Relief:
    """Return a wall that leans a little, and a floor that comes nearer from the line where they meet."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    lean = (torch.rand(2, generator=random) - 0.5) * 0.4
    wall = FAR + lean[0] * (x - size[1] / 2) + lean[1] * (y - size[0] / 2)
    edge = size[0] * (0.55 + 0.35 * float(torch.rand((), generator=random)))
    rise = 0.6 + float(torch.rand((), generator=random))
    on_floor = y >= edge
    flat = torch.stack([lean[0].expand(size), lean[1].expand(size)])
    depth = torch.stack([wall, wall - rise * (y - edge)])
    slope = torch.stack([flat, flat - torch.tensor([0.0, rise])[:, None, None]])
    return Relief(torch.stack([~on_floor, on_floor]), depth, slope)


def _solids(random: Generator, labels: Tensor, size: tuple[int, int]) -> Relief:
    """Return solids of random place, size, depth and turn."""
    count, least = len(labels), min(size)
    x, y, radius, near, angle, *lean = torch.rand((7, count), generator=random)
    radius = least * (0.1 + 0.12 * radius)
    cosine, sine = (math.tau * angle).cos()[:, None, None], (math.tau * angle).sin()[:, None, None]
    rows, columns = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    across = (columns - (size[1] * (0.05 + 0.9 * x))[:, None, None]) / radius[:, None, None]
    down = (rows - (size[0] * (0.05 + 0.9 * y))[:, None, None]) / radius[:, None, None]
    u, v = cosine * across + sine * down, cosine * down - sine * across
    lean_u, lean_v = ((each - 0.5)[:, None, None] * 1.6 for each in lean)
    forms = u.new_zeros(4, *u.shape)
    for i, label in enumerate(labels.tolist()):
        forms[:, i] = torch.stack(_form(SOLIDS[label], u[i], v[i], lean_u[i], lean_v[i]))
    inside, height, slope_u, slope_v = forms
    depth = (0.35 + 0.3 * near)[:, None, None] * FAR - height * radius[:, None, None]
    slope = -torch.stack([cosine * slope_u - sine * slope_v, sine * slope_u + cosine * slope_v], dim=1)
    return Relief(inside.bool(), depth, slope)


def _form(name: str, u: Tensor, v: Tensor, lean_u: Tensor, lean_v: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of a solid of radius 1, in its own coordinates: where it is, its height, and the slopes of that."""
    zero, far = torch.zeros_like(u), torch.maximum(u.abs(), v.abs())
    match name:
        case "ball":
            height = (1 - u**2 - v**2).clamp_min(_CUT).sqrt()
            return u**2 + v**2 <= 1 - _CUT, height, -u / height, -v / height
        case "tile":
            return far <= 0.85, lean_u * u + lean_v * v, lean_u + zero, lean_v + zero
        case "tube":
            height = (1 - (2 * u) ** 2).clamp_min(_CUT).sqrt() / 2
            return ((2 * u).abs() <= math.sqrt(1 - _CUT)) & (v.abs() <= 1), height, -u / height, zero
        case "pyramid":
            sideways = u.abs() >= v.abs()
            slope_u, slope_v = torch.where(sideways, -u.sign(), zero), torch.where(sideways, zero, -v.sign())
            return far <= 0.85, 0.85 - far, slope_u, slope_v
        case _:
            distance = torch.hypot(u, v).clamp_min(1e-6)
            return distance <= 1, 1.5 * (1 - distance), -1.5 * u / distance, -1.5 * v / distance


def _lit(random: Generator, front: Tensor, classes: Tensor, normals: Tensor) -> Tensor:
    """Return (3, H, W) uint8: each surface has a colour and a grain of its own, and is as bright as it faces the light.

    Colours are drawn for each surface anew: what a solid is shows in its form alone. Wall and floor differ in grain.
    """
    size = front.shape
    light = F.normalize(torch.tensor([-0.6, -0.6, -1.0]) + 0.4 * (torch.rand(3, generator=random) - 0.5), dim=0)
    brightness = 0.35 + 0.65 * (normals * light[:, None, None]).sum(0).clamp_min(0)
    colours = 90 + 140 * torch.rand((len(classes), 3), generator=random)
    clouds = F.interpolate(torch.rand((1, 1, 6, 8), generator=random), size, mode="bilinear", align_corners=False)[0, 0]
    y = torch.arange(size[0])[:, None].expand(size)
    boards = ((y // 4) % 2).float()
    grain = torch.where(front == 0, 0.5 + clouds, torch.where(front == 1, 0.75 + 0.4 * boards, 1.0))
    noise = 8 * torch.randn(size, generator=random)
    made = colours[front].permute(2, 0, 1) * (grain * brightness) + noise
    return made.clamp(0, 255).round().to(torch.uint8)
