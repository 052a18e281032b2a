"""The forms of labelme, CVAT, Label Studio, images and masks, and what is refused by its name."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from allsight.data.formats.catalogue import detect_format, open_dataset, open_splits, splits
from allsight.data.formats.recognition import RECOGNISERS, recognise
from allsight.errors import AnnotationError

from ..conftest import save_picture

TRIANGLE = [[8, 8], [24, 8], [24, 32]]


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def labelme(root: Path, stem: str, shapes: list[dict[str, Any]], **changes: Any) -> None:
    save_picture(root / f"{stem}.jpg")
    value = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{stem}.jpg", "imageData": None}
    put(root / f"{stem}.json", json.dumps(value | {"imageHeight": 48, "imageWidth": 64} | changes))


def shape(points: list[list[float]], kind: str = "polygon", label: str = "cat", **changes: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}} | changes


def test_labelme_shapes(tmp_path: Path) -> None:
    bits = np.zeros((4, 6), dtype=np.uint8)
    bits[1:3, 2:5] = 255
    png = io.BytesIO()
    Image.fromarray(bits).save(png, "PNG")
    shapes = [
        shape(TRIANGLE),
        shape([[30, 20], [34, 20]], "circle", "dog"),
        shape([[10, 40], [15, 43]], "mask", mask=base64.b64encode(png.getvalue()).decode()),
        shape([[40, 2], [44, 2], [44, 6]], group_id=1),
        shape([[50, 2], [54, 2], [54, 6]], group_id=1),
        shape([[1, 1]], "point"),
        shape([[1, 1], [2, 9]], "line"),
    ]
    labelme(tmp_path, "a", shapes)
    dataset = open_dataset(tmp_path)
    assert detect_format(tmp_path) == "labelme"
    scene = dataset[0].scene
    assert scene.names() == ["cat", "dog", "cat", "cat"]
    assert scene.boxes.tolist() == [[8, 8, 24, 32], [26, 16, 34, 24], [12, 41, 15, 43], [40, 2, 54, 6]]
    assert scene.masks.area()[2] == 6
    assert abs(int(scene.masks.area()[1]) - np.pi * 16) < 6
    assert [p.kind for p in dataset.problems] == ["broken annotation"] * 2


def test_labelme_rectangles_splits_and_broken_files(tmp_path: Path) -> None:
    labelme(tmp_path / "train", "a", [shape([[30, 20], [10, 5]], "rectangle")])
    labelme(tmp_path / "val", "b", [shape(TRIANGLE, label="dog")], imagePath="..\\elsewhere\\b.jpg")
    put(tmp_path / "val" / "c.json", '{"shapes": ')
    parts = open_splits(tmp_path)
    assert set(parts) == {"train", "val"}
    assert parts["train"].object_classes == parts["val"].object_classes
    assert parts["train"][0].scene.boxes.tolist() == [[10, 5, 30, 20]]
    assert parts["val"][0].scene.names() == ["dog"]
    assert [p.kind for p in parts["val"].problems] == ["broken annotation"]


CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><labels><label><name>dog</name></label><label><name>cat</name></label></labels></task></meta>
<image id="0" name="sub/a.jpg" subset="{subset}" width="64" height="48">
  <box label="cat" xtl="10" ytl="5" xbr="30" ybr="20" occluded="0" z_order="0"></box>
  <box label="cat" xtl="20" ytl="20" xbr="40" ybr="30" rotation="90"></box>
  <tag label="cat"></tag><points label="dog" points="1,1;2,2"></points>
</image>
<image id="1" name="b.jpg" width="64" height="48">
  <polygon label="dog" points="8.0,8.0;24.0,8.0;24.0,32.0"></polygon>
  <ellipse label="dog" cx="32" cy="24" rx="8" ry="4"></ellipse>
  <mask label="cat" rle="1, 2, 2, 1" left="10" top="40" width="3" height="2"></mask>
  <polygon label="dog" points="8.0,x"></polygon>
</image></annotations>"""


def test_cvat_for_images(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "sub" / "a.jpg")
    save_picture(tmp_path / "images" / "b.jpg")
    put(tmp_path / "annotations.xml", CVAT.replace(' subset="{subset}"', ""))
    dataset = open_dataset(tmp_path)
    assert detect_format(tmp_path) == "cvat"
    assert dataset.object_classes.names == ("dog", "cat")
    assert dataset[0].scene.boxes.tolist() == [[10, 5, 30, 20], [25, 15, 35, 35]]
    scene = dataset[1].scene
    assert scene.names() == ["dog", "dog", "cat"]
    assert scene.boxes[:2].tolist() == [[8, 8, 24, 32], [24, 20, 40, 28]]
    assert scene.masks.dense()[2].nonzero().tolist() == [[40, 11], [40, 12], [41, 12]]
    kinds = sorted(p.kind for p in dataset.problems)
    assert kinds == ["broken annotation", "other shapes", "other shapes"]


