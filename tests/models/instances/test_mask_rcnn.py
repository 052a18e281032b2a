"""Mask R-CNN as a whole: answers and losses of hand-made outputs, unusual batches, learning by heart, torch.export."""

from dataclasses import replace

import pytest
import torch
from detection_examples import CLASSES, SIZE, batch, learned, scene

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.resnet import resnet18
from allsight.metrics.instances import mask_overlaps
from allsight.models.detection.faster_rcnn import FasterRCNNHead
from allsight.models.instances.mask_rcnn import mask_rcnn_fpn, mask_rcnn_narrow
from allsight.scene import Frame, Masks, Scene


@pytest.fixture(scope="module")
def detector():
    torch.manual_seed(0)
    return mask_rcnn_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=16, hidden=32)


def outlined(boxes, labels, size=SIZE, **more):
    """A scene whose objects are discs that fill their boxes."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    dense = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(dense, boxes, strict=True):
        mask |= ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1
    return scene(boxes, labels, size, masks=Masks.from_dense(dense), **more)


@torch.no_grad()
def test_masks_are_pasted_into_their_boxes_in_original_pixels(detector):
    head = detector.heads["objects"]
    outputs = detector(torch.zeros(1, 3, *SIZE, dtype=torch.uint8)).heads["objects"]
    count = outputs.scores.shape[1]
    boxes = torch.tensor([[8.0, 8, 40, 40], [60, 20, 110, 60], [100, 70, 120, 90]])
    outputs = outputs._replace(
        boxes=torch.cat([boxes, torch.zeros(count - 3, 4)])[None],
        labels=torch.zeros(1, count, dtype=torch.int64),
        scores=torch.linspace(0.9, 0.8, count)[None],
        valid=(torch.arange(count) < 3)[None],
        masks=torch.full((1, count, 28, 28), 5.0),
    )
    (found,) = head.decode(outputs, [Frame((128, 192), SIZE, SIZE)])
    # What lies outside of the picture is cut off; the third object lies there whole.
    assert found.boxes.tolist() == [[16, 16, 80, 80], [120, 40, 192, 120]]
    assert torch.equal(found.masks.boxes(), found.boxes)
    assert found.masks.area().tolist() == [64 * 64, 72 * 80]


def test_a_perfect_mask_costs_nothing_and_its_opposite_much(detector):
    masks = detector.heads["objects"].masks
    truth = outlined([[10, 10, 40, 44], [50, 20, 90, 60]], [1, 0])
    boxes = torch.tensor([[[12.0, 8, 40, 40], [48, 22, 90, 62], [0, 0, 9, 9]]])
    valid = torch.ones(1, 3, dtype=torch.bool)
    expected = truth.masks.crop(torch.tensor([0, 1]), boxes[0, :2], 28) >= 0.5

    class Said(torch.nn.Module):
        def __init__(self, sign):
            super().__init__()
            self.sign = sign

        def forward(self, levels, boxes, labels):
            assert boxes[0, :2].tolist() == [[12, 8, 40, 40], [48, 22, 90, 62]]
            assert labels[0, :2].tolist() == [1, 0]
            said = torch.where(torch.cat([expected, torch.zeros(1, 28, 28, dtype=torch.bool)]), 30.0, -30.0)
            return self.sign * said[None, : boxes.shape[1]]

    for sign, cost in ((1, 0.0), (-1, 30.0)):
        judged = type(masks).loss.__get__(_with_forward(masks, Said(sign)))
        assert float(judged([], boxes, valid, [truth])) == pytest.approx(cost, abs=1e-3)


class _with_forward:  # noqa: N801 - stands for the branch, with another forward
    def __init__(self, masks, said):
        self.matcher, self.samples, self.said = masks.matcher, masks.samples, said

    def __call__(self, levels, boxes, labels):
        return self.said(levels, boxes, labels)


def test_terms_and_gradients_of_unusual_batches(detector):
    detector.train()
    masked = outlined([[10, 10, 40, 44]], [1])
    plain = scene([[10, 10, 40, 44]], [1])
    empty = outlined([], [])
    for scenes in ([masked, plain], [empty, empty], [plain, plain], [Scene(SIZE), masked]):
        detector.zero_grad()
        terms = detector.loss(batch(scenes))
        assert set(terms) == {"objectness", "proposals", "classes", "boxes", "masks"}
        assert all(value.isfinite() for value in terms.values())
        sum(terms.values()).backward()
        has_masks = any(s.masks is not None and len(s.masks) for s in scenes)
        assert (terms["masks"].item() > 0) == has_masks
        assert all(p.grad is None or p.grad.isfinite().all() for p in detector.parameters())


def test_more_objects_than_are_learned_from_at_once(detector):
    boxes = [[x, y, x + 7, y + 7] for x in range(0, 88, 8) for y in range(0, 56, 8)]
    terms = detector.train().loss(batch([outlined(boxes, [0] * len(boxes))]))
    assert terms["masks"].isfinite()


def test_it_learns_two_outlines_by_heart():
    torch.manual_seed(0)
    system = mask_rcnn_narrow(trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=32, hidden=64)
    size = (64, 64)
    truths = [outlined([[16, 12, 48, 44]], [0], size), outlined([[8, 24, 40, 56]], [1], size)]
    pictures = torch.full((2, 3, *size), 60, dtype=torch.uint8)
    for picture, truth in zip(pictures, truths, strict=True):
        picture[int(truth.labels[0]) :, truth.masks.dense()[0]] = 250
    for truth, found in zip(truths, learned(system, pictures, truths, 90), strict=True):
        assert found.labels[0] == truth.labels[0]
        assert mask_overlaps(found.masks, truth.masks)[0, 0] > 0.7


def test_faster_rcnn_finds_the_same_boxes(detector):
    """Masks are an addition: the boxes are those of the head without them."""
    detector.eval()
    head = detector.heads["objects"]
    pictures = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    frames = [Frame.whole(SIZE)] * 2
    with torch.no_grad():
        outputs = detector(pictures).heads["objects"]
        ours, theirs = head.decode(outputs, frames), FasterRCNNHead.decode(head, outputs.regions, frames)
    for one, two in zip(ours, theirs, strict=True):
        assert len(one) == len(two) > 0
        torch.testing.assert_close(one.scores, two.scores)
        # Untrained, some have equal scores, and which of these comes first is no matter.
        same = torch.cdist(one.boxes, two.boxes, p=torch.inf).amin(1) < 1e-3
        assert same.float().mean() > 0.9


def test_the_papers_form_answers():
    system = mask_rcnn_fpn(trunk=resnet18(), classes=CLASSES, channels=32, hidden=32).eval()
    head = system.heads["objects"]
    head.proposed = 20
    with torch.no_grad():
        outputs = system(torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8))
    assert outputs.heads["objects"].masks.shape[2:] == (28, 28)
    (found,) = system.decode(outputs, [Frame.whole((64, 96))])
    assert len(found.masks) == len(found.boxes)


@torch.no_grad()
def test_a_pyramid_may_begin_at_strides_of_four_pixels():
    system = mask_rcnn_narrow(
        trunk=efficientnet_lite0(weights=False), classes=CLASSES, channels=16, hidden=32, finest="c2", most=7
    ).eval()
    head = system.heads["objects"]
    assert head.inputs == ("p2", "p3", "p4", "p5", "p6")
    assert head.proposals.anchors.strides == (4, 8, 16, 32, 64)
    assert head.regions.pooling.strides == head.masks.pooling.strides == (4, 8, 16, 32)
    (found,) = system.decode(system(torch.zeros(1, 3, *SIZE, dtype=torch.uint8)), [Frame.whole(SIZE)])
    assert len(found.masks) == len(found) <= 7


@torch.no_grad()
def test_masks_are_made_for_what_may_be_an_answer_alone(detector):
    head = detector.eval().heads["objects"]
    pictures = torch.zeros(2, 3, *SIZE, dtype=torch.uint8)
    usual = head.selection
    scores = detector(pictures).heads["objects"].scores
    try:
        head.selection = replace(usual, score_threshold=float(scores[:, 4].max()))
        assert detector(pictures).heads["objects"].masks.shape[1] <= scores.shape[1]
        head.selection = replace(usual, score_threshold=1.1)
        outputs = detector(pictures)
        found = detector.decode(outputs, [Frame.whole(SIZE)] * 2)
    finally:
        head.selection = usual
    assert outputs.heads["objects"].masks.shape == (2, 0, 28, 28)
    assert [len(scene.masks) for scene in found] == [0, 0]


def test_it_exports(detector):
    detector.eval()
    # Of two objects with the very same score either may come first: in this picture there are none.
    picture = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        program = torch.export.export(detector, (picture,))
        ours, exported = detector(picture), program.module()(picture)
    for name in ("boxes", "scores", "masks"):
        torch.testing.assert_close(
            getattr(exported.heads["objects"], name), getattr(ours.heads["objects"], name), atol=1e-3, rtol=1e-3
        )
