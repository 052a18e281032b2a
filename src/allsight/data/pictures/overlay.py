"""Several data sets on the same pictures, each with its own kind of annotation, as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from allsight.data.pictures.dataset import Dataset, Example
from allsight.data.pictures.label_maps import DenseMap
from allsight.errors import AnnotationError
from allsight.scene import INSTANCE_FIELDS, Scene, Vocabulary
from allsight.scene.vocabulary import IGNORE

# What is annotated together, and so taken from one data set: the vocabulary belongs to its numbers.
_OBJECTS = (*INSTANCE_FIELDS, "object_classes", "keypoint_classes")
_REGIONS = ("regions", "panoptic", "segments", "region_classes")
_TAGS = ("tags", "tag_classes")


def overlay(datasets: Sequence[Dataset], *, name: str = "") -> Dataset:
    """Lay data sets over one another: a picture that several of them have becomes one example with what each says.

    Of the objects of a picture it takes those of one data set, so that none is counted twice: of one that has their
    outlines, else of the first that has any. Likewise regions, of one that has panoptic segments, and tags. Classes are
    united and matched by their names. What no data set says of a picture stays None: not annotated.

    Args:
        datasets: of one split, at least one; pictures are the same if their files are.
        name: of the whole; by default the first one's.

    Raises:
        AnnotationError: two data sets say that the same picture is of different sizes.
    """
    classes = {kind: _united(datasets, kind) for kind in ("object_classes", "region_classes", "tag_classes")}
    pictures: dict[Path, list[Example]] = {}
    for dataset in datasets:
        for example in _renumbered(dataset, **classes):
            pictures.setdefault(example.path.resolve(), []).append(example)
    problems = tuple(dict.fromkeys(problem for dataset in datasets for problem in dataset.problems))
    examples = tuple(map(_together, pictures.values()))
    return Dataset(examples, **classes, problems=problems, name=name or datasets[0].name, split=datasets[0].split)


def with_region_groups(dataset: Dataset, groups: Mapping[str, str]) -> Dataset:
    """Return a data set whose regions are coarser: every class under the name of its group.

    Args:
        dataset: with regions or not.
        groups: class -> group; classes that it does not name keep their own. Groups come in its order.
    """
    if dataset.region_classes is None:
        return dataset
    names = [groups.get(each, each) for each in dataset.region_classes]
    known = [group for group in dict.fromkeys(groups.values()) if group in names]
    classes = Vocabulary(tuple(dict.fromkeys([*known, *names])))
    return _with_regions(dataset, classes, [classes.index(each) for each in names])


@dataclass(frozen=True, eq=False)
class Renumbered:
    """A dense map whose classes are numbered anew when it is decoded.

    Args:
        source: the map.
        table: (256,) int64, the new label of every old one, 255 for those that are not annotated.
    """

    source: DenseMap
    table: Tensor

    def fields(self, size: tuple[int, int]) -> dict[str, Any]:
        """Return what the map gives, renumbered; see `allsight.data.pictures.label_maps.DenseMap`."""
        return renumbered(self.source.fields(size), self.table)


def renumbered(fields: Mapping[str, Any], table: Tensor) -> dict[str, Any]:
    """Return regions, panoptic map and segments by new labels.

    Stuff has one segment a class (Kirillov et al. 2019, section 3): those that get the same class become one.

    Args:
        fields: `regions` and perhaps `panoptic` and `segments` of a Scene. table: see `Renumbered`.
    """
    found = dict(fields)
    found["regions"] = table[fields["regions"].long()]
    if fields.get("panoptic") is None:
        return found
    segments: dict[Any, dict[str, Any]] = {}
    moved = {}
    for segment in fields["segments"]:
        label = int(table[segment["label"]])
        if label == IGNORE:
            moved[segment["id"]] = 0
            continue
        key = ("thing", segment["id"]) if segment.get("thing") else ("stuff", label)
        moved[segment["id"]] = segments.setdefault(key, {**segment, "label": label})["id"]
    panoptic = fields["panoptic"].clone()
    for old, new in moved.items():
        if old != new:
            panoptic[fields["panoptic"] == old] = new
    return {**found, "panoptic": panoptic, "segments": tuple(segments.values())}


def _united(datasets: Sequence[Dataset], kind: str) -> Vocabulary | None:
    there = [classes for dataset in datasets if (classes := getattr(dataset, kind)) is not None]
    if len(set(there)) == 1:
        return there[0]  # with the numbers that its files use
    return Vocabulary.union(there) if there else None


def _renumbered(
    dataset: Dataset,
    object_classes: Vocabulary | None,
    region_classes: Vocabulary | None,
    tag_classes: Vocabulary | None,
) -> Dataset:
    """Return a data set by the vocabularies of the whole."""
    if object_classes is not None:
        dataset = dataset.with_classes(object_classes)
    if region_classes is not None and dataset.region_classes not in (None, region_classes):
        labels = [region_classes.index(each) for each in dataset.region_classes or ()]
        dataset = _with_regions(dataset, region_classes, labels)
    if tag_classes is not None and dataset.tag_classes not in (None, tag_classes):
        places = torch.tensor([tag_classes.index(each) for each in dataset.tag_classes or ()])

        def tagged(example: Example) -> Example:
            if example.annotation.tags is None:
                return example
            tags = torch.zeros(len(tag_classes)).index_copy_(0, places, example.annotation.tags)
            return replace(example, annotation=example.annotation.with_(tags=tags, tag_classes=tag_classes))

        dataset = replace(dataset, examples=tuple(map(tagged, dataset.examples)), tag_classes=tag_classes)
    return dataset


def _with_regions(dataset: Dataset, classes: Vocabulary, labels: Sequence[int]) -> Dataset:
    """Return a data set with other classes of regions; `labels` are the new ones of the old classes."""
    table = torch.full((IGNORE + 1,), IGNORE)
    table[: len(labels)] = torch.tensor(labels)

    def moved(example: Example) -> Example:
        scene = example.annotation
        if scene.region_classes is None:
            return example
        if scene.regions is not None:
            fields = {name: getattr(scene, name) for name in ("regions", "panoptic", "segments")}
            scene = scene.with_(**renumbered(fields, table))
        label_map = None if example.label_map is None else Renumbered(example.label_map, table)
        return replace(example, annotation=scene.with_(region_classes=classes), label_map=label_map)

    return replace(dataset, examples=tuple(map(moved, dataset.examples)), region_classes=classes)


def _together(examples: Sequence[Example]) -> Example:
    """Return what several data sets say of one picture."""
    first = examples[0]
    sizes = {tuple(example.annotation.size) for example in examples}
    if len(sizes) > 1:
        raise AnnotationError(f"{first.path}: is of sizes {sorted(sizes)} in the data sets laid over one another")
    objects = max(examples, key=lambda e: (_outlined(e), e.annotation.boxes is not None))  # the first of equals
    regions = max(examples, key=lambda e: (_segmented(e), _painted(e)))
    tags = max(examples, key=lambda e: e.annotation.tags is not None)
    captions = max(examples, key=lambda e: e.annotation.captions is not None)
    scene = Scene(first.annotation.size, captions=captions.annotation.captions, source=first.annotation.source)
    for chosen, names in ((objects, _OBJECTS), (regions, _REGIONS), (tags, _TAGS)):
        scene = scene.with_(**{name: getattr(chosen.annotation, name) for name in names})
    return replace(first, annotation=scene, outlines=objects.outlines, label_map=regions.label_map)


def _outlined(example: Example) -> bool:
    return example.outlines is not None or example.annotation.masks is not None


def _painted(example: Example) -> bool:
    return example.label_map is not None or example.annotation.regions is not None


def _segmented(example: Example) -> bool:
    """Tell whether an example has panoptic segments, without decoding its map."""
    label_map = example.label_map.source if isinstance(example.label_map, Renumbered) else example.label_map
    return example.annotation.panoptic is not None or hasattr(label_map, "segments")
