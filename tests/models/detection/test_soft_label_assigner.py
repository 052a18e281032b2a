"""Places and objects, against an assignment in plain loops."""

import math

import pytest
import torch

from allsight.models.detection.matcher import BACKGROUND, IGNORED
from allsight.models.detection.side_distributions import boxes_around, distances_to, expected, places
from allsight.models.detection.soft_label_assigner import SoftLabelAssigner, SoftTargets
from allsight.scene import Scene, Vocabulary

CLASSES = Vocabulary(("a", "b", "c"))
WHERE = places([(6, 8), (3, 4), (2, 2)], (8, 16, 32))


def iou(one, two):
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    common = max(width, 0) * max(height, 0)
    union = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, two)) - common
    return common / union if union > 0 else 0.0


def in_loops(logits, found, where, boxes, labels):
    """Return what `SoftLabelAssigner` should, one place and one object after the other."""
    match, overlaps = [BACKGROUND] * len(where), [0.0] * len(where)
    inside = [p for p, (x, y, _) in enumerate(where) if any(b[0] < x < b[2] and b[1] < y < b[3] for b in boxes)]
    cost, overlap = {}, {}
    for p in inside:
        for n, (box, label) in enumerate(zip(boxes, labels, strict=True)):
            overlap[p, n] = iou(found[p], box)
            cost[p, n] = -3 * math.log(overlap[p, n] + 1e-7)
            for c, logit in enumerate(logits[p]):
                score, soft = 1 / (1 + math.exp(-logit)), overlap[p, n] if c == label else 0.0
                cross = -soft * math.log(score) - (1 - soft) * math.log(1 - score)
                cost[p, n] += cross * abs(soft - score) ** 2
    taken = {p: set() for p in inside}
    for n in range(len(boxes)):
        best = sorted((overlap[p, n] for p in inside), reverse=True)[:13]
        number = max(int(sum(best)), 1)
        for p in sorted(inside, key=lambda p, n=n: cost[p, n])[:number]:
            taken[p].add(n)
    for p, owners in taken.items():
        if len(owners) > 1:
            owners = {min(range(len(boxes)), key=lambda n, p=p: cost[p, n])}
        for n in owners:
            match[p], overlaps[p] = n, overlap[p, n]
    return match, overlaps


@pytest.mark.parametrize("seed", range(25))
def test_the_same_as_in_loops(seed):
    generator = torch.Generator().manual_seed(seed)
    number = int(torch.randint(1, 7, (), generator=generator))
    corners = torch.rand(number, 2, generator=generator) * 40
    boxes = torch.cat([corners, corners + 3 + torch.rand(number, 2, generator=generator) * 40], dim=1)
    labels = torch.randint(0, 3, (number,), generator=generator)
    logits = torch.randn(len(WHERE), 3, generator=generator) * 2
    aim = boxes[torch.randint(0, number, (len(WHERE),), generator=generator)]  # good ones and bad ones
    found = aim + torch.randn(len(WHERE), 4, generator=generator) * 6
    match, overlaps = SoftLabelAssigner()(logits, found, WHERE, boxes, labels)
    expected_match, expected_overlaps = in_loops(*(x.tolist() for x in (logits, found, WHERE, boxes, labels)))
    assert match.tolist() == expected_match
    torch.testing.assert_close(overlaps, torch.tensor(expected_overlaps), atol=1e-4, rtol=1e-4)


def test_no_object_and_no_place_inside_of_one_are_background():
    logits, found = torch.zeros(len(WHERE), 3), torch.zeros(len(WHERE), 4)
    for boxes in (torch.zeros(0, 4), torch.tensor([[1.0, 1, 3, 3]])):
        match, overlaps = SoftLabelAssigner()(logits, found, WHERE, boxes, torch.zeros(len(boxes), dtype=torch.int64))
        assert (match == BACKGROUND).all()
        assert float(overlaps.sum()) == 0


def targets(*scenes):
    logits, found = torch.zeros(len(scenes), len(WHERE), 3), torch.zeros(len(scenes), len(WHERE), 4)
    return SoftTargets.of(logits, found, WHERE, scenes, SoftLabelAssigner())


def test_not_annotated_is_ignored_and_empty_is_background():
    empty = Scene((48, 64), boxes=torch.zeros(0, 4), labels=torch.zeros(0).long(), object_classes=CLASSES)
    said = targets(Scene((48, 64)), empty)
    assert (said.labels[0] == IGNORED).all()
    assert (said.labels[1] == BACKGROUND).all()


def test_a_crowd_is_no_object_and_what_lies_inside_is_ignored():
    boxes = torch.tensor([[0.0, 0, 30, 30], [32, 16, 64, 48]])
    scene = Scene(
        (48, 64), boxes=boxes, labels=torch.tensor([2, 1]), crowd=torch.tensor([False, True]), object_classes=CLASSES
    )
    (labels,) = targets(scene).labels
    x, y, _ = WHERE.unbind(1)
    inside = (x >= 32) & (x < 64) & (y >= 16) & (y < 48)
    assert (labels[inside] == IGNORED).all()
    assert set(labels[~inside].tolist()) == {BACKGROUND, 2}


def test_convention_a_place_stands_at_its_number_times_the_stride():
    where = places([(2, 3), (1, 2)], (8, 16))
    assert where.tolist() == [
        [0, 0, 8], [8, 0, 8], [16, 0, 8], [0, 8, 8], [8, 8, 8], [16, 8, 8], [0, 0, 16], [16, 0, 16],
    ]  # fmt: skip


def test_sides_are_means_of_their_distributions_in_strides():
    sides = torch.full((4, 8), -50.0)
    sides[0, 2], sides[1, 0], sides[2, [3, 4]], sides[3, 7] = 0, 0, 0, 0
    torch.testing.assert_close(expected(sides), torch.tensor([2.0, 0, 3.5, 7]))
    box = boxes_around(torch.tensor([40.0, 24, 8]), expected(sides))
    torch.testing.assert_close(box, torch.tensor([24.0, 24, 68, 80]))
    torch.testing.assert_close(distances_to(torch.tensor([40.0, 24, 8]), box), expected(sides))
