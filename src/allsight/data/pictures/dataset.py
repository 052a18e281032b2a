"""`Dataset`: annotated pictures in memory, their pixels still on disk, and what was wrong with them."""

import io
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from allsight.data.pictures.label_maps import DenseMap, RegionsOfObjects
from allsight.data.pictures.outlines import draw_outlines
from allsight.data.pictures.reading import read_picture
from allsight.scene import Scene, Vocabulary

Severity = Literal["dropped", "warning", "fatal"]
MISSING_SPLIT = "missing split"  # the kind of problem of a split that is named but not there


@dataclass(frozen=True)
class Problem:
    """Something wrong in a data set: what was dropped or put right, where and why.

    Args:
        kind: what it is, the same words for the same mistake ("no area", "outside", "unknown class", ...).
        path: the file that it is in.
        message: one line for a person.
        severity: "dropped" (the box or picture is left out), "warning" (put right or suspicious), "fatal" (training
            cannot start).
        box: x1, y1, x2, y2 in pixels as the file has it, where the problem is a box.
        picture: the picture that the box is in, so that it can be shown.
    """

    kind: str
    path: str
    message: str
    severity: Severity = "dropped"
    box: tuple[float, float, float, float] | None = None
    picture: str | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


@dataclass(frozen=True, eq=False)
class Example:
    """A picture, decoded when asked for, and what is in it, in original pixels.

    Args:
        path: where the picture lies; only a name if `pixels` are given.
        annotation: what is annotated, masks excepted if `outlines` are given.
        outlines: per instance its polygon rings or run-length code as COCO has them: a mask is drawn when the scene
            is asked for, because drawing those of a large data set takes minutes.
        label_map: the class of every pixel, likewise decoded when the scene is asked for.
        pixels: (3, H, W) uint8, for pictures that are no files.
    """

    path: Path
    annotation: Scene
    outlines: tuple[Any, ...] | None = None
    pixels: Tensor | None = None
    label_map: DenseMap | None = None

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def scene(self) -> Scene:
        """The annotation with its masks and regions."""
        size, drawn = self.annotation.size, {}
        if self.outlines is not None:
            drawn["masks"] = draw_outlines(self.outlines, size)
        if self.label_map is not None:
            drawn |= self.label_map.fields(size)
        return self.annotation.with_(**drawn) if drawn else self.annotation

    def region_counts(self, classes: int) -> Tensor | None:
        """Return (C,) int64, how many pixels each class has; None if they are not annotated.

        Raises:
            AnnotationError: the label map cannot be read or does not fit.
        """
        regions = self.scene.regions
        return None if regions is None else torch.bincount(regions.flatten(), minlength=256)[:classes]

    def picture(self, *, longest: int | None = None) -> Tensor:
        """Return the picture as (3, H, W) uint8 RGB; see `read_picture` for `longest`.

        Raises:
            PictureError: it cannot be read.
        """
        return self.pixels if self.pixels is not None else read_picture(self.path, longest=longest)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Examples under one vocabulary, and the problems that reading them met.

    Args:
        examples: in the order of the file that lists them.
        object_classes: names of the boxes' labels, None if boxes are not annotated.
        tag_classes: names of the pictures' classes, None if they are not annotated.
        region_classes: names of the pixels' classes, None if they are not annotated.
        problems: what was dropped or put right.
        name: the data set's. split: train, val, ... or empty for all.
    """

    examples: tuple[Example, ...]
    object_classes: Vocabulary | None = None
    tag_classes: Vocabulary | None = None
    region_classes: Vocabulary | None = None
    problems: tuple[Problem, ...] = field(default=(), repr=False)
    name: str = ""
    split: str = ""

    def __len__(self) -> int:
        return len(self.examples)

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __repr__(self) -> str:
        return f"Dataset({self.name}{'/' if self.split else ''}{self.split}, {len(self)} examples)"

    def __reduce__(self) -> tuple[Any, ...]:
        buffer = io.BytesIO()
        _ArrayPickler(buffer).dump(tuple(getattr(self, f.name) for f in fields(self)))
        return _restore, (buffer.getvalue(),)

    def subset(self, indices: Iterable[int], *, split: str | None = None) -> "Dataset":
        """Return the chosen examples, in the order of `indices`, perhaps as a split of another name."""
        chosen = tuple(self.examples[i] for i in indices)
        return replace(self, examples=chosen, split=self.split if split is None else split)

    def without_masks(self) -> "Dataset":
        """Return the data set without instance masks, for systems that have no use for them: they cost time."""
        bare = tuple(replace(e, annotation=e.annotation.with_(masks=None), outlines=None) for e in self.examples)
        return replace(self, examples=bare)

    def without_regions(self) -> "Dataset":
        """Return the data set without regions and panoptic maps, for systems that have no use for them."""
        fields = {"regions": None, "panoptic": None, "segments": None, "region_classes": None}
        bare = tuple(replace(e, annotation=e.annotation.with_(**fields), label_map=None) for e in self.examples)
        return replace(self, examples=bare, region_classes=None)

    def with_object_tags(self) -> "Dataset":
        """Return the data set with pictures tagged by the classes of their objects: what is there, no matter where.

        A picture whose objects are not annotated gets no tags.
        """
        classes = self.object_classes or Vocabulary(())

        def tagged(example: Example) -> Example:
            labels = example.annotation.labels
            if labels is None:
                return example
            tags = torch.zeros(len(classes)).index_fill_(0, labels, 1.0)
            return replace(example, annotation=example.annotation.with_(tags=tags, tag_classes=classes))

        return replace(self, examples=tuple(map(tagged, self.examples)), tag_classes=classes)

    def with_regions(self) -> "Dataset":
        """Return the data set with regions: its own, else the masks of its objects, painted; without either, as it is.

        Painted, the objects themselves are left out. The first class is "background"; a crowd is not annotated (255),
        and neither is a picture of which no masks are known. Small objects lie on large ones.
        """
        masks = any(e.outlines is not None or e.annotation.masks is not None for e in self.examples)
        if self.region_classes is not None or not masks:
            return self
        classes = Vocabulary(("background", *(self.object_classes or ())))

        def painted(example: Example) -> Example:
            drawn = example.outlines is not None or example.annotation.masks is not None
            bare = Scene(example.annotation.size, region_classes=classes, source=example.annotation.source)
            label_map = RegionsOfObjects(example.annotation, example.outlines) if drawn else None
            return replace(example, annotation=bare, outlines=None, label_map=label_map)

        return replace(self, examples=tuple(map(painted, self.examples)), object_classes=None, region_classes=classes)

    def with_classes(self, classes: Vocabulary) -> "Dataset":
        """Return the data set with its objects numbered by another vocabulary, a model's for instance.

        Objects whose class the vocabulary does not know are dropped, one problem a class.
        """
        if self.object_classes is None or self.object_classes == classes:
            return self
        lookup = torch.tensor([classes.index(n) if n in classes else -1 for n in self.object_classes] or [-1])
        examples = tuple(_relabel(example, lookup, classes) for example in self.examples)
        unknown = [name for name in self.object_classes if name not in classes]
        problems = tuple(
            Problem("unknown class", self.name, f"the class {name!r} is not one of {classes.summary()}; left out")
            for name in unknown
        )
        return replace(self, examples=examples, object_classes=classes, problems=self.problems + problems)

    def with_tag_classes(self, classes: Vocabulary) -> "Dataset":
        """Return the data set with its tags numbered by another vocabulary, which has all its classes.

        Raises:
            AnnotationError: it lacks one of them.
        """
        if self.tag_classes is None or self.tag_classes == classes:
            return self
        places = torch.tensor([classes.index(name) for name in self.tag_classes], dtype=torch.int64)

        def renumbered(example: Example) -> Example:
            tags = example.annotation.tags
            if tags is not None:
                tags = torch.zeros(len(classes)).index_copy_(0, places, tags.float())
            return replace(example, annotation=example.annotation.with_(tags=tags, tag_classes=classes))

        return replace(self, examples=tuple(map(renumbered, self.examples)), tag_classes=classes)


def _relabel(example: Example, lookup: Tensor, classes: Vocabulary) -> Example:
    scene = example.annotation
    if scene.labels is None:
        return replace(example, annotation=scene.with_(object_classes=classes))
    labels = lookup[scene.labels]
    known = labels >= 0
    outlines = example.outlines
    if outlines is not None:
        outlines = tuple(outline for outline, keep in zip(outlines, known.tolist(), strict=True) if keep)
    relabelled = scene.with_(labels=labels, object_classes=classes).keep(known)
    return replace(example, annotation=relabelled, outlines=outlines)


def join(parts: list[Dataset]) -> Dataset:
    """Return the splits of one data set as one; they must have the same vocabularies."""
    first = parts[0]
    if len(parts) == 1:
        return first
    examples = tuple(example for part in parts for example in part.examples)
    problems = tuple(dict.fromkeys(problem for part in parts for problem in part.problems))
    return replace(first, examples=examples, problems=problems, split="")


class _ArrayPickler(pickle.Pickler):
    """Sends tensors to spawned workers as arrays: torch would open one shared-memory file for each of thousands."""

    def reducer_override(self, item: Any) -> Any:
        return (torch.from_numpy, (item.numpy().copy(),)) if type(item) is Tensor else NotImplemented


def _restore(content: bytes) -> Dataset:
    return Dataset(*pickle.loads(content))
