"""Scenes: shapes, selection, merging, vocabularies, JSON, COCO and supervision."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from scene_examples import OBJECTS, POINTS, REGIONS, assert_same, example

from allsight.errors import AnnotationError
from allsight.scene import INSTANCE_FIELDS, Masks, Scene, Vocabulary

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40)
@given(seeds)
def test_json_there_and_back(seed: int) -> None:
    scene = example(seed)
    scene = scene.with_(
        tags=torch.tensor([0.75, 0.25]),
        tag_classes=Vocabulary(("indoors", "outdoors")),
        captions=("a cat", "ein Käuzchen"),
        embedding=torch.tensor([0.6, 0.8]),
        weak=torch.arange(len(scene)) % 2 == 0,
        difficult=torch.arange(len(scene)) % 2 == 1,
        box_embeddings=torch.linspace(-1, 1, 3 * len(scene)).reshape(-1, 3),
        actions=torch.linspace(0, 1, 4 * len(scene)).reshape(-1, 4),
    )
    text = json.dumps(scene.to_json(), allow_nan=False)
    classes = {"object_classes": OBJECTS, "region_classes": REGIONS}
    back = Scene.from_json(json.loads(text), keypoint_classes=POINTS, **classes)
    unsaid: dict[str, None] = {}
    if not len(scene):  # without objects, JSON says that nothing is there and no more
        unsaid |= dict.fromkeys(name for name in INSTANCE_FIELDS if name not in ("boxes", "labels"))
    assert_same(scene.with_(**unsaid, tag_classes=back.tag_classes), back, tolerance=0.0051)


def test_json_of_the_first_form_is_still_read() -> None:
    back = Scene.from_json(json.loads(FIRST_FORM))
    assert (back.source, back.size, back.captions) == ("a.jpg", (3, 4), ("a cat",))
    assert back.boxes.tolist() == [[0, 0, 2, 2], [1, 1, 4, 3]]
    assert back.names() == ["cat", "dog"]
    for name, value in (
        ("scores", [0.5, 0.25]),
        ("crowd", [False, True]),
        ("weak", [True, False]),
        ("tracks", [7, 9]),
        ("keypoints", [[[1, 1, 2]], [[0, 0, 0]]]),
        ("tags", [0.75, 0.125]),
        ("regions", [[0, 0, 0, 255], [1, 1, 2, 2], [1, 1, 2, 2]]),
        ("panoptic", [[1, 1, 1, 0], [2, 2, 3, 3], [2, 2, 3, 3]]),
        ("region_scores", [[0.5, 0.5, 0.5, 0], [0.75, 0.75, 0.25, 0.25], [0.75, 0.75, 0.25, 0.25]]),
    ):
        assert getattr(back, name).tolist() == value, name
    assert back.masks.dense().int().tolist() == [[[1, 1, 0, 0], [1, 0, 0, 0], [0] * 4], [[0] * 4] * 3]
    assert (back.trust.picture, back.trust.distance) == (True, 0.5)
    assert (back.trust.known.tolist(), back.trust.distances.tolist()) == ([True, False], [0.25, 2.0])
    assert back.region_classes.names == ("sky", "cat", "sea")
    assert back.segments == (
        {"id": 1, "label": 0, "thing": False},
        {"id": 2, "label": 1, "thing": True, "score": 0.75, "object": "tabby"},
        {"id": 3, "label": 2, "thing": False},
    )


FIRST_FORM = """{"path": "a.jpg", "size": [3, 4], "known": true, "distance": 0.5,
"tags": [{"label": "in", "score": 0.75}, {"label": "out", "score": 0.125}],
"objects": [
{"box": [0.0, 0.0, 2.0, 2.0], "label": "cat", "score": 0.5, "crowd": false, "track": 7, "located": "activation",
"known": true, "distance": 0.25, "mask": {"size": [3, 4], "counts": "021O7"}, "keypoints": [[1.0, 1.0, 2.0]]},
{"box": [1.0, 1.0, 4.0, 3.0], "label": "dog", "score": 0.25, "crowd": true, "track": 9, "located": "box",
"known": false, "distance": 2.0, "keypoints": [[0.0, 0.0, 0.0]]}],
"regions": [
{"label": "sky", "score": 0.5, "mask": {"size": [3, 4], "counts": "0120003"}},
{"label": "cat", "score": 0.75, "mask": {"size": [3, 4], "counts": "12105"}},
{"label": "sea", "score": 0.25, "mask": {"size": [3, 4], "counts": "7210"}},
{"label": null, "mask": {"size": [3, 4], "counts": "912"}}],
"panoptic": [
{"label": "sky", "thing": false, "mask": {"size": [3, 4], "counts": "0120003"}},
{"label": "cat", "thing": true, "object": "tabby", "score": 0.75, "mask": {"size": [3, 4], "counts": "12105"}},
{"label": "sea", "thing": false, "mask": {"size": [3, 4], "counts": "7210"}}],
"captions": ["a cat"], "embedding": [0.6, 0.8]}"""


def test_json_collects_the_names_it_meets() -> None:
    value = {"size": [5, 5], "objects": [{"box": [0, 0, 1, 1], "label": "b"}, {"box": [0, 0, 2, 2], "label": "a"}]}
    scene = Scene.from_json(value)
    assert scene.names() == ["b", "a"]
    assert scene.object_classes == Vocabulary(("b", "a"))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"size": [5]},
        {"size": [5, 5], "objects": [{}]},
        {"size": [5, 5], "objects": [{"box": [1, 2, 3]}]},
        {"size": [5, 5], "tags": [{"label": "a"}]},
        {"size": [1, 1], "depth": {"type": "float32", "shape": [1, 1], "data": "no base64!"}},
        {"size": [1, 1], "depth": {"type": "float32", "shape": [1, 1], "data": "AAA="}},
        {"size": [1, 1], "depth": {"type": "int8", "shape": [1, 1], "data": "AAAAAA=="}},
        {"size": [1, 1], "depth": {"type": "float16", "shape": [2, 2], "data": "AAA="}},
        {"size": "wide"},
        None,
        [],
    ],
)
def test_broken_json_says_so(value: Any) -> None:
    with pytest.raises(AnnotationError, match="schema"):
        Scene.from_json(value)


def test_json_refuses_what_is_not_finite() -> None:
    with pytest.raises(AnnotationError, match="nan"):
        Scene((5, 5), boxes=torch.tensor([[0.0, 0, 1, torch.nan]])).to_json()


@settings(max_examples=40)
@given(seeds)
def test_coco_there_and_back(seed: int) -> None:
    scene = example(seed, dense=False).with_(tracks=None, region_classes=None)
    annotations = json.loads(json.dumps(scene.to_coco(image_id=7, first_id=100)))
    assert [a["id"] for a in annotations] == list(range(100, 100 + len(scene)))
    assert all(a["image_id"] == 7 and a["category_id"] in (3, 17, 90) for a in annotations)
    back = Scene.from_coco(annotations, scene.size, OBJECTS, keypoint_classes=POINTS, source=scene.source)
    if len(scene):
        assert_same(scene, back, tolerance=0.0051)
    else:
        assert len(back) == 0


def test_coco_files_are_read_as_pycocotools_reads_them(shared_data: Path) -> None:
    listing = next((shared_data / "coco_mini").rglob("*instances*.json"))
    reference = COCO(str(listing))
    categories = reference.loadCats(reference.getCatIds())
    classes = Vocabulary(tuple(c["name"] for c in categories), tuple(c["id"] for c in categories))
    for number in reference.getImgIds()[:8]:
        image = reference.loadImgs(number)[0]
        annotations = reference.loadAnns(reference.getAnnIds(number))
        scene = Scene.from_coco(annotations, (image["height"], image["width"]), classes)
        assert scene.masks is not None
        wanted = np.stack([reference.annToMask(a) for a in annotations]).astype(bool)
        assert np.array_equal(scene.masks.dense().numpy(), wanted)
        assert scene.names() == [reference.loadCats(a["category_id"])[0]["name"] for a in annotations]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"category_id": 4}, "class id 4 is not in the vocabulary"),
        ({"bbox": [1, 2, 3]}, "not as COCO has it"),
        ({"bbox": "here"}, "not as COCO has it"),
    ],
)
def test_broken_coco_says_so(change: dict[str, Any], reason: str) -> None:
    annotation = {"category_id": 3, "bbox": [0, 0, 2, 2], **change}
    with pytest.raises(AnnotationError, match=reason):
        Scene.from_coco([annotation], (5, 5), OBJECTS)


def test_supervision_gets_its_names() -> None:
    scene = example(3)
    arguments = scene.to_supervision()
    assert arguments["xyxy"].shape == (len(scene), 4)
    assert arguments["xyxy"].tolist() == scene.boxes.tolist()
    assert np.array_equal(arguments["mask"], scene.masks.dense().numpy())
    assert arguments["confidence"].dtype == np.float32
    assert arguments["confidence"].tolist() == scene.scores.tolist()
    assert arguments["class_id"].tolist() == scene.labels.tolist()
    assert arguments["data"]["class_name"] == scene.names()
    assert arguments["tracker_id"].tolist() == list(range(len(scene)))
    assert Scene((4, 4)).to_supervision()["xyxy"].shape == (0, 4)


@settings(max_examples=40)
@given(seeds, seeds)
def test_keep_selects_every_field(seed: int, choice: int) -> None:
    scene = example(seed)
    chosen = torch.from_numpy(np.random.default_rng(choice).permutation(len(scene))[:3].copy())
    kept = scene.keep(chosen)
    for name in ("boxes", "labels", "scores", "crowd", "area", "keypoints", "tracks"):
        assert torch.equal(getattr(kept, name), getattr(scene, name)[chosen])
    assert kept.masks is not None
    assert scene.masks is not None
    assert torch.equal(kept.masks.dense(), scene.masks.dense()[chosen])
    assert len(kept) == len(chosen)


def test_merge_joins_instances_and_unites_vocabularies() -> None:
    dense = torch.zeros(1, 6, 6, dtype=torch.bool)
    dense[0, 2, 3] = True
    one = Scene(
        (6, 6),
        boxes=torch.tensor([[0.0, 0, 1, 1]]),
        labels=torch.tensor([1]),
        object_classes=Vocabulary(("a", "b")),
        captions=("old",),
    )
    two = Scene(
        (6, 6),
        boxes=torch.tensor([[3.0, 2, 4, 3]]),
        labels=torch.tensor([0]),
        weak=torch.tensor([True]),
        masks=Masks.from_dense(dense),
        object_classes=Vocabulary(("c",)),
        captions=("new",),
    )
    both = one.merge(two)
    assert both.names() == ["b", "c"]
    assert both.weak.tolist() == [False, True]  # type: ignore[union-attr]
    assert both.masks.area().tolist() == [0, 1]  # type: ignore[union-attr]
    assert both.captions == ("new",)
    assert Scene((6, 6)).merge(two).names() == two.merge(Scene((6, 6))).names() == ["c"]


@pytest.mark.parametrize(
    "fields",
    [
        {"boxes": torch.zeros(2, 5)},
        {"boxes": torch.zeros(2, 4), "labels": torch.zeros(3, dtype=torch.int64)},
        {"boxes": torch.zeros(2, 4), "scores": torch.zeros(2, 1)},
        {"regions": torch.zeros(4, 5, dtype=torch.int64)},
        {"flow": torch.zeros(4, 4, 2)},
        {"boxes": torch.zeros(2, 4), "masks": Masks.blank(1, (4, 4))},
        {"boxes": torch.zeros(1, 4), "masks": Masks.blank(1, (5, 4))},
    ],
)
def test_wrong_shapes_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(AnnotationError):
        Scene((4, 4), **fields)


def test_vocabulary_maps_names_and_numbers_both_ways() -> None:
    for label, name in enumerate(OBJECTS):
        assert OBJECTS.index(name) == label
        assert OBJECTS.from_id(OBJECTS.to_id(label)) == label
    assert "owl" in OBJECTS
    assert "cow" not in OBJECTS
    assert Vocabulary.union([OBJECTS, Vocabulary(("cow", "cat"))]).names == ("cat", "dog", "owl", "cow")


@pytest.mark.parametrize("wrong", [(("a", "a"), ()), (("a", "b"), (1, 1)), (("a", "b"), (1,))])
def test_vocabulary_refuses_doubles(wrong: tuple[tuple[str, ...], tuple[int, ...]]) -> None:
    with pytest.raises(AnnotationError):
        Vocabulary(*wrong)


def test_unknown_names_and_numbers_say_what_there_is() -> None:
    with pytest.raises(AnnotationError, match="cat, dog, owl"):
        OBJECTS.index("cow")
    with pytest.raises(AnnotationError, match="id 5"):
        OBJECTS.from_id(5)
