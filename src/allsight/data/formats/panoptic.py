"""COCO panoptic: one JSON file a split, and PNGs whose colours are the ids of segments (Kirillov et al. 2019)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from allsight.data.formats.assembly import measured
from allsight.data.formats.coco import category_vocabularies, listed, load_coco
from allsight.data.formats.entries import Entry
from allsight.data.pictures.dataset import Dataset, Example, Problem
from allsight.data.pictures.label_maps import MOST_CLASSES, unknown, wrong_size
from allsight.data.pictures.reading import opened
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary
from allsight.scene.vocabulary import IGNORE

KIND = "panoptic_"


@dataclass(frozen=True, eq=False)
class PanopticMap:
    """A picture whose pixels are the ids of segments: red + 256 green + 65536 blue, 0 = none.

    Args:
        path: where it lies.
        segments: its segments: id, label, crowd, thing.
    """

    path: Path
    segments: tuple[dict[str, Any], ...]

    def fields(self, size: tuple[int, int]) -> dict[str, Any]:
        """Return `regions`, `panoptic` and `segments`; see `allsight.data.pictures.label_maps.DenseMap`."""
        with opened(self.path) as image:
            if (image.height, image.width) != tuple(size):
                raise AnnotationError(wrong_size(self.path, (image.height, image.width), size))
            colours = np.asarray(image.convert("RGB")).astype(np.int64)
        ids = colours @ np.array([1, 256, 65536])
        there, places = np.unique(ids, return_inverse=True)
        labels = {segment["id"]: segment["label"] for segment in self.segments} | {0: IGNORE}
        strange = [str(number) for number in there.tolist() if number not in labels]
        if strange:
            raise AnnotationError(unknown(self.path, "segments", strange))
        table = np.array([labels[number] for number in there.tolist()], dtype=np.int64)
        regions = torch.from_numpy(table[places.reshape(ids.shape)])
        return {"regions": regions, "panoptic": torch.from_numpy(ids), "segments": self.segments}


def panoptic_splits(root: Path) -> dict[str, dict[str, Path]]:
    """Return where annotations, masks and pictures of every split of a COCO folder lie, if they are all there."""
    found = {}
    for file in sorted(root.glob(f"annotations/{KIND}*.json")):
        split = file.stem.removeprefix(KIND)
        pictures = next((p for p in (root / split, root / "images" / split) if p.is_dir()), None)
        if pictures is not None and file.with_suffix("").is_dir():
            found[split] = {"annotations": file, "masks": file.with_suffix(""), "images": pictures}
    return found


def read_panoptic(place: Mapping[str, Path], split: str, *, name: str) -> Dataset:
    """Read one split of COCO panoptic annotations.

    Args:
        place: the JSON file `annotations`, and the folders `masks` and `images`.
        split, name: of the data set.

    Raises:
        AnnotationError: broken JSON. A broken record, or one without its files, is a problem only.
    """
    file = place["annotations"]
    value = load_coco(file)
    classes, _ = category_vocabularies(value.get("categories"), file)
    if len(classes) > MOST_CLASSES:
        raise AnnotationError(f"{file}: names {len(classes)} categories; at most {MOST_CLASSES} can be told apart")
    things = {int(c["id"]): bool(c.get("isthing", 0)) for c in value["categories"]}
    problems: list[Problem] = []
    pictures: dict[Any, Entry] = {}
    for i, item in enumerate(value["images"]):
        try:
            picture = Entry(item, "images", i)
            pictures[picture.name("id")] = picture
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(file), f"{error}; dropped"))
    examples = []
    for i, item in enumerate(listed(value, "annotations", file)):
        try:
            entry = Entry(item, "annotations", i)
            if entry.name("image_id") not in pictures:
                raise entry.wrong("image_id", "none of the images has")
            picture = pictures[entry["image_id"]]
            path, said = place["images"] / str(picture["file_name"]), (picture.whole("height"), picture.whole("width"))
            label_map = place["masks"] / str(entry["file_name"])
            segments = tuple(_segment(each, classes, things) for each in entry.entries("segments_info"))
        except AnnotationError as error:
            problems.append(Problem("broken annotation", str(file), f"{error}; dropped"))
            continue
        size = measured(path, said, problems)
        if size is not None and label_map.is_file():
            scene = Scene(size, region_classes=classes, source=str(path))
            examples.append(Example(path, scene, label_map=PanopticMap(label_map, segments)))
        elif size is not None:
            problems.append(
                Problem("unreadable label map", str(label_map), "does not exist; copy it", picture=str(path))
            )
    return Dataset(tuple(examples), region_classes=classes, problems=tuple(problems), name=name, split=split)


def _segment(entry: Entry, classes: Vocabulary, things: Mapping[int, bool]) -> dict[str, Any]:
    """Return a segment as a Scene has it; `things` says of every category's id whether it is of things."""
    number = entry.whole("category_id")
    if number not in things:
        raise entry.wrong("category_id", "none of the categories has")
    crowd = bool(entry.get("iscrowd", 0))
    return {"id": entry.whole("id"), "label": classes.from_id(number), "thing": things[number], "crowd": crowd}
