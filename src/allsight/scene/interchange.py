"""Scenes as JSON and as arguments of supervision.Detections; `allsight.scene.coco` has them as COCO annotations."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allsight.errors import AnnotationError, reason
from allsight.scene.codes import label_codes
from allsight.scene.masks import Masks
from allsight.scene.trust import Trust
from allsight.scene.vocabulary import IGNORE, Vocabulary

if TYPE_CHECKING:
    from allsight.scene.scene import Scene

LEAST_TAG = 0.01  # a thousand classes of next to nothing would drown the few that say something


def to_json(scene: "Scene") -> dict[str, Any]:
    """Return a scene as plain values; see `Scene.to_json`."""
    value: dict[str, Any] = {"path": scene.source, "size": list(scene.size)}
    if scene.trust is not None:
        value["known"] = scene.trust.picture
        if scene.trust.distance is not None:
            value["distance"] = finite(scene.trust.distance, 3)
    if scene.tags is not None:
        names = scene.tag_classes.names if scene.tag_classes else tuple(map(str, range(len(scene.tags))))
        told = [(s, n) for s, n in zip(scene.tags.tolist(), names, strict=True) if s >= LEAST_TAG]
        value["tags"] = [{"label": n, "score": finite(s, 4)} for s, n in sorted(told, reverse=True)]
    if scene.boxes is not None:
        value["objects"] = _objects_to_json(scene)
    if scene.regions is not None:
        value["regions"] = _regions_to_json(scene, scene.regions)
    if scene.panoptic is not None and scene.segments is not None:
        value["panoptic"] = _segments_to_json(scene, scene.panoptic, scene.segments)
    if scene.captions is not None:
        value["captions"] = list(scene.captions)
    if scene.embedding is not None:
        value["embedding"] = [finite(x, 6) for x in scene.embedding.tolist()]
    return value


def _regions_to_json(scene: "Scene", regions: Tensor) -> list[dict[str, Any]]:
    found, places = [], regions.numpy()
    for label, code in label_codes(regions).items():
        item: dict[str, Any] = {"label": None if label == IGNORE else name_of(scene.region_classes, label)}
        if scene.region_scores is not None and label != IGNORE:
            item["score"] = finite(float(scene.region_scores.numpy()[places == label].mean()), 4)
        found.append({**item, "mask": code})
    return found


def _segments_to_json(scene: "Scene", panoptic: Tensor, segments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    codes = label_codes(panoptic)
    found = []
    for segment in segments:
        if segment["id"] not in codes:
            continue  # nothing of it is left in this part of the picture
        item = {
            "label": name_of(scene.region_classes, segment["label"]),
            "thing": bool(segment.get("thing")),
        }
        if "object" in segment:
            item["object"] = segment["object"]
        if "score" in segment:
            item["score"] = finite(segment["score"], 4)
        found.append({**item, "mask": codes[segment["id"]]})
    return found


def _objects_to_json(scene: "Scene") -> list[dict[str, Any]]:
    assert scene.boxes is not None
    objects: list[dict[str, Any]] = [{"box": [finite(x, 2) for x in box]} for box in scene.boxes.tolist()]
    columns: dict[str, list[Any]] = {}
    if scene.labels is not None:
        columns["label"] = [name_of(scene.object_classes, label) for label in scene.labels.tolist()]
    if scene.scores is not None:
        columns["score"] = [finite(score, 4) for score in scene.scores.tolist()]
    for name in ("crowd", "difficult", "tracks"):
        if (column := getattr(scene, name)) is not None:
            columns[name.removesuffix("s")] = column.tolist()
    if scene.weak is not None:
        columns["located"] = ["activation" if weak else "box" for weak in scene.weak.tolist()]
    if scene.trust is not None:
        columns["known"] = scene.trust.known.tolist()
        if scene.trust.distances is not None:
            columns["distance"] = [finite(distance, 3) for distance in scene.trust.distances.tolist()]
    if scene.masks is not None:
        codes = zip(scene.masks.to_rle(), scene.masks.area().tolist(), strict=True)
        columns["mask"] = [code if area else None for code, area in codes]
    if scene.keypoints is not None:
        columns["keypoints"] = [[[finite(x, 2) for x in point] for point in each] for each in scene.keypoints.tolist()]
    for key, column in columns.items():
        for item, entry in zip(objects, column, strict=True):
            if entry is not None:
                item[key] = entry
    return objects


def from_json(cls: "type[Scene]", value: dict[str, Any], vocabularies: dict[str, Vocabulary]) -> "Scene":
    """Read what `to_json` wrote; see `Scene.from_json`."""
    try:
        size = (int(value["size"][0]), int(value["size"][1]))
        found: dict[str, Any] = dict(vocabularies)
        if "tags" in value:
            names = found.setdefault("tag_classes", Vocabulary(tuple(tag["label"] for tag in value["tags"])))
            found["tags"] = torch.zeros(len(names))
            for tag in value["tags"]:
                found["tags"][names.index(tag["label"])] = tag["score"]
        if "objects" in value:
            found |= _objects_from_json(value["objects"], size, found.get("object_classes"))
        if "known" in value:
            found["trust"] = _trust_from_json(value)
        if "regions" in value:
            given = tuple(region["label"] for region in value["regions"] if region["label"] is not None)
            names = found.setdefault("region_classes", Vocabulary(given))
            found["regions"] = torch.full(size, IGNORE)
            for region in value["regions"]:
                if region["label"] is not None:
                    mask = Masks.from_rle([region["mask"]], size).dense()[0]
                    found["regions"][mask] = names.index(region["label"])
        if "panoptic" in value:
            found |= _segments_from_json(value, size, found)
        if "captions" in value:
            found["captions"] = tuple(value["captions"])
        if "embedding" in value:
            found["embedding"] = torch.tensor(value["embedding"])
        return cls(size, source=value.get("path"), **found)
    except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as error:
        where = value.get("path") if isinstance(value, dict) else None
        raise AnnotationError(f"{where or 'JSON'}: does not follow the schema of a scene ({reason(error)})") from error


def _segments_from_json(value: dict[str, Any], size: tuple[int, int], found: dict[str, Any]) -> dict[str, Any]:
    """Read segments, numbered in their order."""
    given = [segment["label"] for segment in value["panoptic"]]
    classes = found.get("region_classes") or Vocabulary(())
    if any(name not in classes for name in given):  # of things, which no region shows
        classes = Vocabulary(tuple(dict.fromkeys([*classes, *given])))
    panoptic = torch.zeros(size, dtype=torch.int64)
    segments = []
    for number, segment in enumerate(value["panoptic"], start=1):
        panoptic[Masks.from_rle([segment["mask"]], size).dense()[0]] = number
        rest = {key: segment[key] for key in ("thing", "object", "score") if key in segment}
        segments.append({"id": number, "label": classes.index(segment["label"]), **rest})
    return {"panoptic": panoptic, "segments": tuple(segments), "region_classes": classes}


def _objects_from_json(
    objects: list[dict[str, Any]], size: tuple[int, int], classes: Vocabulary | None
) -> dict[str, Any]:
    fields: dict[str, Any] = {"boxes": torch.tensor([item["box"] for item in objects]).reshape(-1, 4).float()}
    keys = set(objects[0]) if objects else {"label"}
    if "label" in keys:
        labels = [item["label"] for item in objects]
        classes = classes or Vocabulary(tuple(dict.fromkeys(labels)))
        fields["object_classes"] = classes
        fields["labels"] = torch.tensor([classes.index(label) for label in labels], dtype=torch.int64)
    for key, name, dtype in (
        ("score", "scores", torch.float32),
        ("crowd", "crowd", torch.bool),
        ("difficult", "difficult", torch.bool),
        ("track", "tracks", torch.int64),
        ("keypoints", "keypoints", torch.float32),
    ):
        if key in keys:
            fields[name] = torch.tensor([item[key] for item in objects], dtype=dtype)
    if "located" in keys:
        fields["weak"] = torch.tensor([item["located"] == "activation" for item in objects])
    if any("mask" in item for item in objects):
        known = (Masks.from_rle([i["mask"]], size) if "mask" in i else Masks.blank(1, size) for i in objects)
        fields["masks"] = Masks.cat(list(known))
    return fields


def _trust_from_json(value: dict[str, Any]) -> Trust:
    """Read what a model says of itself; in a picture that it does not know, all objects are as little known."""
    objects = value.get("objects", [])
    known = torch.tensor([bool(item["known"]) for item in objects], dtype=torch.bool)
    distances = torch.tensor([float(item["distance"]) for item in objects]) if _all_have(objects, "distance") else None
    return Trust(bool(value["known"]), value.get("distance"), known, distances)


def _all_have(objects: list[dict[str, Any]], key: str) -> bool:
    return bool(objects) and all(key in item for item in objects)


def to_supervision(scene: "Scene") -> dict[str, Any]:
    """Return the arguments of `supervision.Detections(...)`; see `Scene.to_supervision`."""

    def array(value: Tensor | None) -> Any:
        return None if value is None else value.numpy()

    boxes = torch.zeros((0, 4)) if scene.boxes is None else scene.boxes
    data = {"class_name": scene.names()} if scene.labels is not None and scene.object_classes is not None else {}
    return {
        "xyxy": array(boxes),
        "mask": array(scene.masks.dense()) if scene.masks is not None else None,
        "confidence": array(scene.scores),
        "class_id": array(scene.labels),
        "tracker_id": array(scene.tracks),
        "data": data,
    }


def finite(value: float, digits: int) -> float:
    """Round for reading; refuse what JSON cannot carry."""
    if not math.isfinite(value):
        raise AnnotationError(f"{value} cannot be written to JSON; check the scene's numbers")
    return round(value, digits)


def name_of(classes: Vocabulary | None, label: int) -> str:
    """Return the name of a class; its number where it has none."""
    return classes[label] if classes is not None else str(label)
