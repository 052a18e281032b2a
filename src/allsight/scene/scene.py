"""`Scene`: what is in one picture, whether a person drew it or a model predicted it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Union, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene import coco, geometry, instances, interchange, joins, moves, showing, table
from allsight.scene.fields import Fields, Side, rows_of
from allsight.scene.instances import Instance
from allsight.scene.vocabulary import Vocabulary

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Scene(Fields):
    """A picture's annotation or prediction; `None` means not annotated, empty means annotated and nothing there.

    All tensors lie on the CPU. Boxes are x1, y1, x2, y2 in pixels, in continuous coordinates: pixel (0, 0) covers
    [0, 1) in both directions.

    Args:
        size: (height, width) of the picture in pixels.
        boxes: (N, 4) float32.
        labels: (N,) int64, label i is `object_classes[i]`; the background has no label.
        scores: (N,) float32 in [0, 1], on predictions only.
        crowd, difficult: (N,) bool, as COCO and VOC have them.
        area: (N,) float32 square pixels, as the annotation states it (COCO: of the mask).
        weak: (N,) bool, true where a box was located without box labels (from an activation map).
        trust: whether the model vouches for the picture and for each of its instances.
        masks: one per instance.
        keypoints: (N, K, 3) float32: x, y, visibility (0 not labelled, 1 hidden, 2 visible).
        tracks: (N,) int64, identity through a clip.
        box_embeddings: (N, D) float32. actions: (N, A) float32.
        regions: (H, W) int64, class of every pixel in `region_classes`, 255 = ignore. region_scores: (H, W) float32 in
            [0, 1], how probable that class is; on predictions only.
        panoptic: (H, W) int64, segment of every pixel; 0 = none. segments: one dictionary per segment: id, label (in
            `region_classes`), thing, and where they are known crowd, score and object (the instance's own class).
        tags: (C,) float32, whole-picture probabilities over `tag_classes`.
        flow: (2, H, W) float32 pixels to the next frame, x first. flow_valid: (H, W) bool.
        depth: (H, W) float32 metres. normals: (3, H, W) float32 unit vectors.
        embedding: (D,) float32 of unit length. captions: sentences about the picture.
        object_classes, region_classes, tag_classes, keypoint_classes: the names behind the numbers.
        source: where the picture lies, for messages and for showing it.

    Raises:
        AnnotationError: a field has the wrong shape.
    """

    # How a notebook shows a Scene: set by the floor that can read pictures and draw (allsight.predict).
    painter: ClassVar[Callable[["Scene"], bytes | None] | None] = None

    def __post_init__(self) -> None:
        counts = {}
        for name, row, value in rows_of(self):
            if row.shape is not None:
                self._check_shape(name, row.shape, tuple(value.shape))
            if row.per == "instance":
                counts[name] = len(value)
        if len(set(counts.values())) > 1:
            raise AnnotationError(f"{self.source or 'a scene'}: instance fields disagree in number: {counts}")
        if self.masks is not None and tuple(self.masks.size) != tuple(self.size):
            raise AnnotationError(
                f"{self.source or 'a scene'}: masks of size {self.masks.size} lie on a picture of size {self.size}"
            )

    def _check_shape(self, name: str, wanted: tuple[Side, ...], shape: tuple[int, ...]) -> None:
        known = {"height": self.size[0], "width": self.size[1]}
        sides = tuple(known[side] if isinstance(side, str) else side for side in wanted)
        if len(shape) != len(sides) or any(w not in (None, s) for w, s in zip(sides, shape, strict=True)):
            raise AnnotationError(f"{self.source or 'a scene'}: {name} has shape {shape}, not {sides}")

    def __len__(self) -> int:
        """Return the number of instances; 0 also if none are annotated."""
        return next((len(value) for _, _, value in rows_of(self, "instance")), 0)

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        parts = [f"{self.size[1]}x{self.size[0]}"]
        if self.boxes is not None:
            parts.append(f"{len(self)} objects")
        parts += [name for name, row, _ in rows_of(self) if row.per != "instance"]
        return f"Scene({', '.join(parts)})"

    def _repr_png_(self) -> bytes | None:
        return self.painter() if self.painter is not None else None

    def with_(self, **changes: Any) -> "Scene":
        """Return a copy in which the named fields are replaced."""
        return replace(self, **changes)

    def keep(self, index: Tensor) -> "Scene":
        """Return the scene with the chosen instances only.

        Args:
            index: (M,) int64 positions, which may reorder, or (N,) bool.
        """
        chosen: dict[str, Any] = {name: value[index] for name, _, value in rows_of(self, "instance")}
        return replace(self, **chosen)

    def names(self) -> list[str]:
        """Return the class name of every instance."""
        if self.labels is None or self.object_classes is None:
            return []
        return [self.object_classes[label] for label in self.labels.tolist()]

    def __iter__(self) -> Iterator[Instance]:
        """Give the objects one by one, each with its name, score, box and mask."""
        return instances.instances(self)

    @overload
    def __getitem__(self, which: int) -> Instance: ...
    @overload
    def __getitem__(self, which: str | slice | Tensor) -> "Scene": ...
    def __getitem__(self, which: int | str | slice | Tensor) -> Union[Instance, "Scene"]:
        """Return one object, or the scene with some of them only.

        Args:
            which: the place of an object; or the name of a class, a slice, (N,) bool or (M,) int64 places.

        Raises:
            AnnotationError: no class has that name, or the mask is of another length.
        """
        return instances.choose(self, which)

    def count(self) -> dict[str, int]:
        """Return how many objects of every class there are, the most frequent first.

        Those that only show where a tag of the picture comes from (`weak`) are not counted.
        """
        return instances.count(self)

    def draw(self, picture: Any = None) -> "Image":
        """Return the picture with the scene painted over it, as a picture of PIL.

        Args:
            picture: a path, a PIL picture or pixels; by default the file that the scene comes from.

        Raises:
            PictureError: the picture cannot be read, or is not of the scene's size.
        """
        return showing.draw(self, picture)

    def save(self, path: str | Path, picture: Any = None) -> None:
        """Write the scene as JSON (.json), or drawn on its picture (.jpg, .png, .webp).

        Args:
            path: the file; what stands there is replaced. picture: see `draw`.

        Raises:
            AnnotationError: another ending. OutputError: it cannot be written. PictureError: see `draw`.
        """
        showing.save(self, path, picture)

    def merge(self, other: "Scene") -> "Scene":
        """Return what this scene and another one of the same picture say together.

        Instances of both are joined: vocabularies are united, and instance fields that only one side has are dropped
        unless they have a natural default (crowd, difficult and weak: no; masks: blank). Elsewhere, what `other`
        says wins.
        """
        return joins.merge(self, other)

    def affine(self, matrix: Tensor, size: tuple[int, int], *, min_visible: float = 0.0) -> "Scene":
        """Move everything in the scene by one affine map of the pixel plane.

        Boxes become the smallest upright box around the moved one (around the moved mask, where there is one and the
        map turns), cut at the border; dense fields are read at the nearest pixel centre; flow and normals turn along.

        Args:
            matrix: (3, 3) float64 or (2, 3), takes old pixel coordinates (x, y, 1) to new ones.
            size: (height, width) of the new picture.
            min_visible: objects of which this share of the area or less is left in the picture are dropped.

        Returns:
            The scene on the new picture. What lies outside the old one is ignored (255), not valid or 0.
        """
        return moves.affine(self, matrix, size, min_visible)

    def flip(self, *, horizontal: bool = True) -> "Scene":
        """Mirror left and right (or top and bottom); named keypoints left_* and right_* change places."""
        return moves.flip(self, horizontal)

    def crop(self, left: int, top: int, height: int, width: int, *, min_visible: float = 0.0) -> "Scene":
        """Cut out a window, which may reach outside the picture (that is padding); see `affine`."""
        return self.affine(geometry.translation(-left, -top), (height, width), min_visible=min_visible)

    def resize(self, height: int, width: int) -> "Scene":
        """Scale to a new size; see `affine`."""
        return self.affine(geometry.scaling(width / self.size[1], height / self.size[0]), (height, width))

    def to_json(self) -> dict[str, Any]:
        """Return the scene as plain values; the schema is documented in docs/json.md."""
        return interchange.to_json(self)

    @classmethod
    def from_json(cls, value: dict[str, Any], **vocabularies: Vocabulary) -> "Scene":
        """Read what `to_json` wrote.

        Args:
            value: the dictionary.
            vocabularies: `object_classes`, `region_classes`, `tag_classes`, `keypoint_classes`; names are collected
                from the value in order of appearance where a vocabulary is not given.

        Raises:
            AnnotationError: the value does not follow the schema.
        """
        return interchange.from_json(cls, value, vocabularies)

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """Return the instances as COCO annotations (with "score" on predictions), ids from the vocabulary."""
        return coco.to_coco(self, image_id, first_id)

    def to_coco_stuff(self, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
        """Return the regions as COCO-Stuff has them: for each class an annotation with a run-length code.

        Ids are from the vocabulary; what is not annotated (255) is left out.
        """
        return coco.to_coco_stuff(self, image_id, first_id)

    def to_coco_panoptic(self, image_id: int = 1, file_name: str = "1.png") -> tuple[dict[str, Any], NDArray[np.uint8]]:
        """Return the panoptic map as COCO has it.

        Args:
            image_id: the picture's. file_name: of the map.

        Returns:
            The annotation with its `segments_info`, and the map's pixels (H, W, 3) uint8: red + 256 green + 65536 blue
            is the id of a segment, 0 = none.

        Raises:
            AnnotationError: the scene has no panoptic map.
        """
        return coco.to_coco_panoptic(self, image_id, file_name)

    @classmethod
    def from_coco(
        cls,
        annotations: list[dict[str, Any]],
        size: tuple[int, int],
        object_classes: Vocabulary,
        *,
        keypoint_classes: Vocabulary | None = None,
        source: str | None = None,
    ) -> "Scene":
        """Read COCO annotations of one picture.

        Raises:
            AnnotationError: a category id is not in the vocabulary, or a box is not four numbers.
        """
        return coco.from_coco(cls, annotations, size, object_classes, keypoint_classes, source)

    def to_table(self) -> Any:
        """Return the objects as a pandas table, a row an object, with the columns of `see --csv`.

        Raises:
            OutputError: pandas is not installed.
        """
        return table.to_table(self)

    def to_supervision(self) -> dict[str, Any]:
        """Return the arguments of `supervision.Detections(...)`, as numpy arrays."""
        return interchange.to_supervision(self)
