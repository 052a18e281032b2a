"""Faster R-CNN as a whole: its answers and losses, unusual batches, learning by heart, its forms, torch.export."""

import pytest
import torch
from detection_examples import CLASSES, SIZE, batch, check_that_it_learns_two_pictures_by_heart, scene
from torch import nn

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.resnet import resnet18, resnet50
from allsight.backbones.pictures.vgg import vgg11
from allsight.models.detection.faster_rcnn import (
    FasterRCNNOutputs,
    faster_rcnn_c4,
    faster_rcnn_fpn,
    faster_rcnn_narrow,
)
from allsight.models.detection.matcher import Targets
from allsight.models.detection.proposals import ProposalOutputs
from allsight.ops.boxes import encode
from allsight.scene import Frame, Scene, Vocabulary


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return faster_rcnn_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=16, hidden=32)


def perfect(head, truth, proposals):
    """Outputs that say the truth about each proposal."""
    boxes = torch.tensor([proposals])
    targets = Targets(boxes, [truth], head.regions.matcher)
    logits = torch.nn.functional.one_hot(targets.labels + 1, len(CLASSES) + 1) * 40.0
    deltas = encode(targets.boxes, boxes, head.regions.weights)[:, :, None].expand(-1, -1, len(CLASSES) + 1, -1)
    anchors = head.proposals.anchors([(8, 12), (4, 6), (2, 3), (1, 2)])
    wanted = Targets(anchors, [truth], head.proposals.matcher)
    objectness = torch.where(wanted.labels >= 0, 20.0, -20.0)
    valid = torch.ones(boxes.shape[:2], dtype=torch.bool)
    first = ProposalOutputs(objectness, encode(wanted.boxes, anchors), anchors, boxes, valid.float(), valid)
    return FasterRCNNOutputs(first, logits, deltas)


def test_perfect_outputs_decode_to_the_truth_and_cost_nothing(detector):
    head = detector.heads["objects"]
    truth = scene([[10, 10, 40, 44], [50, 20, 90, 60]], [1, 0])
    outputs = perfect(head, truth, [[12.0, 8, 40, 40], [9, 12, 44, 48], [48, 22, 90, 64], [0, 0, 9, 9]])
    assert sum(float(v) for v in head.criterion(outputs, [], [truth]).values()) < 1e-4
    (found,) = head.decode(outputs, [Frame.whole(SIZE)])
    order = found.labels.argsort(descending=True)
    torch.testing.assert_close(found.boxes[order], truth.boxes, atol=1e-3, rtol=0)
    assert found.labels[order].tolist() == [1, 0]
    (doubled,) = head.decode(outputs, [Frame((128, 192), SIZE, SIZE)])
    torch.testing.assert_close(doubled.boxes, found.boxes * 2)


def test_padded_proposals_are_never_answered_with(detector):
    head = detector.heads["objects"]
    outputs = perfect(head, scene([[10, 10, 40, 44]], [1]), [[12.0, 8, 40, 40]])
    nothing = outputs._replace(proposals=outputs.proposals._replace(valid=torch.zeros(1, 1, dtype=torch.bool)))
    (found,) = head.decode(nothing, [Frame.whole(SIZE)])
    assert len(found) == 0 and found.boxes is not None


@pytest.mark.parametrize(
    "scenes",
    [
        [scene([], []), scene([], [])],
        [scene([], []), Scene(SIZE)],
        [scene([[5 * i, 5, 5 * i + 12, 20] for i in range(15)] * 20, [0] * 300), Scene(SIZE)],
        [scene([[0, 0, 90, 60]], [0], crowd=torch.tensor([True])), scene([[1, 1, 9, 9]], [1])],
    ],
    ids=["nothing there", "one not annotated", "more objects than samples", "a crowd, and one example of a class"],
)
def test_unusual_batches_are_learned_from(detector, scenes):
    detector.zero_grad()
    losses = detector.loss(batch(scenes))
    assert list(losses) == ["objectness", "proposals", "classes", "boxes"]
    sum(losses.values()).backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in detector.parameters())
    assert losses["objectness"] > 0 and losses["classes"] > 0
    if not any(len(s) for s in scenes):
        assert losses["boxes"] == losses["proposals"] == 0


def test_pictures_without_annotation_give_no_loss(detector):
    detector.zero_grad()
    losses = detector.loss(batch([Scene(SIZE)] * 2))
    assert all(float(value.detach()) == 0 for value in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is None or not p.grad.any() for p in detector.parameters())


