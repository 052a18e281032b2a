"""The dense detector: anchors, matching, loss and decoding against hand-made cases and brute force."""

import math

import pytest
import torch
from detection_examples import CLASSES, batch, check_that_it_learns_two_pictures_by_heart, scene

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.models.detection.anchors import Anchors
from allsight.models.detection.dense import DenseOutputs
from allsight.models.detection.matcher import BACKGROUND, IGNORED, Matcher, Targets
from allsight.models.detection.retinanet import retinanet, retinanet_narrow
from allsight.ops.boxes import encode, pairwise_iou
from allsight.scene import Frame, Scene, Vocabulary


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return retinanet_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=32, depth=1)


def test_nine_anchors_of_the_paper_around_the_middle_of_each_cell():
    anchors = Anchors((8, 16))([(2, 3), (1, 1)])
    assert anchors.shape == (9 * (6 + 1), 4)
    first = anchors[:9]
    torch.testing.assert_close((first[:, :2] + first[:, 2:]) / 2, torch.full((9, 2), 4.0))
    sides = first[:, 2:] - first[:, :2]
    areas = [(32 * 2 ** (i / 3)) ** 2 for i in range(3) for _ in range(3)]
    torch.testing.assert_close(sides.prod(1), torch.tensor(areas), rtol=1e-5, atol=0)
    torch.testing.assert_close(sides[:, 1] / sides[:, 0], torch.tensor([0.5, 1, 2] * 3))
    second_cell = anchors[9:18]
    torch.testing.assert_close(second_cell - first, torch.tensor([8.0, 0, 8, 0]).expand(9, 4))


def brute_force_match(anchors, boxes, positive, negative):
    labels = []
    for anchor in anchors:
        overlaps = [float(pairwise_iou(anchor[None], box[None])) for box in boxes]
        best = max(range(len(boxes)), key=lambda i: overlaps[i])
        value = overlaps[best]
        labels.append(best if value >= positive else BACKGROUND if value < negative else IGNORED)
    return torch.tensor(labels)


def test_matcher_is_its_brute_force_twin():
    torch.manual_seed(1)
    corner = torch.rand(60, 2) * 80
    anchors = torch.cat([corner, corner + torch.rand(60, 2) * 40 + 5], 1)
    boxes = anchors[torch.randperm(60)[:7]] + torch.randn(7, 4) * 3
    found = Matcher(rescue=False)(anchors, boxes)
    assert torch.equal(found, brute_force_match(anchors, boxes, 0.5, 0.4))


def test_rescue_gives_an_unreached_object_its_best_anchor():
    anchors = torch.tensor([[0.0, 0, 40, 40], [100, 100, 140, 140]])
    small = torch.tensor([[5.0, 5, 15, 15]])
    assert Matcher(rescue=False)(anchors, small).tolist() == [BACKGROUND, BACKGROUND]
    assert Matcher()(anchors, small).tolist() == [0, BACKGROUND]


def test_rescue_does_not_take_an_anchor_that_answers_for_another_object():
    anchors = torch.tensor([[0.0, 0, 40, 40]])
    boxes = torch.tensor([[0.0, 0, 40, 40], [5, 5, 15, 15]])
    assert Matcher()(anchors, boxes).tolist() == [0]


def test_anchors_in_a_crowd_are_ignored():
    anchors = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    crowd = torch.tensor([[0.0, 0, 30, 30]])
    assert Matcher()(anchors, torch.zeros(0, 4), crowd).tolist() == [IGNORED, BACKGROUND]


def test_not_annotated_gives_no_loss_and_empty_gives_negatives(detector):
    anchors = Anchors((8,))([(4, 4)])
    targets = Targets(anchors, [Scene((32, 32)), scene([], [], (32, 32))], Matcher())
    assert (targets.labels[0] == IGNORED).all()
    assert (targets.labels[1] == BACKGROUND).all()
    assert all(float(v.detach()) == 0 for v in detector.loss(batch([Scene((64, 96))] * 2)).values())
    losses = detector.loss(batch([scene([], [])] * 2))
    assert losses["classes"] > 0
    assert losses["boxes"] == 0


