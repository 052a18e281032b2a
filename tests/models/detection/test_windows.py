"""Every window classified: geometry, sampling and decoding against hand-made cases and brute force."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from allsight.backbones.pictures.freezing import freeze
from allsight.backbones.pictures.trunk import Stage, Trunk, initialise
from allsight.data.made.shapes import SHAPE_CLASSES, made_scenes
from allsight.data.pictures.loading import TrainingSet, collate
from allsight.hub import Spec
from allsight.metrics.coco import coco_scores
from allsight.models.detection.bootstrap import add_negatives, bootstrap, false_positives
from allsight.models.detection.windows import WindowDetector, WindowOutputs, windows
from allsight.ops.boxes import pairwise_iou
from allsight.scene import Frame, Scene, Vocabulary

CLASSES = Vocabulary(("square", "disc"))


class Patches(Trunk):
    """One unpadded convolution on patches of 8 x 8 pixels: each cell sees its own pixels and nothing else."""

    def __init__(self) -> None:
        super().__init__([Stage("c3", ("patch",), 6, 8)], mean=(127.0,) * 3, std=(64.0,) * 3)
        self.patch = nn.Conv2d(3, 6, 8, 8)


class Small(Trunk):
    """Three strided convolutions."""

    def __init__(self) -> None:
        super().__init__([Stage("c3", ("layers",), 32, 8)], mean=(127.0,) * 3, std=(64.0,) * 3)
        layers = []
        for channels, out in ((3, 16), (16, 32), (32, 32)):
            layers += [nn.Conv2d(channels, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        initialise(self)


def detector(trunk=None, **options):
    torch.manual_seed(0)
    options = {"cells": 4, "sizes": ((32, 32), (64, 32)), "hidden": 8} | options
    return windows(trunk=trunk or Patches(), classes=CLASSES, **options).eval()


def scene(boxes, labels, size=(64, 96), classes=CLASSES):
    table = torch.tensor(boxes).reshape(-1, 4).float()
    return Scene(size, boxes=table, labels=torch.tensor(labels).long(), object_classes=classes)


def test_windows_stand_one_cell_apart_in_every_size():
    outputs = detector()(torch.zeros(2, 3, 64, 96, dtype=torch.uint8))
    # 32 pixels are four cells: 8 x 12 cells. 64 x 32 pixels are four cells too: 4 x 12 cells, one row of windows.
    assert outputs.windows.shape == (5 * 9 + 1 * 9, 4)
    assert outputs.logits.shape == (2, 54, 3)
    assert outputs.windows[:2].tolist() == [[0, 0, 32, 32], [8, 0, 40, 32]]
    assert outputs.windows[9].tolist() == [0, 8, 32, 40]
    assert outputs.windows[44].tolist() == [64, 32, 96, 64]
    assert outputs.windows[45:47].tolist() == [[0, 0, 32, 64], [8, 0, 40, 64]]


def test_the_convolution_says_of_each_window_what_the_classifier_says_of_its_crop():
    system = detector(sizes=((32, 32), (16, 16)))
    pictures = torch.rand(2, 3, 64, 48)
    outputs = system(pictures)
    doubled = nn.functional.interpolate(pictures, (128, 96), mode="bilinear", antialias=True)
    for place, (x1, y1, x2, _) in enumerate(outputs.windows.tolist()):
        source, scale = (pictures, 1) if x2 - x1 == 32 else (doubled, 2)
        x, y = round(x1 * scale), round(y1 * scale)
        crop = source[:, :, y : y + 32, x : x + 32]
        alone = system.classifier(system.trunk(crop, ("c3",))["c3"]).flatten(1)
        torch.testing.assert_close(outputs.logits[:, place], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (20, 20), (8, 200)])
def test_a_picture_smaller_than_the_window_has_windows_all_the_same(size):
    outputs = detector(sizes=((32, 32),))(torch.zeros(1, 3, *size, dtype=torch.uint8))
    assert len(outputs.windows) >= 1
    assert (outputs.windows[:, 3] == size[0]).all()
    assert outputs.logits.isfinite().all()


def test_targets_are_those_of_the_brute_force_twin():
    system = detector()
    lying = system(torch.zeros(1, 3, 64, 96, dtype=torch.uint8)).windows
    truth = scene([[9, 2, 42, 30], [40, 10, 70, 62], [0, 30, 30, 60]], [1, 0, 2])  # the last one a false positive
    labels, wrong = system._targets(lying, [truth, Scene((64, 96))])
    for window, label, mistaken in zip(lying, labels[0].tolist(), wrong[0].tolist(), strict=True):
        overlap = pairwise_iou(window[None], truth.boxes)[0].tolist()
        best = max(overlap[:2])
        expected = [1, 0][overlap.index(best)] if best >= 0.6 else -1 if best < 0.4 else -2
        assert label == expected
        assert mistaken == (overlap[2] >= 0.6)
    assert (labels[1] == -2).all() and not wrong[1].any()


def crafted(count, *, objects=0, wrong=0):
    """A detector of 8 samples on a row of windows far apart, with their truth: objects, false positives, ground."""
    system = WindowDetector(trunk=Patches(), source="c3", classifier=nn.Identity(), classes=CLASSES, samples=8)
    x = torch.arange(count) * 20.0
    lying = torch.stack([x, torch.zeros(count), x + 10, torch.full((count,), 10.0)], dim=1)
    labels = [0] * objects + [2] * wrong
    return system, lying, scene(lying[: objects + wrong].tolist(), labels, (10, 20 * count))


def cost(system, lying, truth, peaks):
    """The loss where windows cost 50 times their peak, or ln 3."""
    logits = torch.zeros(1, len(lying), 3)
    for place, column in peaks:
        logits[0, place, column] = 50.0
    return float(system.criterion(WindowOutputs(logits, lying), [truth])["windows"])


def test_false_positives_are_learned_from_before_other_background():
    system, lying, truth = crafted(200, wrong=3)
    for _ in range(5):
        found = cost(system, lying, truth, [(i, 0) for i in range(3)])
        assert found == pytest.approx((3 * 50 + 5 * math.log(3)) / 8, rel=1e-4)


def test_false_positives_leave_half_of_the_background_to_chance():
    torch.manual_seed(0)
    system, lying, truth = crafted(2000, wrong=40)
    found = [cost(system, lying, truth, [(i, 0) for i in range(40)]) for _ in range(10)]
    assert min(found) == pytest.approx((4 * 50 + 4 * math.log(3)) / 8, rel=1e-4)
    assert sum(found) / 10 < (5 * 50 + 3 * math.log(3)) / 8


def test_at_most_a_quarter_are_objects():
    system, lying, truth = crafted(200, objects=30)
    found = cost(system, lying, truth, [(i, 1) for i in range(30)])
    assert found == pytest.approx((2 * 50 + 6 * math.log(3)) / 8, rel=1e-4)


@pytest.mark.parametrize(
    ("count", "objects", "expected"),
    [
        (200, 0, math.log(3)),  # no object: eight windows of background
        (3, 3, 50.0),  # no background: two objects and nothing else
        (3, 1, (50 + 2 * math.log(3)) / 3),  # fewer windows than samples
    ],
)
def test_what_is_there_is_taken_where_something_lacks(count, objects, expected):
    system, lying, truth = crafted(count, objects=objects)
    assert cost(system, lying, truth, [(i, 1) for i in range(objects)]) == pytest.approx(expected, rel=1e-4)


def test_pictures_without_annotation_cost_nothing():
    system, lying, _ = crafted(5)
    logits = torch.randn(2, 5, 3, requires_grad=True)
    loss = system.criterion(WindowOutputs(logits, lying), [Scene((10, 100))] * 2)["windows"]
    loss.backward()
    assert float(loss.detach()) == 0 and not logits.grad.any()


def test_answers_come_back_in_original_pixels_without_those_that_overlap():
    system = detector()
    lying = torch.tensor([[8.0, 8, 24, 24], [10, 8, 26, 24], [40, 8, 56, 24]])
    logits = torch.tensor([[[4.0, 0, 0], [3, 0, 0], [0, 0, 9]]])
    (found,) = system.decode(WindowOutputs(logits, lying), [Frame((100, 200), (50, 100), (64, 128))])
    assert found.size == (100, 200)
    first = found.keep(found.scores > 0.1)
    assert first.boxes.tolist() == [[16, 16, 48, 48]]
    assert first.names() == ["square"]
    assert float(first.scores) == pytest.approx(math.exp(4) / (math.exp(4) + 2), rel=1e-4)


def as_batch(dataset):
    samples = TrainingSet(dataset, 64)
    return collate([samples[(0, i)] for i in range(len(samples))])


def learn(system, dataset, steps):
    batch = as_batch(dataset)
    optimizer = torch.optim.AdamW([p for p in system.parameters() if p.requires_grad], lr=3e-3)
    system.train()
    for _ in range(steps):
        optimizer.zero_grad()
        sum(system.loss(batch).values()).backward()
        optimizer.step()
    return system.eval()


@torch.no_grad()
def answers(system, dataset):
    batch = as_batch(dataset)
    return system.decode(system(batch.pictures), batch.frames)


def test_learns_made_pictures():
    torch.manual_seed(0)
    seen, held_out = made_scenes(40, seed=1, objects=(0, 2)), made_scenes(24, seed=2, objects=(0, 2))
    system = learn(windows(trunk=Small(), classes=SHAPE_CLASSES, cells=3, sizes=((19, 19),), hidden=32), seen, 60)
    assert coco_scores([e.annotation for e in held_out], answers(system, held_out)).ap50 > 0.4


def test_bootstrapping_unlearns_what_was_never_shown():
    # It knows discs and ground; of other shapes it has seen none, and so takes some of them for discs.
    torch.manual_seed(0)
    disc, shapes = Vocabulary(("disc",)), made_scenes(120, seed=3)
    is_disc = [e.scene.names() == ["disc"] for e in shapes]
    seen, unseen = (
        shapes.subset(i for i, one in enumerate(is_disc) if one == wanted).with_classes(disc).without_masks()
        for wanted in (True, False)
    )
    system = windows(trunk=Small(), classes=disc, cells=3, sizes=((19, 19),), hidden=16)
    counts = []

    def train(wrong):
        corrected = [replace(unseen[i], annotation=add_negatives(unseen[i].annotation, boxes)) for i, boxes in wrong]
        return learn(system, replace(seen, examples=(*seen, *corrected)), 40)

    def find(model):
        found = [
            (i, false_positives(said, example.annotation))
            for i, (said, example) in enumerate(zip(answers(model, unseen), unseen, strict=True))
        ]
        counts.append(sum(len(boxes) for _, boxes in found))
        return [(i, boxes) for i, boxes in found if len(boxes)]

    model, negatives = bootstrap(train, find, rounds=1)
    find(model)
    assert counts[0] > 20 and len(negatives) > 10
    assert counts[1] < counts[0] / 3
    right = [len(said.keep(said.scores > 0.5)) > 0 for said in answers(model, seen)]
    assert sum(right) > 0.7 * len(right)


def test_a_frozen_trunk_stays_as_it_is():
    system = windows(trunk=Small(), classes=SHAPE_CLASSES, cells=3, sizes=((16, 16),), hidden=8)
    freeze(system.trunk, "c3")
    before = {name: value.clone() for name, value in system.trunk.state_dict().items()}
    learn(system, made_scenes(4), 2)
    assert all(torch.equal(before[name], value) for name, value in system.trunk.state_dict().items())


def test_a_class_with_one_example_is_no_obstacle():
    system = windows(trunk=Small(), classes=Vocabulary((*SHAPE_CLASSES, "never")), cells=3, sizes=((16, 16),))
    assert all(float(v.detach()) > 0 for v in system.loss(as_batch(made_scenes(1))).values())


def test_is_described_as_plain_values_and_exports():
    sizes = [[32, 32], [48, 24]]
    arguments = {
        "trunk": Spec("efficientnet_lite0", {"weights": False}),
        "classes": Spec("vocabulary", {"names": ["a", "b"]}),
        "sizes": sizes,
    }
    system = Spec.from_json(Spec("windows", arguments).to_json()).build().eval()
    assert list(system.trunk.channels)[-1] == "c3"
    pictures = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    program = torch.export.export(system, (pictures,))
    torch.testing.assert_close(program.module()(pictures).logits, system(pictures).logits)
