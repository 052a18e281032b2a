"""Forms in JSON of what has names: labels, tags, regions and segments."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene.codes import label_codes
from allsight.scene.forms import Form, Reading, finite
from allsight.scene.vocabulary import IGNORE, Vocabulary

if TYPE_CHECKING:
    from allsight.scene.scene import Scene

LEAST_TAG = 0.01  # a thousand classes of next to nothing would drown the few that say something


class Labels(Form):
    """The class of each object."""

    classes = "object_classes"

    def columns(self, scene: "Scene", value: Tensor) -> dict[str, Sequence[Any]]:
        """Return the names."""
        return {"label": [name_of(scene.object_classes, label) for label in value.tolist()]}

    def names(self, value: dict[str, Any]) -> list[str] | None:
        """Return the labels of the objects; where there is no object, none is without a label."""
        objects = value.get("objects")
        if objects is None or (objects and "label" not in objects[0]):
            return None
        return [item["label"] for item in objects]

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return the labels."""
        if self.names(reading.value) is None:
            return None
        classes = reading.classes[self.classes]
        return torch.tensor([classes.index(item["label"]) for item in reading.objects], dtype=dtype)


class Tags(Form):
    """What the whole picture shows, the most probable first."""

    classes = "tag_classes"

    def entries(self, scene: "Scene", value: Tensor) -> dict[str, Any]:
        """Return names and scores of what is not next to nothing."""
        return {"tags": tags_to_json(value, scene.tag_classes)}

    def names(self, value: dict[str, Any]) -> list[str] | None:
        """Return the names of the tags."""
        return _distinct([tag["label"] for tag in value["tags"]]) if "tags" in value else None

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return a score for every class."""
        tags = reading.value.get("tags")
        return None if tags is None else tags_from_json(tags, reading.classes[self.classes])


class Regions(Form):
    """The class of every pixel, one mask a class, with the mean of its scores where there are any."""

    classes = "region_classes"

    def entries(self, scene: "Scene", value: Tensor) -> dict[str, Any]:
        """Return name, score and run-length code of every class."""
        regions, places = [], value.numpy()
        for label, code in label_codes(value).items():
            item: dict[str, Any] = {"label": None if label == IGNORE else name_of(scene.region_classes, label)}
            if scene.region_scores is not None and label != IGNORE:
                item["score"] = finite(float(scene.region_scores.numpy()[places == label].mean()), 4)
            regions.append({**item, "mask": code})
        return {"regions": regions}

    def names(self, value: dict[str, Any]) -> list[str] | None:
        """Return the names of the regions."""
        if "regions" not in value:
            return None
        return _distinct([region["label"] for region in value["regions"] if region["label"] is not None])

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return the map."""
        if "regions" not in reading.value:
            return None
        regions = torch.full(reading.size, IGNORE, dtype=dtype)
        for region in reading.value["regions"]:
            if region["label"] is not None:
                regions[reading.mask(region["mask"])] = reading.classes[self.classes].index(region["label"])
        return regions


class RegionScores(Form):
    """Stand with the regions, as the mean over each: a number for every pixel would be a hundred times as long."""

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return at every pixel the mean over its region, 0 where none is known."""
        known = [region for region in reading.value.get("regions", ()) if "score" in region]
        if not known:
            return None
        scores = torch.zeros(reading.size, dtype=dtype)
        for region in known:
            scores[reading.mask(region["mask"])] = region["score"]
        return scores


class Panoptic(Form):
    """The panoptic map: the masks of its segments; of a map without segments, one mask a number."""

    def entries(self, scene: "Scene", value: Tensor) -> dict[str, Any]:
        """Return the segments with their masks."""
        codes = label_codes(value)
        if scene.segments is None:
            return {"panoptic_ids": [{"id": number, "mask": code} for number, code in codes.items() if number]}
        # A segment without a code: nothing of it is left in this part of the picture.
        there = [segment for segment in scene.segments if segment["id"] in codes]
        return {"panoptic": [{**_segment(scene, each), "mask": codes[each["id"]]} for each in there]}

    def read(self, reading: Reading, dtype: torch.dtype | None) -> Tensor | None:
        """Return the map, segments numbered in their order."""
        value = reading.value
        if "panoptic" in value:
            pieces = [(number, segment["mask"]) for number, segment in enumerate(value["panoptic"], start=1)]
        elif "panoptic_ids" in value:
            pieces = [(piece["id"], piece["mask"]) for piece in value["panoptic_ids"]]
        else:
            return None
        panoptic = torch.zeros(reading.size, dtype=dtype)
        for number, code in pieces:
            panoptic[reading.mask(code)] = number
        return panoptic


class Segments(Form):
    """What the segments of the panoptic map are; written with the map. They may be things that no region shows."""

    classes = "region_classes"
    extends = True

    def names(self, value: dict[str, Any]) -> list[str] | None:
        """Return the names of the segments."""
        return [segment["label"] for segment in value["panoptic"]] if "panoptic" in value else None

    def read(self, reading: Reading, dtype: torch.dtype | None) -> tuple[dict[str, Any], ...] | None:
        """Return the segments, numbered in their order."""
        if "panoptic" not in reading.value:
            return None
        classes = reading.classes[self.classes]
        return tuple(
            {"id": number, "label": classes.index(segment["label"])}
            | {key: segment[key] for key in ("thing", "crowd", "object", "score") if key in segment}
            for number, segment in enumerate(reading.value["panoptic"], start=1)
        )


def _segment(scene: "Scene", segment: dict[str, Any]) -> dict[str, Any]:
    item = {"label": name_of(scene.region_classes, segment["label"]), "thing": bool(segment.get("thing"))}
    item |= {key: segment[key] for key in ("crowd", "object") if key in segment}
    return item | ({"score": finite(segment["score"], 4)} if "score" in segment else {})


def tags_to_json(tags: Tensor, classes: Vocabulary | None) -> list[dict[str, Any]]:
    """Return labels and scores of tags (C,), the most probable first, without what is next to nothing."""
    names = classes.names if classes else tuple(map(str, range(len(tags))))
    likely = [(s, n) for s, n in zip(tags.tolist(), names, strict=True) if not s < LEAST_TAG]
    return [{"label": n, "score": finite(s, 4)} for s, n in sorted(likely, reverse=True)]


def tags_from_json(value: list[dict[str, Any]], classes: Vocabulary) -> Tensor:
    """Return (C,) float32 of what `tags_to_json` wrote, 0 where nothing is written."""
    tags = torch.zeros(len(classes))
    for tag in value:
        tags[classes.index(tag["label"])] = tag["score"]
    return tags


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise AnnotationError(f"JSON: {twice!r} stands twice in one picture; give each class one entry")
    return names


def name_of(classes: Vocabulary | None, label: int) -> str:
    """Return the name of a class; its number where it has none."""
    return classes[label] if classes is not None else str(label)
