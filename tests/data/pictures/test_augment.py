"""Picture and scene go through one map: what is painted in a box stays in the box."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from torch import Tensor

from allsight.data.pictures.augment import DETECTION_PARTS, Augmentation, join_scenes
from allsight.data.pictures.colour import ColourJitter
from allsight.data.pictures.geometry import Affine, Crop, Flip, Part, QuarterTurn, Scale, View
from allsight.data.pictures.loading import Sample
from allsight.data.pictures.warp import move_scene, warp
from allsight.machine.randomness import generator
from allsight.scene import Frame, Masks, Scene, Vocabulary
from allsight.scene.geometry import scaling, translation

RED, GREY = (255, 0, 0), (90, 90, 90)


def painted(box: tuple[int, int, int, int], size: tuple[int, int] = (90, 120)) -> Sample:
    """A grey picture with one red rectangle, and the scene that says so in every way."""
    picture = torch.tensor(GREY, dtype=torch.uint8)[:, None, None].repeat(1, *size)
    x1, y1, x2, y2 = box
    picture[:, y1:y2, x1:x2] = torch.tensor(RED, dtype=torch.uint8)[:, None, None]
    red = picture[0] == 255
    scene = Scene(
        size,
        boxes=torch.tensor([box]).float(),
        labels=torch.tensor([0]),
        masks=Masks.from_dense(red[None]),
        regions=red.long(),
        object_classes=Vocabulary(("red",)),
    )
    return Sample(picture, scene, "painted", Frame.whole(size))


def red_box(picture: Tensor) -> list[float]:
    """The tight box around what is more red than grey."""
    y, x = torch.nonzero((picture[0].int() - picture[1].int()) > 127, as_tuple=True)
    return [float(x.min()), float(y.min()), float(x.max()) + 1, float(y.max()) + 1]


def nobody() -> Sample:
    raise AssertionError("only a mosaic draws other samples")


geometric = st.sampled_from(
    [
        (Flip(1.0), Scale(1, 1), Crop()),
        (Scale(0.5, 0.9), Crop()),
        (Flip(), QuarterTurn(), Scale(0.8, 1.5), Crop()),
        (Flip(), Scale(1.0, 2.0), Crop()),
        (Flip(), Affine(8, 5, 1.0), Scale(0.7, 1.5), Crop()),
        DETECTION_PARTS,
    ]
)


@given(
    st.integers(20, 60), st.integers(20, 50), st.integers(12, 50), st.integers(12, 40), geometric, st.integers(0, 999)
)
@settings(max_examples=60, deadline=None)
def test_picture_boxes_masks_and_regions_agree(
    x: int, y: int, width: int, height: int, parts: tuple[Part, ...], seed: int
) -> None:
    sample = painted((x, y, x + width, y + height))
    result = Augmentation((96, 96), parts, colour=None, min_visible=0)(sample, nobody, generator(seed, 0, 0))
    assert result.picture.shape == (3, 96, 96)
    assert result.scene.size == (96, 96)
    assert result.scene.boxes is not None
    assert len(result.scene.boxes) == 1
    if red_box_exists(result.picture):
        assert red_box(result.picture) == pytest.approx(result.scene.boxes[0].tolist(), abs=1.6)
    red = (result.picture[0].int() - result.picture[1].int()) > 127
    assert result.scene.masks is not None
    assert result.scene.regions is not None
    edge = 2 * 2 * (96 + 96)
    assert int((result.scene.masks.dense()[0] != red).sum()) < edge
    assert int(((result.scene.regions == 1) != red).sum()) < edge


def red_box_exists(picture: Tensor) -> bool:
    return bool(((picture[0].int() - picture[1].int()) > 127).any())


def test_convention_flip_and_whole_shift_are_exact() -> None:
    picture = torch.randint(0, 256, (3, 20, 30), dtype=torch.uint8)
    mirror = translation(30, 0) @ scaling(-1, 1)
    assert torch.equal(warp(picture, mirror, (20, 30)), picture.flip(2))
    shifted = warp(picture, translation(-3, 4), (20, 30), fill=(1, 2, 3))
    assert torch.equal(shifted[:, 4:, :27], picture[:, :16, 3:])
    assert shifted[:, 0, 0].tolist() == [1, 2, 3]
    assert shifted[:, 19, 29].tolist() == [1, 2, 3]
    assert (warp(picture, translation(100, 0), (20, 30), fill=(9, 9, 9)) == 9).all()


def test_convention_both_ways_of_warping_agree() -> None:
    """A turn of nearly nothing takes the sampling way; it must land on the pixels of the copying way."""
    picture = torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8)
    nudge = torch.eye(3, dtype=torch.float64)
    nudge[0, 1] = 1e-9
    matrix = translation(5, -2) @ scaling(-1, 1) @ translation(-50, 0)
    assert torch.equal(warp(picture, matrix @ nudge, (40, 40)), warp(picture, matrix, (40, 40)))
    half = scaling(0.5, 0.5)
    difference = warp(picture, half @ nudge, (20, 25)).int() - warp(picture, half, (20, 25)).int()
    assert difference.abs().max() <= 1


def test_quarter_turns_are_exact_and_all_eight_ways_occur() -> None:
    sample = Sample(torch.arange(3 * 4 * 6, dtype=torch.uint8).reshape(3, 4, 6), Scene((4, 6)), "", Frame.whole((4, 6)))
    seen = set()
    for seed in range(60):
        view = View(torch.eye(3, dtype=torch.float64), (4, 6), (4, 6))
        random = generator(seed)
        for part in (Flip(), QuarterTurn()):
            view = part(view, sample.scene, random)
        seen.add(tuple(warp(sample.picture, view.matrix, view.size).flatten().tolist()))
    ways = [sample.picture, sample.picture.flip(2)]
    assert seen == {tuple(way.rot90(k, (1, 2)).flatten().tolist()) for way in ways for k in range(4)}


def test_rotation_agrees_with_pillow() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)
    picture = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
    angle = math.radians(20)
    turn = torch.eye(3, dtype=torch.float64)
    turn[0, 0] = turn[1, 1] = math.cos(angle)
    turn[0, 1], turn[1, 0] = math.sin(angle), -math.sin(angle)  # counter-clockwise as Pillow turns; y points down
    matrix = translation(32, 32) @ turn @ translation(-32, -32)
    truth = np.asarray(image.rotate(20, Image.Resampling.BILINEAR)).transpose(2, 0, 1).astype(int)
    inside = slice(14, 50)
    difference = warp(picture, matrix, (64, 64)).numpy().astype(int) - truth
    assert np.abs(difference[:, inside, inside]).max() <= 2


def test_mirrored_keypoints_change_sides() -> None:
    points = torch.tensor([[[10.0, 5, 2], [20, 5, 2]]])
    scene = Scene((30, 40), keypoints=points, keypoint_classes=Vocabulary(("left_eye", "right_eye")))
    moved = move_scene(scene, translation(40, 0) @ scaling(-1, 1), (30, 40), 0)
    assert moved.keypoints is not None
    assert moved.keypoints[0].tolist() == [[20, 5, 2], [30, 5, 2]]


@given(st.integers(0, 10_000), st.integers(0, 100), st.integers(0, 70))
@settings(max_examples=60, deadline=None)
def test_crop_keeps_an_object(seed: int, x: int, y: int) -> None:
    sample = painted((x, y, x + 15, y + 15))
    result = Augmentation((64, 64), (Scale(1.5, 3), Crop(0.5)), colour=None)(sample, nobody, generator(seed, 0, 0))
    assert len(result.scene) == 1
    assert red_box_exists(result.picture)


def test_objects_of_which_too_little_is_left_are_dropped() -> None:
    sample = painted((0, 0, 20, 20))
    view = translation(-15, 0)
    assert len(move_scene(sample.scene, view, (90, 120), 0.2)) == 1
    assert len(move_scene(sample.scene, view, (90, 120), 0.3)) == 0


def test_parts_end_at_the_window() -> None:
    view = View(torch.eye(3, dtype=torch.float64), (90, 120), (64, 32))
    scene = Scene((90, 120))
    assert Scale(1, 1)(view, scene, generator(0, 0, 0)).size == (24, 32)
    places = []
    for seed in range(400):
        small = View(view.matrix, (40, 20), view.window)
        cut = Crop()(small, scene, generator(seed, 0, 0))
        assert cut.size == view.window
        places.append(cut.matrix[:2, 2].tolist())
    # What is smaller than the window lies wherever there is room, and nowhere else.
    assert [set(side) for side in zip(*places, strict=True)] == [set(range(13)), set(range(25))]


def test_the_same_seed_gives_the_same_sample_and_another_does_not() -> None:
    augmentation = Augmentation((64, 64), mosaic=0.5)
    sample = painted((10, 10, 60, 60))

    def run(epoch: int, index: int) -> Sample:
        torch.manual_seed(int(torch.randint(1000, ())))  # the global generator must not matter
        return augmentation(sample, lambda: painted((20, 20, 50, 50)), generator(7, epoch, index))

    for key in ((0, 0), (0, 1), (3, 2)):
        one, two = run(*key), run(*key)
        assert torch.equal(one.picture, two.picture)
        assert torch.equal(one.scene.boxes, two.scene.boxes)
    assert not torch.equal(run(0, 0).picture, run(1, 0).picture)
    assert not torch.equal(run(0, 0).picture, run(0, 1).picture)


def test_mosaic_paints_what_its_scene_says() -> None:
    for seed in range(10):
        augmentation = Augmentation((128, 128), colour=None, mosaic=1.0, min_visible=0)
        result = augmentation(painted((30, 20, 90, 70)), lambda: painted((40, 30, 80, 60)), generator(seed, 0, 0))
        red = (result.picture[0].int() - result.picture[1].int()) > 127
        scene = result.scene
        assert len(scene) == 4
        assert scene.masks is not None
        assert scene.regions is not None
        assert int((scene.masks.dense().any(0) != red).sum()) < 400
        assert int(((scene.regions == 1) != red).sum()) < 400
        for box in scene.boxes.round().long().tolist():
            inside = red[box[1] : box[3], box[0] : box[2]]
            assert inside.numel() == 0 or inside.float().mean() > 0.8


def test_join_scenes_leaves_out_what_one_has_not() -> None:
    whole = painted((1, 1, 9, 9)).scene
    joined = join_scenes([whole, whole.with_(masks=None)])
    assert joined.masks is None
    assert len(joined.boxes) == 2


def enhanced(picture: Tensor, kind: type, factor: float) -> np.ndarray:
    image = Image.fromarray(picture.permute(1, 2, 0).numpy())
    return np.asarray(kind(image).enhance(factor)).transpose(2, 0, 1).astype(int)


@pytest.mark.parametrize(
    ("jitter", "kind"),
    [
        (ColourJitter(0.4, 0, 0, 0), ImageEnhance.Brightness),
        (ColourJitter(0, 0.4, 0, 0), ImageEnhance.Contrast),
        (ColourJitter(0, 0, 0.4, 0), ImageEnhance.Color),
    ],
)
def test_colours_agree_with_pillow(jitter: ColourJitter, kind: type) -> None:
    picture = torch.randint(0, 256, (3, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    randomness = generator(5, 0, 0)
    drawn = [float(torch.rand((), generator=randomness, dtype=torch.float64)) for _ in range(3)]
    values = (jitter.brightness, jitter.contrast, jitter.saturation)
    factor = 0.6 + 0.8 * drawn[values.index(0.4)]
    difference = jitter(picture, generator(5, 0, 0)).numpy().astype(int) - enhanced(picture, kind, factor)
    assert np.abs(difference).max() <= 2


def test_hue_turns_keep_grey_and_brightness() -> None:
    grey = torch.full((3, 4, 4), 77, dtype=torch.uint8)
    for seed in range(5):
        assert torch.equal(ColourJitter(0, 0, 0, 0.5)(grey, generator(seed, 0, 0)), grey)
    assert torch.equal(ColourJitter(0, 0, 0, 0)(grey * 2, generator(0, 0, 0)), grey * 2)


def test_float_free_output() -> None:
    result = Augmentation((32, 32))(painted((10, 10, 60, 60)), nobody, generator(0, 0, 0))
    assert result.picture.dtype == torch.uint8
    assert result.frame == Frame.whole((32, 32))