def test_cvat_subsets_are_splits(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "Train" / "sub" / "a.jpg")
    save_picture(tmp_path / "images" / "b.jpg")
    put(tmp_path / "annotations.xml", CVAT.format(subset="Train"))
    assert splits(tmp_path) == ["", "Train"]
    assert [len(part) for part in open_splits(tmp_path).values()] == [1, 1]


def task(name: str, *results: dict[str, Any]) -> dict[str, Any]:
    return {"id": 1, "data": {"image": name}, "annotations": [{"was_cancelled": False, "result": list(results)}]}


def result(kind: str, **value: Any) -> dict[str, Any]:
    return {"type": kind, "original_width": 64, "original_height": 48, "value": value}


def test_label_studio(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "my photo.jpg")
    save_picture(tmp_path / "images" / "b.jpg")
    rectangle = result("rectanglelabels", x=25, y=50, width=50, height=25, rotation=0, rectanglelabels=["cat"])
    polygon = result("polygonlabels", points=[[12.5, 25], [37.5, 25], [37.5, 50]], polygonlabels=["dog"])
    tasks = [
        task("/data/upload/3/0a1b2c3d-my%20photo.jpg", rectangle, result("choices", choices=["x"])),
        task("/data/local-files/?d=photos/b.jpg", polygon, {"type": "polygonlabels", "value": {"points": 3}}),
        task("s3://bucket/c.jpg"),
        {"data": {"text": "no picture"}, "annotations": []},
    ]
    put(tmp_path / "project-1.json", json.dumps(tasks))
    dataset = open_dataset(tmp_path)
    assert detect_format(tmp_path) == "label_studio"
    assert dataset[0].scene.boxes.tolist() == [[16, 24, 48, 36]]
    assert dataset[1].scene.boxes.tolist() == [[8, 12, 24, 24]]
    assert dataset[1].scene.names() == ["dog"]
    kinds = sorted(p.kind for p in dataset.problems)
    assert kinds == ["broken annotation", "broken annotation", "missing picture", "other shapes"]