def test_without_any_proposal_the_truth_is_still_learned_from_and_nothing_is_answered():
    torch.manual_seed(0)
    system = faster_rcnn_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=16, hidden=32)
    nn.init.constant_(system.heads["objects"].proposals.deltas.bias, 1e4)
    system.heads["objects"].proposals.deltas.bias.data[2::4] = 0
    system.heads["objects"].proposals.deltas.bias.data[3::4] = 0
    one = batch([scene([[10, 10, 40, 40]], [0])])
    losses = system.eval().loss(one)
    assert losses["classes"] > 0
    outputs = system(one.pictures)
    assert not outputs.heads["objects"].proposals.valid.any()
    assert len(system.decode(outputs, one.frames)[0]) == 0


def test_a_broken_net_gives_a_loss_that_is_not_finite_rather_than_an_error(detector):
    system = faster_rcnn_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=16, hidden=32)
    next(system.neck.parameters()).data.fill_(torch.nan)
    losses = system.loss(batch([scene([[10, 10, 40, 40]], [0])]))
    assert not sum(losses.values()).isfinite()


def test_the_same_seed_gives_the_same_loss_and_gradient(detector):
    learn = batch([scene([[10, 10, 40, 40]], [0]), scene([[30, 5, 80, 60]], [1])])
    found = []
    for _ in range(2):
        torch.manual_seed(7)
        detector.eval().zero_grad()
        loss = sum(detector.loss(learn).values())
        loss.backward()
        found.append((loss.detach(), [p.grad.clone() for p in detector.heads.parameters()]))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(one, two) for one, two in zip(found[0][1], found[1][1], strict=True))


def test_learns_two_pictures_by_heart():
    torch.manual_seed(0)
    system = faster_rcnn_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=32, hidden=64)
    check_that_it_learns_two_pictures_by_heart(system)


def test_the_papers_form_on_vgg_and_resnet():
    with torch.device("meta"):
        vgg = faster_rcnn_c4(trunk=vgg11(), classes=CLASSES)
    head = vgg.heads["objects"]
    assert vgg.wanted == ("c5",) and not list(vgg.trunk.classifier.parameters())
    assert head.regions.pooling.output == 7 and head.regions.classification.in_features == 4096
    # k = 9 anchors: 18 scores, 36 coordinates.
    assert (head.proposals.objectness.out_channels, head.proposals.deltas.out_channels) == (18, 36)
    torch.manual_seed(0)
    resnet = faster_rcnn_c4(trunk=resnet18(), classes=CLASSES, channels=32)
    assert resnet.wanted == ("c4",) and resnet.heads["objects"].regions.pooling.output == 14
    low, high = resnet.heads["objects"].proposals.anchors.base[0].split(2, dim=1)
    assert (high - low).prod(1).sqrt().round().tolist() == [128.0] * 3 + [256.0] * 3 + [512.0] * 3
    losses = resnet.loss(batch([scene([[10, 10, 40, 44]], [1])]))
    sum(losses.values()).backward()
    tail = dict(resnet.heads["objects"].regions.body.named_parameters())
    assert tail["0.0.conv1.weight"].grad.any() and tail["0.0.bn1.weight"].grad is None
    assert not any(m.training for m in resnet.train().modules() if isinstance(m, nn.BatchNorm2d))


def test_the_pyramid_form_has_the_size_that_torchvision_publishes():
    with torch.device("meta"):
        system = faster_rcnn_fpn(trunk=resnet50(), classes=Vocabulary(tuple(map(str, range(90)))))
    norms = sum(2 * m.num_features for m in system.modules() if isinstance(m, nn.BatchNorm2d))  # buffers there
    assert sum(p.numel() for p in system.parameters()) - norms == 41755286


@pytest.mark.parametrize("form", ["narrow", "c4"])
def test_exports_with_its_operators(detector, form):
    system = detector.eval()
    if form == "c4":
        system = faster_rcnn_c4(trunk=resnet18(), classes=CLASSES, channels=16).eval()
    pictures = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    program = torch.export.export(system, (pictures,))
    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count("allsight.nms.default") == 1
    assert targets.count("allsight.roi_align.default") == (3 if form == "narrow" else 1)
    other = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    expected, found = system(other).heads["objects"], program.module()(other).heads["objects"]
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.proposals.boxes, expected.proposals.boxes)
