"""Panoptic maps and regions as JSON and as COCO, read back by our own readers and by pycocotools."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from pycocotools import mask as coco

from allsight.data.formats.panoptic import read_panoptic
from allsight.errors import AnnotationError
from allsight.scene import Scene, Vocabulary

CLASSES = Vocabulary(("sky", "cat", "sea"), (7, 300, 12))
REGIONS = torch.tensor([[0, 0, 0, 255], [1, 1, 2, 2], [1, 1, 2, 2]])
PANOPTIC = torch.tensor([[3, 3, 3, 0], [70_001, 260, 5, 5], [70_001, 260, 5, 5]])
SEGMENTS = (
    {"id": 3, "label": 0, "thing": False},
    {"id": 70_001, "label": 1, "thing": True, "score": 0.75, "object": "tabby"},
    {"id": 260, "label": 1, "thing": True, "score": 0.5, "object": "lion"},
    {"id": 5, "label": 2, "thing": False},
)


def scene() -> Scene:
    return Scene((3, 4), regions=REGIONS, panoptic=PANOPTIC, segments=SEGMENTS, region_classes=CLASSES, source="a.png")


def test_segments_come_back_from_json_numbered_in_their_order() -> None:
    back = Scene.from_json(json.loads(json.dumps(scene().to_json())), region_classes=CLASSES)
    assert torch.equal(back.regions, REGIONS)
    number = {segment["id"]: i for i, segment in enumerate(SEGMENTS, start=1)} | {0: 0}
    assert back.panoptic.tolist() == [[number[i] for i in row] for row in PANOPTIC.tolist()]
    assert [{**s, "id": number[s["id"]]} for s in SEGMENTS] == list(back.segments)


def test_regions_tell_how_sure_they_are() -> None:
    scores = torch.full((3, 4), 0.5)
    scores[1:, :2] = torch.tensor([[0.9, 0.7], [0.9, 0.7]])
    value = scene().with_(region_scores=scores).to_json()
    assert [(each["label"], each.get("score")) for each in value["regions"]] == [
        ("sky", 0.5),
        ("cat", 0.8),
        ("sea", 0.5),
        (None, None),
    ]


def test_a_segment_of_which_nothing_is_left_is_not_written() -> None:
    value = scene().crop(0, 0, 1, 4).to_json()
    assert [segment["label"] for segment in value["panoptic"]] == ["sky"]


def test_regions_are_stuff_annotations() -> None:
    found = scene().to_coco_stuff(image_id=4, first_id=10)
    assert [(a["id"], a["image_id"], a["category_id"], a["area"]) for a in found] == [
        (10, 4, 7, 3),
        (11, 4, 300, 4),
        (12, 4, 12, 4),
    ]
    assert coco.decode(found[1]["segmentation"]).tolist() == (REGIONS == 1).int().tolist()
    assert found[1]["bbox"] == [0, 1, 2, 2]
    assert Scene((3, 4)).to_coco_stuff() == []


def test_a_panoptic_map_is_read_back_by_the_reader(tmp_path: Path) -> None:
    annotation, colours = scene().to_coco_panoptic(image_id=4, file_name="map.png")
    Image.fromarray(colours).save(tmp_path / "map.png")
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
    value = {
        "images": [{"id": 4, "file_name": "a.png", "height": 3, "width": 4}],
        "annotations": [annotation],
        "categories": [
            {"id": number, "name": name, "isthing": int(name == "cat")}
            for number, name in zip(CLASSES.ids, CLASSES, strict=True)
        ],
    }
    (tmp_path / "panoptic.json").write_text(json.dumps(value))
    place = {"annotations": tmp_path / "panoptic.json", "masks": tmp_path, "images": tmp_path}
    (example,) = read_panoptic(place, "val", name="made")
    back = example.scene
    assert torch.equal(back.panoptic, PANOPTIC)
    assert [back.region_classes[s["label"]] for s in back.segments] == ["sky", "cat", "cat", "sea"]
    assert [s["thing"] for s in back.segments] == [False, True, True, False]
    assert torch.equal(back.regions == 255, PANOPTIC == 0)


def test_without_a_map_there_is_nothing_to_write() -> None:
    with pytest.raises(AnnotationError, match="no panoptic map"):
        Scene((3, 4), source="a.png").to_coco_panoptic()