def mask(path: Path, value: int, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    bits = np.zeros((48, 64), dtype=np.uint8)
    bits[10:20, 10:30] = value
    Image.fromarray(bits).convert(mode).save(path)


@pytest.mark.parametrize(("value", "mode"), [(255, "L"), (1, "L"), (255, "RGB"), (255, "1")])
@pytest.mark.parametrize("layout", ["{kind}/{name}", "{kind}/train/{name}", "train/{kind}/{name}"])
def test_two_folders_of_pictures_and_masks(value: int, mode: str, layout: str, tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_picture(tmp_path / layout.format(kind="images", name=f"{name}.jpg"))
        mask(tmp_path / layout.format(kind="masks", name=f"{name}_mask.png"), value, mode)
    dataset = open_dataset(tmp_path)
    assert detect_format(tmp_path) == "masks"
    assert splits(tmp_path) == (["train"] if "train" in layout else [""])
    assert dataset.region_classes.names == ("background", "object")
    for example in dataset:
        assert (example.scene.regions == 1).sum() == 200
        assert (example.scene.regions == 0).sum() == 48 * 64 - 200


def test_masks_of_values_that_nobody_names(tmp_path: Path) -> None:
    for name, value in (("a", 3), ("b", 7)):
        save_picture(tmp_path / "images" / f"{name}.jpg")
        mask(tmp_path / "masks" / f"{name}.png", value)
    with pytest.raises(AnnotationError, match="the values 0, 3, 7, which nobody names"):
        open_dataset(tmp_path)
    put(tmp_path / "classes.txt", "\n".join(["sky", "sea", "land", "road", "car", "tree", "wall", "roof"]))
    shown = [example.scene.regions.unique().tolist() for example in open_dataset(tmp_path)]
    assert shown == [[0, 3], [0, 7]]


@pytest.mark.parametrize("obj", ["obj_train_data", "obj_Train_data"])
def test_cvat_yolo(obj: str, tmp_path: Path) -> None:
    save_picture(tmp_path / obj / "a.jpg")
    put(tmp_path / obj / "a.txt", "1 0.5 0.5 0.5 0.5\n")
    put(tmp_path / "obj.names", "cat\ndog\n")
    put(tmp_path / "obj.data", "classes = 2\nnames = data/obj.names\ntrain = data/train.txt\nbackup = backup/\n")
    put(tmp_path / "train.txt", f"data/{obj}/a.jpg\n")
    assert (detect_format(tmp_path), splits(tmp_path)) == ("yolo", ["train"])
    scene = open_dataset(tmp_path)[0].scene
    assert (scene.names(), scene.boxes.tolist()) == (["dog"], [[16, 12, 48, 36]])


@pytest.mark.parametrize(
    ("pictures", "labels", "found"),
    [
        ("images", "labels", [""]),
        ("images/train", "labels/train", ["train"]),
        ("train/images", "train/labels", ["train"]),
        (".", ".", [""]),
    ],
)
def test_yolo_without_a_description(pictures: str, labels: str, found: list[str], tmp_path: Path) -> None:
    save_picture(tmp_path / pictures / "a.jpg")
    put(tmp_path / labels / "a.txt", "1 0.5 0.5 0.5 0.5\n")
    put(tmp_path / "classes.txt", "cat\ndog\n")
    assert (detect_format(tmp_path), splits(tmp_path)) == ("yolo", found)
    dataset = open_dataset(tmp_path)
    assert dataset[0].scene.names() == ["dog"]
    assert not dataset.problems


def test_yolo_without_names_is_called_by_numbers_with_a_word(tmp_path: Path) -> None:
    save_picture(tmp_path / "images" / "a.jpg")
    put(tmp_path / "labels" / "a.txt", "7 0.5 0.5 0.5 0.5\n")
    dataset = open_dataset(tmp_path)
    assert dataset[0].scene.names() == ["7"]
    assert [p.kind for p in dataset.problems] == ["no names"]


# what is refused, and said by name


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"via.json": {"a.jpg1": {"filename": "a.jpg", "regions": []}}}, "VGG Image Annotator"),
        ({"ann/a.json": {"objects": [], "size": {}}}, "Supervisely"),
        ({"train/_annotations.createml.json": [{"image": "a.jpg", "annotations": []}]}, "CreateML"),
        ({"results.json": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]}, "COCO's results"),
        ({"labels.csv": "filename,width,height,class,xmin,ymin,xmax,ymax\n"}, "table of boxes"),
        ({"train.csv": "id,label\n", "train/a.jpg": None}, "train.csv seems to say of which class"),
        ({"train.tfrecord": "x"}, "TFRecord"),
        ({"images/a.jpg": None, "masks/note.md": "x"}, "images hold"),
        ({"train/a.jpg": None, "test/b.jpg": None}, "test, train hold pictures, but nothing says"),
        ({"obj_train_data/a.jpg": None}, "obj_train_data hold"),
        ({"a.jpg": None}, "there are pictures, but nothing says what is on them"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(files: dict[str, Any], said: str, tmp_path: Path) -> None:
    for name, content in files.items():
        if content is None:
            save_picture(tmp_path / name)
        else:
            put(tmp_path / name, content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(AnnotationError, match=said) as caught:
        recognise(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_class_folder_with_annotations_beside_its_pictures_is_none(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_picture(tmp_path / "cats" / f"{name}.jpg")
        put(tmp_path / "cats" / f"{name}.json", "{}")
    with pytest.raises(AnnotationError, match="no data set that can be read"):
        recognise(tmp_path)


def test_folders_of_splits_beside_classes_are_named(tmp_path: Path) -> None:
    for name in ("cat/a.jpg", "dog/b.jpg", "train/c.jpg"):
        save_picture(tmp_path / name)
    dataset = open_dataset(tmp_path)
    assert dataset.tag_classes.names == ("cat", "dog")
    assert [(p.kind, Path(p.path).name) for p in dataset.problems] == [("no class", "train")]


def test_every_form_says_why(shared_data: Path) -> None:
    assert list(RECOGNISERS)[-1] == "folders"
    for name, said in (("bccd", "VOC annotation"), ("coco_mini", "as COCO does"), ("caltech7", "one a class")):
        assert said in recognise(shared_data / name)[1]


def test_what_a_mac_leaves_is_overlooked(tmp_path: Path) -> None:
    labelme(tmp_path, "a", [shape(TRIANGLE)])
    for name in ("._a.json", "._a.jpg", "__MACOSX/._a.json", ".DS_Store"):
        put(tmp_path / name, "\0\5\26\7")
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 1
    assert not dataset.problems
    assert torch.equal(dataset[0].scene.boxes, torch.tensor([[8.0, 8, 24, 32]]))
