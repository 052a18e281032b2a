"""Every row of the table of fields, whichever there are: in JSON, selected, joined, moved, explained."""

import base64
import json
import re
import struct
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_examples import OBJECTS, POINTS, REGIONS, assert_same

from allsight.errors import AnnotationError
from allsight.scene import Masks, Scene, Trust, Vocabulary
from allsight.scene.fields import ROWS

SIZE, COUNT = (4, 6), 3
CLASSES = {
    "object_classes": OBJECTS,
    "region_classes": REGIONS,
    "keypoint_classes": POINTS,
    "tag_classes": Vocabulary(("in", "out", "up")),
}
NO_TENSORS = {
    "trust": Trust(True, 0.25, torch.tensor([True, False, True]), torch.tensor([0.5, 2.0, 0.125])),
    "masks": Masks.from_dense(torch.ones(COUNT, *SIZE, dtype=torch.bool).tril(1)),
    "segments": ({"id": 1, "label": 2, "thing": True, "crowd": False, "score": 0.5, "object": "owl"},),
    "captions": ("a cat", "ein K\u00e4uzchen"),
}
# Written with another, or shorter than they are: what JSON says of them is tested by hand.
WITH_OTHERS = ("segments", "region_scores")


def value_of(name: str, seed: int = 0) -> Any:
    """Return a value as a row asks for, of three objects or for every pixel."""
    row, numbers = ROWS[name], np.random.default_rng(seed)
    if row.shape is None:
        return NO_TENSORS[name]
    sides = {"height": SIZE[0], "width": SIZE[1], None: 3}
    shape = [side if isinstance(side, int) else sides[side] for side in row.shape]
    if row.dtype == torch.float32:
        return torch.from_numpy(numbers.integers(2, 64, shape) / 64).float()
    return torch.from_numpy(numbers.integers(0, 2 if row.dtype == torch.bool else 3, shape)).to(row.dtype)


def scene_with(*names: str, seed: int = 0) -> Scene:
    boxes = torch.tensor([[0.0, 0, 2, 2], [1, 1, 5, 3], [2, 0, 6, 4]])
    return Scene(SIZE, **({"boxes": boxes} | {name: value_of(name, seed) for name in names}), **CLASSES)


@pytest.mark.parametrize("name", [name for name in ROWS if name not in WITH_OTHERS])
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_field_comes_back_from_json_by_itself(name: str, seed: int) -> None:
    scene = scene_with(name, seed=seed)
    back = Scene.from_json(json.loads(json.dumps(scene.to_json(), allow_nan=False)), **CLASSES)
    if name == "trust":
        assert torch.equal(back.trust.known, scene.trust.known)
        assert torch.equal(back.trust.distances, scene.trust.distances)
        back, scene = back.with_(trust=None), scene.with_(trust=None)
    # Boxes and keypoints have two digits and areas three; all others here are sixty-fourths, which four tell apart.
    tolerance = {"boxes": 0.0051, "keypoints": 0.0051, "area": 0.00051}.get(name, 5.1e-5)
    assert_same(scene.with_(labels=back.labels), back, tolerance)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.shape is not None])
def test_what_is_not_said_stays_unsaid(name: str) -> None:
    value = json.loads(json.dumps(scene_with().to_json()))
    assert name == "boxes" or getattr(Scene.from_json(value, **CLASSES), name) is None


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.per == "instance" and row.shape])
def test_every_instance_field_is_selected_and_joined(name: str) -> None:
    scene = scene_with(name, "labels")
    value = getattr(scene, name)
    assert torch.equal(getattr(scene.keep(torch.tensor([2, 0])), name), value[[2, 0]])
    both = scene.merge(scene_with(name, "labels", seed=1))
    assert torch.equal(getattr(both, name), torch.cat([value, getattr(scene_with(name, "labels", seed=1), name)]))
    half = scene.merge(scene_with("labels"))
    if name in ("boxes", "labels"):
        assert len(getattr(half, name)) == 2 * COUNT
    elif name in ("crowd", "difficult", "weak"):
        assert getattr(half, name).tolist() == [*value.tolist(), False, False, False]
    else:
        assert getattr(half, name) is None


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.per == "pixel"])
def test_every_dense_field_is_cut_with_the_picture(name: str) -> None:
    scene = scene_with(name)
    value = getattr(scene, name)
    cut = getattr(scene.crop(1, 2, 2, 3), name)
    wanted = value[..., 2:4, 1:4]
    if name == "normals":
        wanted = wanted / wanted.norm(dim=0)
    torch.testing.assert_close(cut, wanted)
    beyond = getattr(scene.crop(20, 20, 2, 2), name)
    assert beyond.unique().tolist() == [255 if name == "regions" else 0]


