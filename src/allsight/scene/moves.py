"""Scenes moved by one affine map: all fields together, so picture and annotation can never be transformed apart."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allsight.scene.fields import rows_of
from allsight.scene.geometry import Motion, area, scaling

if TYPE_CHECKING:
    from allsight.scene.scene import Scene


def affine(scene: "Scene", matrix: Tensor, size: tuple[int, int], min_visible: float) -> "Scene":
    """Move a scene; see `Scene.affine`."""
    if matrix.shape == (2, 3):
        matrix = torch.cat([matrix, torch.tensor([[0, 0, 1]], dtype=matrix.dtype)])
    if scene.flow is not None and scene.flow_valid is None:
        # What comes in from outside has no flow, and the field that says so is needed from now on.
        scene = replace(scene, flow_valid=torch.ones(scene.size, dtype=torch.bool))
    motion = Motion(scene, matrix.double(), size)
    changes: dict[str, Any] = {
        name: row.carry(motion, value) for name, row, value in rows_of(scene) if row.carry is not None
    }
    moved = replace(scene, size=size, **changes)
    visible = _visible(motion, moved, min_visible)
    return moved if visible is None or bool(visible.all()) else moved.keep(visible)


def _visible(motion: Motion, moved: "Scene", min_visible: float) -> Tensor | None:
    """Return (N,) bool: of which instances enough is left."""
    if motion.scene.boxes is None or moved.boxes is None:
        return None
    cut = moved.boxes
    visible = (cut[:, 2] > cut[:, 0]) & (cut[:, 3] > cut[:, 1]) & (motion.share > min_visible)
    # Degenerate boxes are the doctor's to judge: what had no area before the move is not dropped here.
    return visible | (area(motion.scene.boxes) <= 0)


def flip(scene: "Scene", horizontal: bool) -> "Scene":
    """Mirror a scene; see `Scene.flip`."""
    height, width = scene.size
    x, y = (-1.0, 1.0) if horizontal else (1.0, -1.0)
    matrix = scaling(x, y)
    matrix[0, 2], matrix[1, 2] = (width, 0) if horizontal else (0, height)
    moved = affine(scene, matrix, scene.size, -1.0)
    return mirrored(moved) if horizontal else moved


def mirrored(scene: "Scene") -> "Scene":
    """Return a scene on a picture that was mirrored, with what goes by its sides' names changed over."""
    changes: dict[str, Any] = {
        name: row.mirror(scene, value) for name, row, value in rows_of(scene) if row.mirror is not None
    }
    return replace(scene, **changes) if changes else scene
