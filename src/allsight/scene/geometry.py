"""Affine maps of the pixel plane, and how every kind of field is carried along."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allsight.scene.masks import Masks
from allsight.scene.vocabulary import Vocabulary

if TYPE_CHECKING:
    from allsight.scene.scene import Scene


def translation(x: float, y: float) -> Tensor:
    """Return the (3, 3) matrix that moves by (x, y) pixels."""
    return torch.tensor([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=torch.float64)


def scaling(x: float, y: float) -> Tensor:
    """Return the (3, 3) matrix that scales about the picture's corner."""
    return torch.tensor([[x, 0, 0], [0, y, 0], [0, 0, 1]], dtype=torch.float64)


def move_boxes(boxes: Tensor, matrix: Tensor) -> Tensor:
    """Return the (N, 4) upright boxes around boxes (N, 4) moved by a (3, 3) matrix."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2).double()
    moved = corners @ matrix[:2, :2].T + matrix[:2, 2]
    return torch.cat([moved.amin(1), moved.amax(1)], dim=1).to(boxes.dtype)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Return boxes (N, 4) cut at the border of a picture of (height, width)."""
    limit = boxes.new_tensor([size[1], size[0], size[1], size[0]])
    return boxes.clamp_min(0).minimum(limit)


def area(boxes: Tensor) -> Tensor:
    """Return the areas (N,) of boxes (N, 4)."""
    return (boxes[:, 2] - boxes[:, 0]).clamp_min(0) * (boxes[:, 3] - boxes[:, 1]).clamp_min(0)


class Motion:
    """A scene under one affine map: what several of its fields need on the way is computed once, when it is needed.

    Args:
        scene: before.
        matrix: (3, 3) float64, takes old pixel coordinates (x, y, 1) to new ones.
        size: (height, width) of the new picture.
    """

    def __init__(self, scene: "Scene", matrix: Tensor, size: tuple[int, int]) -> None:
        self.scene = scene
        self.matrix = matrix
        self.size = size
        self.linear = matrix[:2, :2]
        self.upright = bool(matrix[0, 1] == 0) and bool(matrix[1, 0] == 0)

    @cached_property
    def masks(self) -> Masks | None:
        """The masks on the new picture."""
        return None if self.scene.masks is None else self.scene.masks.affine(self.matrix, self.size)

    @cached_property
    def whole(self) -> Tensor | None:
        """(N, 4) the boxes after the map, not yet cut at the border."""
        return None if self.scene.boxes is None else move_boxes(self.scene.boxes, self.matrix)

    @cached_property
    def share(self) -> Tensor | float:
        """(N,) how much of every box is left in the new picture."""
        return 1.0 if self.whole is None else area(clip(self.whole, self.size)) / area(self.whole).clamp_min(1e-9)

    @cached_property
    def pixels(self) -> tuple[Tensor, Tensor]:
        """(h, w) int64 which old pixel lies nearest to every new one, row by row; (h, w) bool whether there is one."""
        (a, b, left), (c, d, top), _ = torch.linalg.inv(self.matrix).tolist()
        x, y = torch.arange(self.size[1]).double() + 0.5, torch.arange(self.size[0]).double()[:, None] + 0.5
        # Where rows stay rows, a row and a column say it all: 0.4 ms for 384 x 288 against 4.
        column = (a * x + left if b == 0 else a * x + b * y + left).floor().long()
        row = (d * y + top if c == 0 else c * x + d * y + top).floor().long()
        height, width = self.scene.size
        inside = (column >= 0) & (row >= 0) & (column < width) & (row < height)
        return row.clamp(0, height - 1) * width + column.clamp(0, width - 1), inside


Carry = Callable[[Motion, Any], Any]


def carry_boxes(motion: Motion, boxes: Tensor) -> Tensor:
    """Return the upright boxes around the moved ones (or masks, where the map turns), cut at the border."""
    assert motion.whole is not None
    cut = clip(motion.whole, motion.size)
    if motion.masks is None or motion.upright:
        return cut
    around = motion.masks.boxes()
    return torch.where((around[:, 2] > around[:, 0])[:, None], around, cut)


def carry_masks(motion: Motion, masks: Masks) -> Masks | None:
    """Return the masks, read at the nearest pixel."""
    return motion.masks


def carry_area(motion: Motion, areas: Tensor) -> Tensor:
    """Return the masks' areas; without masks, the scaled ones, less the share of the box that is cut off."""
    if motion.masks is not None:
        return motion.masks.area()
    share = motion.share.clamp(0, 1) if isinstance(motion.share, Tensor) else motion.share
    return areas * float(torch.det(motion.linear).abs()) * share


def carry_keypoints(motion: Motion, keypoints: Tensor) -> Tensor:
    """Move (N, K, 3) keypoints; those that leave the picture become not labelled (all 0), as COCO writes them."""
    points = keypoints[..., :2].double() @ motion.linear.T + motion.matrix[:2, 2]
    inside = ((points >= 0) & (points < torch.tensor([motion.size[1], motion.size[0]]))).all(-1, keepdim=True)
    moved = torch.cat([points.to(keypoints.dtype), keypoints[..., 2:]], dim=-1)
    return torch.where(inside & (keypoints[..., 2:] > 0), moved, torch.zeros_like(moved))


def carry_map(motion: Motion, values: Tensor, outside: int = 0) -> Tensor:
    """Return a map (..., H, W) read at the nearest old pixel centre, and a fixed value outside the old picture."""
    index, inside = motion.pixels
    return torch.where(inside, values.flatten(-2)[..., index], torch.tensor(outside, dtype=values.dtype))


def carry_flow(motion: Motion, flow: Tensor) -> Tensor:
    """Return displacements (2, H, W), which turn and stretch with the picture."""
    return torch.einsum("ij,jhw->ihw", motion.linear.float(), carry_map(motion, flow))


def carry_normals(motion: Motion, normals: Tensor) -> Tensor:
    """Return unit normals (3, H, W).

    A picture seen mirrored or turned shows surfaces mirrored or turned; a change of scale does not tilt them.
    """
    linear, warped = motion.linear.float(), carry_map(motion, normals)
    turn = linear / linear.det().abs().sqrt()
    tilted = torch.cat([torch.einsum("ij,jhw->ihw", turn, warped[:2]), warped[2:]])
    return tilted / tilted.norm(dim=0, keepdim=True).clamp_min(1e-12)


def mirror_keypoints(scene: "Scene", keypoints: Tensor) -> Tensor:
    """Return keypoints (N, K, 3) of a mirrored picture, left and right by the mirror's sides."""
    return keypoints if scene.keypoint_classes is None else keypoints[:, mirrored_keypoints(scene.keypoint_classes)]


def mirrored_keypoints(names: Vocabulary) -> list[int]:
    """Return for every keypoint the index of its mirror image: left_eye for right_eye, itself for nose."""

    def other(name: str) -> str:
        for side, opposite in (("left", "right"), ("right", "left")):
            if name.startswith(side):
                return opposite + name[len(side) :]
        return name

    return [names.index(other(name)) if other(name) in names else i for i, name in enumerate(names)]