def test_loss_starts_at_what_the_prior_predicts(detector):
    # Every anchor says 0.01, so that P positives and A negatives cost what equation 5 says of p = 0.01.
    truth = scene([[10, 10, 40, 44]], [1])
    losses = detector.eval().loss(batch([truth]))
    head = detector.heads["objects"]
    anchors = head(detector.features(batch([truth]).pictures), [Frame.whole((64, 96))]).anchors
    labels = Targets(anchors, [truth], head.matcher).labels
    positives, judged = int((labels >= 0).sum()), int((labels != IGNORED).sum())
    easy = 0.75 * 0.01**2 * -math.log(0.99)
    hard = 0.25 * 0.99**2 * -math.log(0.01)
    expected = (positives * hard + (2 * judged - positives) * easy) / positives
    assert float(losses["classes"]) == pytest.approx(expected, rel=0.2)


def test_perfect_outputs_decode_to_the_truth_and_cost_nothing(detector):
    head = detector.heads["objects"]
    truth = scene([[10, 10, 40, 44], [50, 20, 90, 60]], [1, 0])
    anchors = head.anchors([(-(-64 // s), -(-96 // s)) for s in (8, 16, 32, 64, 128)])
    targets = Targets(anchors, [truth], Matcher())
    logits = torch.full((1, len(anchors), 2), -20.0)
    for label in (0, 1):
        logits[0, targets.labels[0] == label, label] = 20.0
    outputs = DenseOutputs(logits, encode(targets.boxes, anchors), anchors)
    assert sum(float(v) for v in head.criterion(outputs, [], [truth]).values()) < 1e-4
    (found,) = head.decode(outputs, [Frame.whole((64, 96))])
    order = found.labels.argsort(descending=True)
    torch.testing.assert_close(found.boxes[order], truth.boxes, atol=1e-3, rtol=0)
    assert found.labels[order].tolist() == [1, 0]


def test_answers_come_back_in_original_pixels(detector):
    head = detector.heads["objects"]
    anchors = torch.tensor([[8.0, 8, 24, 24]])
    outputs = DenseOutputs(torch.tensor([[[9.0, -9.0]]]), torch.zeros(1, 1, 4), anchors)
    frame = Frame((100, 200), (50, 100), (64, 128))
    (found,) = head.decode(outputs, [frame])
    torch.testing.assert_close(found.boxes, torch.tensor([[16.0, 16, 48, 48]]))
    assert found.size == (100, 200)
    assert found.names() == ["square"]


def test_learns_two_pictures_by_heart():
    torch.manual_seed(0)
    system = retinanet_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=32, depth=1)
    check_that_it_learns_two_pictures_by_heart(system)


def test_the_papers_form_has_the_papers_size():
    system = retinanet(trunk=efficientnet_lite0(weights=False), classes=Vocabulary(tuple(map(str, range(80)))))
    head = sum(p.numel() for p in system.heads.parameters())
    # Four 3x3 convolutions of 256 channels twice, then 9 x 80 and 9 x 4 outputs.
    hidden = 2 * 4 * (256 * 256 * 9 + 256)
    assert head == hidden + (256 * 9 + 1) * 9 * 80 + (256 * 9 + 1) * 9 * 4
    torch.manual_seed(0)
    outputs = system.eval()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)).heads["objects"]
    assert float(outputs.logits.sigmoid().mean()) == pytest.approx(0.01, rel=0.05)


def test_exports_with_its_operators(detector):
    pictures = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    program = torch.export.export(detector.eval(), (pictures,))
    expected = detector(pictures).heads["objects"]
    found = program.module()(pictures).heads["objects"]
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.anchors, expected.anchors)
