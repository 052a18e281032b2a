"""Geometry of whole scenes against slices, slow twins and properties."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scene_examples import assert_same, example
from torch import Tensor
from torch.nn.functional import interpolate

from allsight.scene import Frame, Scene, Vocabulary

seeds = st.integers(0, 2**32 - 1)
small = st.integers(-5, 9)
DENSE = ("regions", "panoptic", "flow", "flow_valid", "depth", "normals")


def boxed(*boxes: tuple[float, ...], size: tuple[int, int] = (100, 200), **fields: Tensor) -> Scene:
    return Scene(size, boxes=torch.tensor(boxes).reshape(-1, 4).float(), **fields)


@settings(max_examples=40)
@given(seeds, st.booleans())
def test_flip_twice_changes_nothing(seed: int, horizontal: bool) -> None:
    scene = example(seed)
    assert_same(scene, scene.flip(horizontal=horizontal).flip(horizontal=horizontal))


@settings(max_examples=40)
@given(seeds)
def test_flip_is_that_of_the_picture(seed: int) -> None:
    scene = example(seed)
    flipped = scene.flip()
    assert scene.masks is not None
    assert flipped.masks is not None
    assert torch.equal(flipped.masks.dense(), scene.masks.dense().flip(-1))
    assert torch.equal(flipped.boxes, flipped.masks.boxes())  # type: ignore[arg-type]
    for name in ("regions", "panoptic", "flow_valid", "depth"):
        assert torch.equal(getattr(flipped, name), getattr(scene, name).flip(-1))


def test_convention_flip_of_boxes() -> None:
    flipped = boxed((10, 20, 50, 60)).flip()
    assert flipped.boxes is not None
    assert flipped.boxes.tolist() == [[150, 20, 190, 60]]
    down = boxed((10, 20, 50, 60)).flip(horizontal=False)
    assert down.boxes is not None
    assert down.boxes.tolist() == [[10, 40, 50, 80]]


def test_convention_flow_has_x_first_and_turns_along() -> None:
    flow = torch.zeros(2, 4, 6)
    flow[0], flow[1] = 3, 1
    scene = Scene((4, 6), flow=flow)
    for moved, wanted in (
        (scene.flip(), [-3, 1]),
        (scene.flip(horizontal=False), [3, -1]),
        (scene.resize(8, 18), [9, 2]),
        (scene.crop(1, 1, 3, 3), [3, 1]),
    ):
        assert moved.flow is not None
        assert moved.flow[:, 1, 1].tolist() == pytest.approx(wanted)


def test_normals_are_mirrored_but_not_tilted_by_scale() -> None:
    normals = torch.tensor([0.6, 0.0, 0.8])[:, None, None].expand(3, 4, 4)
    scene = Scene((4, 4), normals=normals)
    for moved, wanted in ((scene.flip(), [-0.6, 0, 0.8]), (scene.resize(8, 8), [0.6, 0, 0.8])):
        assert moved.normals is not None
        assert moved.normals[:, 1, 1].tolist() == pytest.approx(wanted)


@settings(max_examples=40)
@given(seeds, small, small, st.integers(1, 12), st.integers(1, 12))
def test_crop_is_a_slice(seed: int, left: int, top: int, height: int, width: int) -> None:
    scene = example(seed)
    cut = scene.crop(left, top, height, width)
    masks = torch.zeros((len(scene), height, width), dtype=torch.bool)
    y1, y2 = max(top, 0), min(top + height, scene.size[0])
    x1, x2 = max(left, 0), min(left + width, scene.size[1])
    overlap = y1 < y2 and x1 < x2
    inside = (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))
    assert scene.masks is not None
    assert cut.masks is not None
    assert cut.tracks is not None
    if overlap:
        masks[(slice(None), *inside)] = scene.masks.dense()[:, y1:y2, x1:x2]
    assert torch.equal(cut.masks.dense(), masks[cut.tracks])
    for name in DENSE:
        before, after = getattr(scene, name), getattr(cut, name)
        wanted = torch.full((*before.shape[:-2], height, width), 255 if name == "regions" else 0, dtype=before.dtype)
        if overlap:
            wanted[(..., *inside)] = before[..., y1:y2, x1:x2]
        torch.testing.assert_close(after, wanted, atol=1e-6, rtol=0)
    offset = torch.tensor([left, top] * 2)
    limit = torch.tensor([width, height] * 2)
    whole = (scene.boxes - offset).clamp_min(0).minimum(limit)  # type: ignore[operator]
    kept = ((whole[:, 2] > whole[:, 0]) & (whole[:, 3] > whole[:, 1])).nonzero()[:, 0]
    assert cut.tracks.tolist() == kept.tolist()
    assert torch.equal(cut.boxes, whole[kept])  # type: ignore[arg-type]


@settings(max_examples=40)
@given(seeds, st.floats(-3.2, 3.2), st.floats(0.5, 2))
def test_boxes_hold_their_masks_and_their_picture(seed: int, turn: float, scale: float) -> None:
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    matrix = torch.tensor([[cos, -sin, 4.3], [sin, cos, 3.1]], dtype=torch.float64)
    moved = example(seed).affine(matrix, (12, 15))
    assert moved.masks is not None
    assert moved.boxes is not None
    inner = moved.masks.boxes()
    covered = inner[:, 2] > inner[:, 0]
    # Upright boxes move exactly, masks to the nearest pixel.
    assert (moved.boxes[covered, :2] <= inner[covered, :2] + 0.501).all()
    assert (moved.boxes[covered, 2:] >= inner[covered, 2:] - 0.501).all()
    assert (moved.boxes >= 0).all()
    assert (moved.boxes <= torch.tensor([15, 12, 15, 12])).all()


@settings(max_examples=40)
@given(seeds, st.integers(1, 20), st.integers(1, 20))
def test_convention_resize_does_not_align_corners(seed: int, height: int, width: int) -> None:
    scene = example(seed)
    resized = scene.resize(height, width)
    sources = [(torch.arange(new) + 0.5) * old / new for new, old in zip((height, width), scene.size, strict=True)]
    clear = [(source - source.round()).abs() > 1e-6 for source in sources]  # ties round either way
    for name in ("regions", "depth"):
        before = getattr(scene, name)[None, None].double()
        wanted = interpolate(before, (height, width), mode="nearest-exact")[0, 0]
        same = getattr(resized, name).double() == wanted
        assert same[clear[0]][:, clear[1]].all()
    factors = torch.tensor([width / scene.size[1], height / scene.size[0]] * 2)
    torch.testing.assert_close(resized.boxes, scene.boxes * factors, atol=1e-4, rtol=0)  # type: ignore[operator]


def test_convention_whole_factor_resize_repeats_pixels() -> None:
    regions = torch.arange(6).reshape(2, 3)
    doubled = Scene((2, 3), regions=regions).resize(4, 6).regions
    assert torch.equal(doubled, regions.repeat_interleave(2, 0).repeat_interleave(2, 1))  # type: ignore[arg-type]


@settings(max_examples=40)
@given(seeds)
def test_turning_four_times_by_a_right_angle_changes_nothing(seed: int) -> None:
    scene = example(seed)
    turned = scene
    for _ in range(4):
        matrix = torch.tensor([[0, -1, turned.size[0]], [1, 0, 0]], dtype=torch.float64)
        turned = turned.affine(matrix, turned.size[::-1])
    assert_same(scene, turned)


def test_keypoints_change_sides_when_mirrored() -> None:
    points = torch.tensor([[[10.0, 5, 2], [20, 6, 1], [30, 7, 2]]])
    names = Vocabulary(("nose", "left_eye", "right_eye"))
    scene = boxed((0, 0, 50, 50), keypoints=points).with_(keypoint_classes=names)
    assert scene.flip().keypoints.tolist() == [[[190, 5, 2], [170, 7, 2], [180, 6, 1]]]  # type: ignore[union-attr]
    assert scene.flip(horizontal=False).keypoints[0, :, 0].tolist() == [10, 20, 30]  # type: ignore[index]


def test_keypoints_outside_the_picture_are_no_longer_labelled() -> None:
    points = torch.tensor([[[10.0, 5, 2], [90, 5, 2], [0, 0, 0]]])
    cut = boxed((0, 0, 100, 50), keypoints=points).crop(5, 0, 50, 50)
    assert cut.keypoints.tolist() == [[[5, 5, 2], [0, 0, 0], [0, 0, 0]]]  # type: ignore[union-attr]


def test_objects_of_which_too_little_is_left_go() -> None:
    scene = boxed((0, 0, 10, 10), (8, 0, 18, 10), (50, 50, 60, 60), labels=torch.tensor([0, 1, 2]))
    cut = scene.crop(9, 0, 20, 20, min_visible=0.2)
    assert cut.labels.tolist() == [1]  # type: ignore[union-attr]
    assert scene.crop(9, 0, 20, 20).labels.tolist() == [0, 1]  # type: ignore[union-attr]


def test_area_follows_the_picture() -> None:
    scene = boxed((10, 10, 30, 30), area=torch.tensor([300.0]))
    assert scene.resize(50, 400).area.tolist() == [300.0]  # type: ignore[union-attr]
    assert scene.resize(200, 400).area.tolist() == [1200.0]  # type: ignore[union-attr]
    assert scene.crop(20, 0, 100, 100).area.tolist() == [150.0]  # type: ignore[union-attr]


def test_degenerate_boxes_are_left_to_the_doctor() -> None:
    scene = boxed((10, 10, 10, 30), (5, 5, 40, 40))
    assert len(scene.flip()) == len(scene.resize(50, 100)) == 2


def test_not_annotated_stays_so_and_empty_stays_empty() -> None:
    unknown, empty = Scene((10, 20)), boxed(size=(10, 20))
    for change in (Scene.flip, lambda s: s.crop(2, 2, 5, 5), lambda s: s.resize(20, 20)):
        assert change(unknown).boxes is None
        assert change(empty).boxes.shape == (0, 4)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([64, 320, 512]))
def test_frame_leads_to_the_model_and_back(height: int, width: int, longest: int) -> None:
    frame = Frame.fit((height, width), longest)
    assert max(frame.resized) == longest
    assert all(p % 32 == 0 and 0 <= p - r < 32 for p, r in zip(frame.padded, frame.resized, strict=True))
    scene = boxed((0, 0, width, height), (width / 4, height / 4, width / 2, height / 2), size=(height, width))
    there = frame.to_model(scene)
    assert there.size == frame.padded
    assert there.boxes is not None
    torch.testing.assert_close(there.boxes[0, 2:], torch.tensor(frame.resized[::-1]).float(), atol=1e-3, rtol=1e-5)
    assert_same(scene, frame.to_original(there), tolerance=max(height, width) * 1e-5)
