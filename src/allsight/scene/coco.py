"""Scenes as COCO annotations: instances, stuff and panoptic segments."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pycocotools import mask as coco

from allsight.errors import AnnotationError, reason
from allsight.scene.codes import label_codes
from allsight.scene.forms import finite
from allsight.scene.masks import Masks
from allsight.scene.vocabulary import IGNORE, Vocabulary

if TYPE_CHECKING:
    from allsight.scene.scene import Scene


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
            "bbox": [finite(x, 3) for x in (x1, y1, width, height)],
            "area": finite(row.get("area", width * height), 3),
            "iscrowd": int(row.get("crowd", False)),
        }
        if codes is not None:
            item["segmentation"] = codes[i]
        if "keypoints" in row:
            item["keypoints"] = [finite(x, 2) for point in row["keypoints"] for x in point]
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
        raise AnnotationError(
            f"{source or 'COCO annotations'}: an annotation is not as COCO has it ({reason(error)})"
        ) from error
    return cls(size, object_classes=object_classes, keypoint_classes=keypoint_classes, source=source, **fields)


def _mask(segmentation: Any, size: tuple[int, int]) -> Masks:
    if isinstance(segmentation, dict):
        return Masks.from_rle([segmentation], size)
    return Masks.from_polygons([segmentation], size)


def to_coco_stuff(scene: "Scene", image_id: int, first_id: int) -> list[dict[str, Any]]:
    """Return regions as COCO annotations, one a class; see `Scene.to_coco_stuff`."""
    if scene.regions is None:
        return []
    codes = {label: code for label, code in label_codes(scene.regions).items() if label != IGNORE}
    return [
        {
            "id": first_id + i,
            "image_id": image_id,
            "category_id": scene.region_classes.to_id(label) if scene.region_classes else label,
            "segmentation": code,
            "bbox": coco.toBbox(code).tolist(),
            "area": int(coco.area(code)),
            "iscrowd": 0,
        }
        for i, (label, code) in enumerate(codes.items())
    ]


def to_coco_panoptic(scene: "Scene", image_id: int, file_name: str) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Return the panoptic annotation and its picture; see `Scene.to_coco_panoptic`."""
    if scene.panoptic is None or scene.segments is None:
        raise AnnotationError(f"{scene.source or 'a scene'}: has no panoptic map to write")
    codes, classes = label_codes(scene.panoptic), scene.region_classes
    segments = [
        {
            "id": segment["id"],
            "category_id": classes.to_id(segment["label"]) if classes else segment["label"],
            "iscrowd": int(segment.get("crowd", False)),
            "bbox": [int(x) for x in coco.toBbox(codes[segment["id"]])],
            "area": int(coco.area(codes[segment["id"]])),
        }
        for segment in scene.segments
        if segment["id"] in codes
    ]
    ids = scene.panoptic.numpy()
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    return {"image_id": image_id, "file_name": file_name, "segments_info": segments}, colours