def test_fields_of_the_whole_picture_do_not_move() -> None:
    scene = scene_with("tags", "embedding", "captions", "segments")
    moved = scene.crop(1, 1, 2, 2).flip()
    for name in ("tags", "embedding", "captions", "segments"):
        assert getattr(moved, name) is getattr(scene, name)


@pytest.mark.parametrize(
    ("value", "kind", "code"), [(0.5, "float16", "<e"), (0.1, "float32", "<f"), (7e4, "float32", "<f")]
)
def test_arrays_are_as_short_as_loses_nothing(value: float, kind: str, code: str) -> None:
    entry = Scene((1, 2), depth=torch.tensor([[value, 1.0]])).to_json()["depth"]
    assert (entry["type"], entry["shape"]) == (kind, [1, 2])
    assert base64.b64decode(entry["data"]) == struct.pack(f"{code}{code[1]}", value, 1.0)
    back = Scene.from_json({"size": [1, 2], "depth": entry}).depth
    assert back.tolist() == torch.tensor([[value, 1.0]]).tolist()


def test_depth_that_is_not_known_comes_back_so() -> None:
    scene = Scene((1, 2), depth=torch.tensor([[torch.nan, 2.5]]))
    back = Scene.from_json(json.loads(json.dumps(scene.to_json(), allow_nan=False)))
    torch.testing.assert_close(back.depth, scene.depth, equal_nan=True, rtol=0, atol=0)


def test_an_array_of_another_size_is_refused() -> None:
    value = Scene((1, 2), depth=torch.ones(1, 2)).to_json() | {"size": [2, 2]}
    with pytest.raises(AnnotationError, match="depth has shape"):
        Scene.from_json(value)


def test_numbers_of_a_panoptic_map_without_segments_are_kept() -> None:
    panoptic = torch.tensor([[0, 70_001, 5], [5, 5, 70_001]])
    value = json.loads(json.dumps(Scene((2, 3), panoptic=panoptic).to_json()))
    assert torch.equal(Scene.from_json(value).panoptic, panoptic)


def test_instances_that_do_not_fit_together_are_not_joined() -> None:
    one, two = (scene_with().with_(keypoints=torch.ones(COUNT, points, 3)) for points in (3, 5))
    with pytest.raises(AnnotationError, match=r"keypoints of shape \(3, 3\) and \(5, 3\)"):
        one.merge(two)


def test_a_class_that_stands_twice_is_refused() -> None:
    twice = [{"label": "a", "score": 0.5}, {"label": "a", "score": 0.25}]
    with pytest.raises(AnnotationError, match="'a' stands twice"):
        Scene.from_json({"size": [2, 2], "tags": twice})


def test_every_field_is_explained() -> None:
    explained = set(re.findall(r"\w+", Scene.__doc__ or ""))
    assert {field.name for field in fields(Scene)} <= explained
    keys = set()
    for name in ROWS:
        value = scene_with(name, *(["panoptic"] if name == "segments" else [])).to_json()
        keys |= set(value).union(*value["objects"])
    page = (Path(__file__).parents[2] / "docs" / "json.md").read_text("utf-8")
    meanings, schema = page.split("## The schema")
    assert keys <= set(re.findall(r"`(\w+)`", meanings))
    assert keys <= set(re.findall(r'"(\w+)": \{', schema)) | {"path", "size"}
