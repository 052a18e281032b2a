"""Joint augmentation of picture and scene: geometric parts, colours and mosaics, driven by one generator."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from allsight.data.pictures.colour import ColourJitter
from allsight.data.pictures.geometry import Affine, Crop, Flip, Part, Scale, View, uniform
from allsight.data.pictures.loading import Sample
from allsight.data.pictures.reading import FILL
from allsight.data.pictures.warp import move_scene, warp
from allsight.scene import INSTANCE_FIELDS, Frame, Scene
from allsight.scene.joins import cat

DETECTION_PARTS: tuple[Part, ...] = (Flip(), Affine(), Scale(0.7, 1.6), Crop())
MOSAIC_PARTS: tuple[Part, ...] = (Flip(), Scale(0.9, 2.0), Crop())


class Augmentation:
    """Turns a sample into one of the model's size: geometry in one resampling, then colours.

    Args:
        size: (height, width) of the result.
        parts: geometric parts in their order; the last one must end at the window's size, as `Crop` does.
        colour: change of the pixels, or None.
        mosaic: the share of results that are put together from four samples (Bochkovskiy et al., "YOLOv4", 2020).
        mosaic_parts: the parts for each of the four, whose window is their share of the result.
        min_visible: objects of which this share of the box or less is left are dropped.
        fill: colour of what lies outside.
    """

    def __init__(
        self,
        size: tuple[int, int],
        parts: Sequence[Part] = DETECTION_PARTS,
        *,
        colour: Callable[[Tensor, Generator], Tensor] | None = ColourJitter(),  # noqa: B008 - frozen
        mosaic: float = 0.0,
        mosaic_parts: Sequence[Part] = MOSAIC_PARTS,
        min_visible: float = 0.2,
        fill: tuple[int, int, int] = FILL,
    ) -> None:
        self.size = size
        self.parts = tuple(parts)
        self.colour = colour
        self.mosaic = mosaic
        self.mosaic_parts = tuple(mosaic_parts)
        self.min_visible = min_visible
        self.fill = fill

    def __call__(self, sample: Sample, draw: Callable[[], Sample], generator: Generator) -> Sample:
        """Augment one sample.

        Args:
            sample: the picture and its scene.
            draw: gives other samples at random, for mosaics.
            generator: the only source of randomness.

        Returns:
            A sample of `size` whose frame is its own: there is no way back to original pixels.
        """
        if self.mosaic > 0 and uniform(generator) < self.mosaic:
            picture, scene = self._four([sample, draw(), draw(), draw()], generator)
        else:
            picture, scene = self._one(sample, self.parts, self.size, generator)
        if self.colour is not None:
            picture = self.colour(picture, generator)
        return Sample(picture, scene, sample.name, Frame.whole(self.size))

    def _one(
        self, sample: Sample, parts: Sequence[Part], window: tuple[int, int], generator: Generator
    ) -> tuple[Tensor, Scene]:
        view = View(torch.eye(3, dtype=torch.float64), sample.scene.size, window)
        for part in parts:
            view = part(view, sample.scene, generator)
        picture = warp(sample.picture, view.matrix, view.size, self.fill)
        return picture, move_scene(sample.scene, view.matrix, view.size, self.min_visible)

    def _four(self, samples: Sequence[Sample], generator: Generator) -> tuple[Tensor, Scene]:
        """Return four samples around a point near the middle."""
        height, width = self.size
        y, x = (round(side * uniform(generator, 0.3, 0.7)) for side in self.size)
        canvas = torch.empty((3, height, width), dtype=torch.uint8)
        scenes = []
        corners = ((0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width))
        for sample, (top, left, bottom, right) in zip(samples, corners, strict=True):
            cell = (bottom - top, right - left)
            canvas[:, top:bottom, left:right], scene = self._one(sample, self.mosaic_parts, cell, generator)
            scenes.append(scene.crop(-left, -top, height, width, min_visible=-1.0))
        return canvas, join_scenes(scenes)


def join_scenes(scenes: Sequence[Scene]) -> Scene:
    """Return scenes of one vocabulary that lie side by side on a common canvas as one.

    Instances, regions and tags (the largest of each) are joined; a field that one of the scenes does not have is not
    annotated in the result, and neither is what else only one picture can have.
    """
    first = scenes[0]
    changes: dict[str, Any] = {
        name: getattr(first, name) for name in ("object_classes", "region_classes", "tag_classes", "keypoint_classes")
    }
    for name in (*INSTANCE_FIELDS, "regions", "tags"):
        values = [getattr(scene, name) for scene in scenes]
        if any(value is None for value in values):
            continue
        if name == "tags":
            changes[name] = torch.stack(values).amax(0)
        elif name == "regions":
            # Outside its own cell a scene is ignored (255), more than any class: the least value is the known one.
            changes[name] = torch.stack(values).amin(0)
        else:
            changes[name] = cat(name, values)
    return Scene(first.size, source=first.source, **changes)
