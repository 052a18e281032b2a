"""Scenes as JSON, as COCO annotations and as arguments of supervision.Detections."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allsight.errors import AnnotationError
from allsight.scene.masks import Masks
from allsight.scene.trust import Trust
from allsight.scene.vocabulary import Vocabulary

if TYPE_CHECKING:
    from allsight.scene.scene import Scene

LEAST_TAG = 0.01  # a thousand classes of next to nothing would drown the few that say something


def to_json(scene: "Scene") -> dict[str, Any]:
    """Return a scene as plain values; see `Scene.to_json`."""
    value: dict[str, Any] = {"path": scene.source, "size": list(scene.size)}
    if scene.trust is not None:
        value["known"] = scene.trust.picture
        if scene.trust.distance is not None:
            value["distance"] = _number(scene.trust.distance, 3)
    if scene.tags is not None:
        names = scene.tag_classes.names if scene.tag_classes else tuple(map(str, range(len(scene.tags))))
        ranked = sorted(zip(scene.tags.tolist(), names, strict=True), reverse=True)
        value["tags"] = [{"label": n, "score": _number(s, 4)} for s, n in ranked if s >= LEAST_TAG]
    if scene.boxes is not None:
        value["objects"] = _objects_to_json(scene)
    if scene.regions is not None:
        present = scene.regions.unique()
        masks = Masks.from_dense(scene.regions == present[:, None, None])
        value["regions"] = [
            {"label": None if label == 255 else _name(scene.region_classes, label), "mask": code}
            for label, code in zip(present.tolist(), masks.to_rle(), strict=True)
        ]
    if scene.captions is not None:
        value["captions"] = list(scene.captions)
    if scene.embedding is not None:
        value["embedding"] = [_number(x, 6) for x in scene.embedding.tolist()]
    return value


def _objects_to_json(scene: "Scene") -> list[dict[str, Any]]:
    assert scene.boxes is not None
    objects: list[dict[str, Any]] = [{"box": [_number(x, 2) for x in box]} for box in scene.boxes.tolist()]
    columns: dict[str, list[Any]] = {}
    if scene.labels is not None:
        columns["label"] = [_name(scene.object_classes, label) for label in scene.labels.tolist()]
    if scene.scores is not None:
        columns["score"] = [_number(score, 4) for score in scene.scores.tolist()]
    for name in ("crowd", "difficult", "tracks"):
        if (column := getattr(scene, name)) is not None:
            columns[name.removesuffix("s")] = column.tolist()
    if scene.weak is not None:
        columns["located"] = ["activation" if weak else "box" for weak in scene.weak.tolist()]
    if scene.trust is not None:
        columns["known"] = scene.trust.known.tolist()
        if scene.trust.distances is not None:
            columns["distance"] = [_number(distance, 3) for distance in scene.trust.distances.tolist()]
    if scene.masks is not None:
        codes = zip(scene.masks.to_rle(), scene.masks.area().tolist(), strict=True)
        columns["mask"] = [code if area else None for code, area in codes]
    if scene.keypoints is not None:
        columns["keypoints"] = [[[_number(x, 2) for x in point] for point in each] for each in scene.keypoints.tolist()]
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
            found["regions"] = torch.full(size, 255)
            for region in value["regions"]:
                if region["label"] is not None:
                    mask = Masks.from_rle([region["mask"]], size).dense()[0]
                    found["regions"][mask] = names.index(region["label"])
        if "captions" in value:
            found["captions"] = tuple(value["captions"])
        if "embedding" in value:
            found["embedding"] = torch.tensor(value["embedding"])
        return cls(size, source=value.get("path"), **found)
    except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as error:
        where = value.get("path") if isinstance(value, dict) else None
        reason = f"{type(error).__name__}: {error}"
        raise AnnotationError(f"{where or 'JSON'}: does not follow the schema of a scene ({reason})") from error


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


def to_coco(scene: "Scene", image_id: int, first_id: int) -> list[dict[str, Any]]:
    """Return the instances as COCO annotations; see `Scene.to_coco`."""
    if scene.boxes is None:
        return []
    codes = scene.masks.to_rle() if scene.masks is not None else None
    columns = {name: None if (v := getattr(scene, name)) is None else v.tolist() for name in _COCO_COLUMNS}
    classes = scene.object_classes
    annotations = []
    for i, (x1, y1, x2, y2) in enumerate(scene.boxes.tolist()):
        row = {name: column[i] for name, column in columns.items() if column is not None}
        width, height = x2 - x1, y2 - y1
        item: dict[str, Any] = {
            "id": first_id + i,
            "image_id": image_id,
            "category_id": classes.to_id(row["labels"]) if classes else row.get("labels", 0),
            "bbox": [_number(x, 3) for x in (x1, y1, width, height)],
            "area": _number(row.get("area", width * height), 3),
            "iscrowd": int(row.get("crowd", False)),
        }
        if codes is not None:
            item["segmentation"] = codes[i]
        if "keypoints" in row:
            item["keypoints"] = [_number(x, 2) for point in row["keypoints"] for x in point]
            item["num_keypoints"] = sum(point[2] > 0 for point in row["keypoints"])
        if "scores" in row:
            item["score"] = row["scores"]
        annotations.append(item)
    return annotations


_COCO_COLUMNS = ("labels", "scores", "crowd", "area", "keypoints")


def from_coco(
    cls: "type[Scene]",
    annotations: list[dict[str, Any]],
    size: tuple[int, int],
    object_classes: Vocabulary,
    keypoint_classes: Vocabulary | None,
    source: str | None,
) -> "Scene":
    """Read COCO annotations of one picture; see `Scene.from_coco`."""
    try:
        boxes = torch.tensor([a["bbox"] for a in annotations], dtype=torch.float32).reshape(-1, 4)
        labels = [object_classes.from_id(a["category_id"]) for a in annotations]
        fields: dict[str, Any] = {
            "boxes": torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1),
            "labels": torch.tensor(labels, dtype=torch.int64),
            "crowd": torch.tensor([bool(a.get("iscrowd", 0)) for a in annotations], dtype=torch.bool),
            "area": torch.tensor([a.get("area", a["bbox"][2] * a["bbox"][3]) for a in annotations]).float(),
        }
        if annotations and all("score" in a for a in annotations):
            fields["scores"] = torch.tensor([float(a["score"]) for a in annotations])
        if annotations and all(a.get("segmentation") for a in annotations):
            fields["masks"] = Masks.cat([_mask(a["segmentation"], size) for a in annotations])
        if annotations and all("keypoints" in a for a in annotations):
            points = torch.tensor([a["keypoints"] for a in annotations], dtype=torch.float32)
            fields["keypoints"] = points.reshape(len(annotations), -1, 3)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise AnnotationError(
            f"{source or 'COCO annotations'}: an annotation is not as COCO has it ({reason})"
        ) from error
    return cls(size, object_classes=object_classes, keypoint_classes=keypoint_classes, source=source, **fields)


def _mask(segmentation: Any, size: tuple[int, int]) -> Masks:
    if isinstance(segmentation, dict):
        return Masks.from_rle([segmentation], size)
    return Masks.from_polygons([segmentation], size)


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


def _number(value: float, digits: int) -> float:
    """Round for reading; refuse what JSON cannot carry."""
    if not math.isfinite(value):
        raise AnnotationError(f"{value} cannot be written to JSON; check the scene's numbers")
    return round(value, digits)


def _name(classes: Vocabulary | None, label: int) -> str:
    return classes[label] if classes is not None else str(label)
