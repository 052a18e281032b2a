"""COCO JSON is read wherever it lies, and one bad record never spoils the rest."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from pycocotools.coco import COCO

from allsight.data.formats.coco import coco_splits, read_coco
from allsight.data.formats.coco_write import write_coco
from allsight.errors import AnnotationError

from ..conftest import save_picture

INSTANCES = "annotations/instances_train.json"
CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


def image(number: int, **changes: Any) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number}.png", "height": 48, "width": 64} | changes


def box(number: int, bbox: list[Any], category: int = 3, **changes: Any) -> dict[str, Any]:
    return {"id": number, "image_id": 1, "category_id": category, "bbox": bbox} | changes


def write(
    root: Path, images: list[Any], annotations: list[Any], file: str = "annotations/instances_train.json"
) -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))
    return path


def test_by_hand(tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "1.png")
    save_picture(tmp_path / "train" / "2.png")
    square = [[10, 10, 20, 10, 20, 20, 10, 20]]
    rows = [
        box(1, [10, 10, 10, 10], 7, segmentation=square, area=100.0, iscrowd=1),
        box(2, [0, 0, 5, 5], segmentation=[[0, 0, 5, 0, 5, 5]]),
    ]
    write(tmp_path, [image(1), image(2)], rows)
    dataset = read_coco(tmp_path, "train")
    assert dataset.object_classes is not None
    assert (dataset.object_classes.names, dataset.object_classes.ids) == (("cat", "dog"), (3, 7))
    scene = dataset[0].scene
    assert scene.boxes.tolist() == [[10, 10, 20, 20], [0, 0, 5, 5]]
    assert scene.names() == ["dog", "cat"]
    assert scene.crowd.tolist() == [True, False]
    assert scene.area.tolist() == [100, 25]
    assert scene.masks is not None
    assert scene.masks.dense()[0].nonzero().amin(0).tolist() == [10, 10]
    assert scene.masks.area()[0] == 100
    assert len(dataset[1].scene.boxes) == 0
    assert not dataset.problems


@pytest.mark.parametrize(
    ("file", "pictures", "split"),
    [
        ("annotations/instances_train2017.json", "train2017", "train2017"),
        ("annotations/instances_train2017.json", "images/train2017", "train2017"),
        ("annotations/train.json", "images/train", "train"),
        ("annotations/train.json", "images", "train"),
        ("train/_annotations.coco.json", "train", "train"),
        ("labels.json", "images", "labels"),
        ("labels.json", ".", "labels"),
    ],
)
def test_usual_places(file: str, pictures: str, split: str, tmp_path: Path) -> None:
    save_picture(tmp_path / pictures / "1.png")
    path = write(tmp_path, [image(1)], [], file)
    assert list(coco_splits(tmp_path)) == [split]
    assert len(read_coco(tmp_path, split)) == 1
    assert len(read_coco(path)) == 1


def test_bad_records(tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "1.png")
    bad = {
        "not a number": [box(1, [1, 2, float("nan"), 4])],
        "no area": [box(2, [5, 5, 0, 3])],
        "outside": [box(3, [100, 100, 5, 5]), box(4, [-10, 0, 30, 20])],
        "swapped corners": [box(5, [20, 20, -10, 5])],
        "unknown class": [box(6, [1, 1, 5, 5], category=99)],
        "broken annotation": [
            box(7, [1, 2, 3]),
            box(8, ["a", 2, 3, 4]),
            {"id": 9},
            "nonsense",
            None,
            box(10, [1, 1, 5, 5], image_id=77),
            box(11, [1, 1, 5, 5], image_id=[1]),
            {"image_id": 1, "bbox": [1, 1, 5, 5], "category_id": None},
        ],
    }
    images = [image(1), image(2), image(3, height=10), {"file_name": "x.png"}, "nonsense"]
    save_picture(tmp_path / "train" / "3.png")
    rows = [row for cases in bad.values() for row in cases]
    write(tmp_path, images, [*rows, box(12, [2, 2, 4, 4]), box(13, [1, 1, 5, 5], image_id=2)])
    dataset = read_coco(tmp_path)
    assert dataset[0].scene.boxes.tolist() == [[0, 0, 20, 20], [10, 20, 20, 25], [2, 2, 6, 6]]
    expected = {kind: len(cases) for kind, cases in bad.items()}
    expected["broken annotation"] += 2
    assert Counter(p.kind for p in dataset.problems) == expected | {"missing picture": 1, "wrong size": 1}
    assert all("\n" not in str(problem) for problem in dataset.problems)


@pytest.mark.parametrize("segmentation", [[[1, 2, 3]], "x", {"size": [1, 1], "counts": "x"}, [[1, 2, 3, "a", 5, 6]], 3])
def test_an_outline_that_cannot_be_drawn_leaves_the_picture_without_masks(segmentation: Any, tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "1.png")
    good = box(1, [10, 10, 10, 10], segmentation=[[10, 10, 20, 10, 20, 20, 10, 20]])
    write(tmp_path, [image(1)], [good, box(2, [1, 1, 5, 5], segmentation=segmentation)])
    scene = read_coco(tmp_path)[0].scene
    assert len(scene.boxes) == 2
    assert scene.masks is None


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"images": 3}', "\x00", "[" * 100_000])
def test_broken_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "annotations" / "instances_train.json"
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(AnnotationError, match=r"instances_train\.json") as caught:
        read_coco(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("categories", [None, [{"id": "x"}], [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}], 3])
def test_broken_categories(categories: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    with pytest.raises(AnnotationError):
        read_coco(path)


def test_coco_mini_agrees_with_pycocotools(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = shared_data / "coco_mini" / "annotations" / "instances_train2017.json"
    reference = COCO(str(file))
    dataset = read_coco(shared_data / "coco_mini", "train2017")
    assert len(dataset) == 80
    assert not dataset.problems
    for example in dataset:
        number = int(example.name)
        rows = reference.loadAnns(reference.getAnnIds(imgIds=[number]))
        scene = example.scene
        assert dataset.object_classes is not None
        assert [dataset.object_classes.to_id(label) for label in scene.labels.tolist()] == [
            r["category_id"] for r in rows
        ]
        written = torch.tensor([r["bbox"] for r in rows]).reshape(-1, 4)
        cut = written.clone()
        cut[:, 2:] = torch.minimum(written[:, :2] + written[:, 2:], torch.tensor(scene.size[::-1]))
        assert torch.allclose(scene.boxes, cut, atol=1e-3)
        assert scene.crowd.tolist() == [bool(r["iscrowd"]) for r in rows]
        assert scene.captions is not None
        assert len(scene.captions) == 5
        assert scene.masks is not None
        if number % 4 == 0:
            dense = scene.masks.dense()
            assert all((dense[i].numpy() == reference.annToMask(row)).all() for i, row in enumerate(rows))


def test_keypoints_and_captions_survive_writing(shared_data: Path, tmp_path: Path) -> None:
    dataset = read_coco(shared_data / "coco_mini" / "annotations" / "person_keypoints_train2017.json")
    some = dataset.subset(i for i in range(30) if i % 3 == 0)
    write_coco(some, tmp_path)
    again = read_coco(tmp_path, "all")
    assert again.object_classes == dataset.object_classes
    for one, two in zip(some, again, strict=True):
        assert torch.equal(one.annotation.keypoints, two.annotation.keypoints)
        assert one.annotation.keypoint_classes == two.annotation.keypoint_classes
        assert (one.scene.masks is None) == (two.scene.masks is None)
    captions = read_coco(shared_data / "coco_mini", "train2017").subset(range(3), split="val")
    write_coco(captions, tmp_path)
    assert [e.scene.captions for e in read_coco(tmp_path, "val")] == [e.scene.captions for e in captions]


def test_an_outline_that_cannot_be_drawn_is_told(tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "1.png")
    outlines = ([[1, 2, 3]], {"size": [5, 5], "counts": "zz"}, [[float("nan"), 2, 3, 4, 5, 6]], [], None)
    write(tmp_path, [image(1)], [box(i, [1, 1, 9, 9], segmentation=each) for i, each in enumerate(outlines)])
    dataset = read_coco(tmp_path, "train")
    assert len(dataset[0].annotation) == len(outlines)
    assert [problem.kind for problem in dataset.problems] == ["broken outline"] * 3
    assert all(problem.severity == "warning" and str(INSTANCES) in problem.path for problem in dataset.problems)


@pytest.mark.parametrize(
    ("categories", "told"),
    [
        ([{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}], "the id 1 stands twice"),
        ([{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}], "the name 'cat' stands twice"),
    ],
)
def test_classes_that_stand_twice(categories: list[Any], told: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    with pytest.raises(AnnotationError, match=f"train.json: {told}"):
        read_coco(path)


def without(item: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != key}


GOOD = box(17, [1, 2, 3, 4])


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (without(GOOD, "image_id"), "annotations[1] (id 17) has no image_id"),
        (without(GOOD, "category_id"), "annotations[1] (id 17) has no category_id"),
        (without(GOOD, "bbox"), "annotations[1] (id 17) has no bbox"),
        (without(without(GOOD, "bbox"), "id"), "annotations[1] has no bbox"),
        (GOOD | {"bbox": [1, 2, 3]}, "annotations[1] (id 17) has the bbox [1, 2, 3], which is no list of 4 numbers"),
        (
            GOOD | {"bbox": ["a", "b", "c", "d"]},
            "annotations[1] (id 17) has the bbox ['a', 'b', 'c', 'd'], which is no list of 4 numbers",
        ),
        (GOOD | {"bbox": "1234"}, "annotations[1] (id 17) has the bbox '1234', which is no list of 4 numbers"),
        (GOOD | {"image_id": 99}, "annotations[1] (id 17) has the image_id 99, which none of the images has"),
        (GOOD | {"image_id": [1]}, "annotations[1] (id 17) has the image_id [1], which is no number or text"),
        (GOOD | {"category_id": "cat"}, "annotations[1] (id 17) has the category_id 'cat', which is no whole number"),
        (GOOD | {"area": "wide"}, "annotations[1] (id 17) has the area 'wide', which is no number"),
        (GOOD | {"iscrowd": "some"}, "annotations[1] (id 17) has the iscrowd 'some', which is neither 0 nor 1"),
        (GOOD | {"category_id": 3.5}, "annotations[1] (id 17) has the category_id 3.5, which is no whole number"),
        ("nonsense", "annotations[1] is 'nonsense', no object with keys"),
    ],
)
def test_a_broken_annotation_is_told_by_its_place_and_key(broken: Any, told: str, tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "1.png")
    file = write(tmp_path, [image(1)], [GOOD, broken])
    dataset = read_coco(tmp_path)
    assert list(map(str, dataset.problems)) == [f"{file}: {told}; dropped"]
    assert dataset[0].scene.boxes.tolist() == [[1, 2, 4, 6]]


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (without(image(2), "id"), "images[1] has no id"),
        (image(2, id={}), "images[1] has the id {}, which is no number or text"),
        (without(image(2), "file_name"), "images[1] (id 2) has no file_name"),
        (image(2, width="wide"), "images[1] (id 2) has the width 'wide', which is no whole number"),
        (None, "images[1] is None, no object with keys"),
    ],
)
def test_a_broken_image_is_told_by_its_place_and_key(broken: Any, told: str, tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "1.png")
    file = write(tmp_path, [image(1), broken], [GOOD])
    dataset = read_coco(tmp_path)
    assert list(map(str, dataset.problems)) == [f"{file}: {told}; dropped"]
    assert len(dataset) == len(dataset[0].scene) == 1


def test_annotations_of_a_broken_image_are_not_told_again(tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "1.png")
    write(tmp_path, [image(1), without(image(2), "file_name")], [GOOD, GOOD | {"image_id": 2}])
    assert len(read_coco(tmp_path).problems) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"images": {"id": 1}}, "has no list of images; give annotations in COCO form"),
        ({"annotations": None}, "its annotations are no list; export it again"),
        ({"annotations": 3}, "its annotations are no list; export it again"),
        ({"categories": None}, "has no list of categories; export it again"),
        ({"categories": [{"name": "cat"}]}, "categories[0] has no id; export it again"),
        ({"categories": [{"id": 1}]}, "categories[0] (id 1) has no name; export it again"),
        ({"categories": ["cat"]}, "categories[0] is 'cat', no object with keys; export it again"),
        (
            {"categories": [{"id": 1, "name": "cat", "keypoints": 17}]},
            "categories[0] (id 1) has the keypoints 17, which is no list; export it again",
        ),
    ],
)
def test_a_broken_list_is_told(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    file = tmp_path / "train.json"
    file.write_text(json.dumps({"images": [], "annotations": [], "categories": CATEGORIES} | changes))
    with pytest.raises(AnnotationError) as caught:
        read_coco(file)
    assert str(caught.value) == f"{file}: {told}"


def test_broken_captions_are_told(tmp_path: Path) -> None:
    save_picture(tmp_path / "train" / "1.png")
    write(tmp_path, [image(1)], [GOOD])
    broken = [{"id": 5, "image_id": 1}, {"image_id": [1], "caption": "a"}, {"image_id": 99, "caption": "elsewhere"}]
    file = write(tmp_path, [], [*broken, {"image_id": 1, "caption": " a cat "}], "annotations/captions_train.json")
    dataset = read_coco(tmp_path, "train")
    assert dataset[0].scene.captions == ("a cat",)
    assert list(map(str, dataset.problems)) == [
        f"{file}: annotations[0] (id 5) has no caption; dropped",
        f"{file}: annotations[1] has the image_id [1], which is no number or text; dropped",
    ]
