"""Made pictures: exact, reproducible, without overlap."""

import pytest
import torch

from allsight.data.doctor import check
from allsight.data.made.shapes import SHAPE_CLASSES, made_scenes
from allsight.data.pictures.loading import TrainingSet
from allsight.ops.boxes import pairwise_iou


def test_a_picture_depends_on_seed_and_index_alone():
    long, short, other = made_scenes(6, seed=3), made_scenes(2, seed=3), made_scenes(2, seed=4)
    for one, two in zip(long, short, strict=False):
        assert torch.equal(one.picture(), two.picture())
        assert torch.equal(one.scene.boxes, two.scene.boxes)
    assert not torch.equal(short[0].picture(), other[0].picture())
    assert not torch.equal(short[0].picture(), short[1].picture())


def test_making_them_leaves_torchs_own_generator_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    made_scenes(2)
    assert torch.equal(torch.rand(3), expected)


def test_boxes_are_exactly_around_the_masks_and_inside_the_picture():
    for example in made_scenes(40, seed=1, size=(48, 80), objects=(0, 4)):
        scene = example.scene
        assert example.picture().shape == (3, 48, 80)
        assert example.picture().dtype == torch.uint8
        for box, mask in zip(scene.boxes.tolist(), scene.masks.dense(), strict=True):
            y, x = mask.nonzero(as_tuple=True)
            assert box == [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]
        assert (scene.masks.dense().sum(0) <= 1).all()
        overlap = pairwise_iou(scene.boxes, scene.boxes).fill_diagonal_(0)
        assert not overlap.any()


def test_numbers_and_sides_are_within_what_was_asked_for():
    made = made_scenes(60, seed=2, objects=(0, 3), sides=(10, 12))
    counts = {len(example.scene) for example in made}
    assert counts == {0, 1, 2, 3}
    sides = torch.cat([e.scene.boxes[:, 2:] - e.scene.boxes[:, :2] for e in made])
    assert float(sides.max()) <= 12
    assert float(sides.min()) >= 8  # the tip of a triangle may lie between two pixels
    labels = torch.cat([e.scene.labels for e in made])
    assert set(labels.tolist()) == set(range(len(SHAPE_CLASSES)))


def test_shapes_cover_the_share_of_their_box_that_geometry_says():
    shares = {"square": 1.0, "disc": torch.pi / 4, "triangle": 0.5, "cross": 5 / 9}
    made = made_scenes(60, seed=0, size=(128, 128), sides=(90, 90))
    found = {name: [] for name in shares}
    for example in made:
        found[example.scene.names()[0]].append(float(example.scene.masks.area()) / 90**2)
    for name, share in shares.items():
        assert found[name] == pytest.approx([share] * len(found[name]), abs=0.02)


def test_mirror_images_are_exact():
    for example in made_scenes(10, seed=7, objects=(2, 2), mirrored=True):
        scene, picture = example.scene, example.picture()
        half = len(scene) // 2
        assert (scene.boxes[:half, 2] <= 32).all()
        torch.testing.assert_close(
            scene.boxes[half:, [2, 1, 0, 3]] * torch.tensor([-1.0, 1, -1, 1]) + torch.tensor([64.0, 0, 64, 0]),
            scene.boxes[:half],
        )
        assert torch.equal(scene.labels[:half], scene.labels[half:])
        covered = scene.masks.dense().any(0)
        assert torch.equal(covered, covered.flip(-1))
        assert torch.equal(picture[:, covered], picture.flip(-1)[:, covered])


def test_shapes_stand_out_from_the_ground():
    for example in made_scenes(20, seed=9):
        picture, covered = example.picture().float(), example.scene.masks.dense().any(0)
        saturation = picture.amax(0) - picture.amin(0)
        assert saturation[covered].mean() > 3 * saturation[~covered].mean()


def test_no_room_and_no_pictures():
    assert all(len(example.scene) == 0 for example in made_scenes(3, size=(16, 16), sides=(20, 20)))
    crowded = made_scenes(5, size=(32, 32), objects=(9, 9), sides=(16, 16))
    assert all(1 <= len(example.scene) <= 4 for example in crowded)
    assert len(made_scenes(0)) == 0


def test_the_house_takes_them_as_any_data_set():
    made = made_scenes(8, objects=(1, 2))
    report = check({"train": made})
    assert not report.fatal
    sample = TrainingSet(report.datasets["train"], 64)[(0, 3)]
    assert torch.equal(sample.picture, made[3].picture())
    assert torch.equal(sample.scene.boxes, made[3].scene.boxes)
