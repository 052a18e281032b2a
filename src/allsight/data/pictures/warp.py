"""A picture and its scene through one affine map, resampled once."""

import torch
from torch import Tensor
from torch.nn import functional

from allsight.data.pictures.reading import FILL, resize
from allsight.scene import Scene
from allsight.scene.geometry import scaling
from allsight.scene.moves import mirrored

_EXACT = 1e-6


def warp(picture: Tensor, matrix: Tensor, size: tuple[int, int], fill: tuple[int, int, int] = FILL) -> Tensor:
    """Move the pixels of a picture by an affine map.

    Maps that only scale to whole sizes, mirror and shift by whole pixels are an antialiased resize and a copy; others
    are one bilinear sampling, after an antialiased resize where they shrink the picture.

    Args:
        picture: (3, H, W) uint8.
        matrix: (3, 3) float64, takes old pixel coordinates (x, y, 1) to new ones.
        size: (height, width) of the result.
        fill: colour of what lies outside the old picture.

    Returns:
        (3, height, width) uint8.
    """
    height, width = picture.shape[-2:]
    (a, b, x), (c, d, y) = matrix[:2].tolist()
    if b == 0 and c == 0:
        # The upper left corner of the scaled and perhaps mirrored picture in the new one.
        exact = [abs(a) * width, abs(d) * height, min(x, x + a * width), min(y, y + d * height)]
        whole = [round(value) for value in exact]
        if max(abs(e - w) for e, w in zip(exact, whole, strict=True)) < _EXACT and min(whole[:2]) > 0:
            return _place(_mirror(resize(picture, (whole[1], whole[0])), a < 0, d < 0), whole[2:], size, fill)
    shrink = (a * a + c * c) ** 0.5, (b * b + d * d) ** 0.5
    if min(shrink) < 1:
        small = (max(1, round(height * min(1.0, shrink[1]))), max(1, round(width * min(1.0, shrink[0]))))
        matrix = matrix @ scaling(width / small[1], height / small[0])
        picture = resize(picture, small)
    return _sample(picture, matrix, size, fill)


def _mirror(picture: Tensor, horizontal: bool, vertical: bool) -> Tensor:
    sides = [side for side, wanted in ((-1, horizontal), (-2, vertical)) if wanted]
    return picture.flip(sides) if sides else picture


def _place(picture: Tensor, corner: list[int], size: tuple[int, int], fill: tuple[int, int, int]) -> Tensor:
    """Copy a picture to a canvas with its upper left corner at (x, y), whatever is outside cut off."""
    x, y = corner
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + picture.shape[2], size[1]), min(y + picture.shape[1], size[0])
    inside = picture[:, top - y : max(bottom, top) - y, left - x : max(right, left) - x]
    if inside.shape[1:] == size:
        return inside.contiguous()
    canvas = torch.tensor(fill, dtype=picture.dtype)[:, None, None].repeat(1, *size)
    canvas[:, top : top + inside.shape[1], left : left + inside.shape[2]] = inside
    return canvas


def _sample(picture: Tensor, matrix: Tensor, size: tuple[int, int], fill: tuple[int, int, int]) -> Tensor:
    """Read every new pixel's centre from the old picture, bilinear, `fill` outside."""
    height, width = picture.shape[-2:]
    # grid_sample counts in halves of the picture from its centre: both planes are brought to that form.
    old = scaling(2 / width, 2 / height)
    old[:2, 2] = -1
    new = scaling(size[1] / 2, size[0] / 2)
    new[0, 2], new[1, 2] = size[1] / 2, size[0] / 2
    theta = (old @ torch.linalg.inv(matrix) @ new)[:2].float()
    grid = functional.affine_grid(theta[None], [1, 3, *size], align_corners=False)
    background = torch.tensor(fill, dtype=torch.float32)[:, None, None]
    sampled = functional.grid_sample(picture[None].float() - background, grid, mode="bilinear", align_corners=False)[0]
    return sampled.add_(background).round_().clamp_(0, 255).to(torch.uint8)


def move_scene(scene: Scene, matrix: Tensor, size: tuple[int, int], min_visible: float) -> Scene:
    """Move a scene by the same map; where the map mirrors, left and right keypoints change places.

    Args:
        scene: in old pixels.
        matrix, size: as for `warp`.
        min_visible: objects of which this share of the box or less stays in the picture are dropped.
    """
    moved = scene.affine(matrix, size, min_visible=min_visible)
    return mirrored(moved) if float(torch.det(matrix[:2, :2])) < 0 else moved
