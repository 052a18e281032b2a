"""Scenes as JSON and as arguments of supervision.Detections; `allsight.scene.coco` has them as COCO annotations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from allsight.errors import AnnotationError, reason
from allsight.scene.fields import ROWS, rows_of
from allsight.scene.forms import Reading
from allsight.scene.vocabulary import Vocabulary

if TYPE_CHECKING:
    from allsight.scene.scene import Scene


def to_json(scene: "Scene") -> dict[str, Any]:
    """Return a scene as plain values, what is short first; see `Scene.to_json`."""
    value: dict[str, Any] = {"path": scene.source, "size": list(scene.size)}
    for _, row, own in rows_of(scene, "picture"):
        value.update(row.form.entries(scene, own))
    columns: dict[str, Sequence[Any]] = {}
    for _, row, own in rows_of(scene, "instance"):
        value.update(row.form.entries(scene, own))
        columns.update(row.form.columns(scene, own))
    if scene.boxes is not None:
        value["objects"] = [
            {key: entry for key, entry in zip(columns, entries, strict=True) if entry is not None}
            for entries in zip(*columns.values(), strict=True)
        ]
    for _, row, own in rows_of(scene, "pixel"):
        value.update(row.form.entries(scene, own))
    return value


def from_json(cls: "type[Scene]", value: dict[str, Any], vocabularies: Mapping[str, Vocabulary]) -> "Scene":
    """Read what `to_json` wrote; see `Scene.from_json`."""
    try:
        size = (int(value["size"][0]), int(value["size"][1]))
        classes = vocabularies_of([value], vocabularies)
        reading = Reading(value, size, classes)
        fields: dict[str, Any] = {name: row.form.read(reading, row.dtype) for name, row in ROWS.items()}
        return cls(size, source=value.get("path"), **(fields | classes))
    except (KeyError, TypeError, IndexError, ValueError, RuntimeError) as error:
        where = value.get("path") if isinstance(value, dict) else None
        raise AnnotationError(f"{where or 'JSON'}: does not follow the schema of a scene ({reason(error)})") from error


def vocabularies_of(pictures: Iterable[dict[str, Any]], known: Mapping[str, Vocabulary]) -> dict[str, Vocabulary]:
    """Return the vocabularies of the JSON of pictures.

    Args:
        pictures: each as `to_json` writes it.
        known: those that are given; of them only the classes of regions are added to, by things that no region shows.

    Returns:
        By the name of the field, names in the order in which they appear.
    """
    pictures, names = list(pictures), {key: list(classes) for key, classes in known.items()}
    for row in ROWS.values():
        key = row.form.classes
        if key is None or (key in known and not row.form.extends):
            continue
        for picture in pictures:
            if (more := row.form.names(picture)) is not None:
                names.setdefault(key, []).extend(more)
    distinct = {key: tuple(dict.fromkeys(each)) for key, each in names.items()}
    kept = {key: classes for key, classes in known.items() if distinct[key] == classes.names}
    return {key: Vocabulary(each) for key, each in distinct.items()} | kept


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
