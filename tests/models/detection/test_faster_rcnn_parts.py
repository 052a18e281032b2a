"""The parts of Faster R-CNN: proposals, sampling, regions and pooling, against hand-made cases and brute force."""

import math

import pytest
import torch
from detection_examples import SIZE, scene
from torch import nn

from allsight.layers.fpn import FeaturePyramid
from allsight.models.detection.anchors import Anchors
from allsight.models.detection.matcher import BACKGROUND, IGNORED, Matcher, Targets
from allsight.models.detection.proposals import ProposalNet
from allsight.models.detection.roi_heads import RegionNet, RegionPooling, assign_levels
from allsight.models.detection.sampling import sample
from allsight.ops.boxes import clip, decode, encode, pairwise_iou
from allsight.ops.roi_align import roi_align
from allsight.scene import Scene


def proposal_net(anchors, ways=1, **options):
    objectness, deltas = (nn.Conv2d(4, width * anchors.per_cell, 1) for width in (ways, 4))
    return ProposalNet(hidden=nn.Identity(), objectness=objectness, deltas=deltas, anchors=anchors, **options)


# Proposals


def greedy_proposals(net, levels, size, most):
    """The same as `ProposalNet.forward`, one box after the other."""
    chosen = []
    for number, level in enumerate(levels):
        hidden = level[None].relu()
        logits = net.objectness(hidden)[0].permute(1, 2, 0).flatten()
        deltas = net.deltas(hidden)[0].permute(1, 2, 0).reshape(-1, 4)
        shapes = [tuple(x.shape[-2:]) for x in levels]
        start = sum(height * width * net.anchors.per_cell for height, width in shapes[:number])
        boxes = clip(decode(deltas, net.anchors(shapes)[start : start + len(logits)]), size)
        kept = []
        for i in logits.argsort(descending=True).tolist()[: net.candidates]:
            sides = boxes[i, 2:] - boxes[i, :2]
            if bool((sides >= 1e-3).all()) and all(pairwise_iou(boxes[[i]], boxes[[j]]) <= net.nms_iou for j in kept):
                kept.append(i)
        chosen += [(float(logits[i]), boxes[i]) for i in kept]
    return torch.stack([box for _, box in sorted(chosen, key=lambda pair: -pair[0])[:most]])


@torch.no_grad()
def test_proposals_are_their_brute_force_twin():
    torch.manual_seed(3)
    net = proposal_net(Anchors((8, 16), size=2.0, scales=(1.0,)), candidates=40)
    levels = [torch.randn(2, 4, 6, 8), torch.randn(2, 4, 3, 4)]
    found = net(levels, (40, 60), 25)
    assert found.boxes.shape == (2, 25, 4)
    for picture in range(2):
        wanted = greedy_proposals(net, [level[picture] for level in levels], (40, 60), 25)
        assert int(found.valid[picture].sum()) == len(wanted)
        torch.testing.assert_close(found.boxes[picture, : len(wanted)], wanted)
        assert (found.scores[picture].diff() <= 0).all()


@torch.no_grad()
def test_what_is_not_proposed_is_padded_and_says_so():
    anchors = Anchors((16,), size=2.0, scales=(1.0,), ratios=(1.0,))
    net = proposal_net(anchors)
    for layer in (net.objectness, net.deltas):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    found = net([torch.zeros(1, 4, 2, 2)], (32, 32), 300)
    assert found.valid.all()  # neighbours overlap by a third
    net.deltas.bias[0] = 1000.0  # all of them far to the right of the picture
    found = net([torch.zeros(1, 4, 2, 2)], (32, 32), 300)
    assert found.boxes.shape == (1, 4, 4)
    assert not found.valid.any() and (found.boxes == 0).all() and (found.scores == 0).all()
    net.deltas.bias[0] = torch.nan
    assert not net([torch.zeros(1, 4, 2, 2)], (32, 32), 300).valid.any()


def test_two_way_softmax_and_sigmoid_are_one_loss():
    torch.manual_seed(0)
    anchors = Anchors((8,), size=2.0, scales=(1.0, 2.0))
    net = proposal_net(anchors, ways=2, samples=1000)
    features = torch.randn(1, 4, 8, 12)
    truth = [scene([[8, 8, 30, 30]], [0])]
    found = net([features], SIZE, 10)
    pairs = net.objectness(features.relu()).permute(0, 2, 3, 1).reshape(-1, 2)
    torch.testing.assert_close(found.objectness[0].sigmoid(), pairs.softmax(1)[:, 1])
    labels = Targets(found.anchors, truth, net.matcher).labels[0]
    positives, negatives = (labels >= 0).sum(), (labels == BACKGROUND).sum()
    assert positives > 0 and positives + negatives < 1000  # so that nothing is left to chance
    entropy = nn.functional.cross_entropy(pairs, (labels >= 0).long(), reduction="none")
    wanted = entropy[labels != IGNORED].mean()
    torch.testing.assert_close(net.criterion(found, truth)["objectness"], wanted)


def test_proposals_have_no_gradient_and_losses_have():
    net = proposal_net(Anchors((8,)))
    found = net([torch.randn(1, 4, 8, 12)], SIZE, 10)
    assert not found.boxes.requires_grad and not found.scores.requires_grad
    sum(net.criterion(found, [scene([[8, 8, 60, 60]], [0])]).values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


# Sampling


def test_sampling_takes_objects_first_but_not_too_many_and_fills_up():
    labels = torch.full((4, 100), BACKGROUND)
    labels[0, :30] = 1  # more objects than there are places for
    labels[1, :3] = 0
    labels[2] = IGNORED
    labels[3, 5:] = IGNORED
    picked = sample(labels, 16, 4)
    assert picked.sum(1).tolist() == [16, 16, 0, 5]
    assert (picked & (labels >= 0)).sum(1).tolist() == [4, 3, 0, 0]
    assert not (picked & (labels == IGNORED)).any()


def test_sampling_follows_the_global_seed_and_is_fair():
    labels = torch.full((1, 50), BACKGROUND)
    torch.manual_seed(5)
    first = sample(labels, 10, 5)
    torch.manual_seed(5)
    assert torch.equal(first, sample(labels, 10, 5))
    often = torch.stack([sample(labels, 10, 5) for _ in range(2000)]).float().mean((0, 1))
    assert float((often - 0.2).abs().max()) < 0.05


def region_net(samples=8, **options):
    layers = {"classification": nn.Linear(4, 3), "regression": nn.Linear(4, 12)}
    return RegionNet(pooling=RegionPooling((8,), output=2), body=nn.Flatten(), samples=samples, **layers, **options)


def test_regions_are_drawn_from_proposals_and_truth():
    truth = scene([[10, 10, 40, 40], [50, 20, 80, 60]], [0, 1])
    proposals = torch.tensor([[[10.0, 10, 42, 40], [0, 0, 5, 5], [60, 0, 90, 10], [0, 0, 0, 0]]])
    valid = torch.tensor([[True, True, True, False]])
    boxes, counted = region_net(8, positives=0.5).sample(proposals, valid, [truth])
    # Three are objects: a proposal and the two true boxes; two are background; the padding is none.
    assert counted.sum() == 5
    chosen = {tuple(box) for box in boxes[counted].tolist()}
    assert chosen == {tuple(box) for box in [*proposals[0, :3].tolist(), *truth.boxes.tolist()]}
    few, counted = region_net(2, positives=0.5).sample(proposals, valid, [truth])
    labels = Targets(few, [truth], Matcher(0.5, 0.5, rescue=False)).labels
    assert counted.all() and sorted((labels >= 0).flatten().tolist()) == [False, True]


def test_regions_in_crowds_and_in_pictures_without_annotation_are_not_judged():
    crowd = scene([[0, 0, 50, 50]], [0], crowd=torch.tensor([True]))
    proposals = torch.tensor([[10.0, 10, 40, 40], [60, 10, 90, 40]]).expand(2, -1, -1)
    net = region_net()
    boxes, counted = net.sample(proposals, torch.ones(2, 2, dtype=torch.bool), [crowd, Scene(SIZE)])
    assert counted.sum(1).tolist() == [1, 0]
    assert boxes[0, counted[0]].tolist() == [[60, 10, 90, 40]]


def test_region_loss_by_hand():
    net = region_net()
    truth = scene([[10, 10, 40, 40]], [1])
    boxes = torch.tensor([[[10.0, 10, 40, 46], [60, 10, 90, 40], [0, 0, 0, 0]]])
    valid = torch.tensor([[True, True, False]])
    logits = torch.zeros(1, 3, 3)
    deltas = torch.zeros(1, 3, 3, 4)
    losses = net.criterion(logits, deltas, boxes, valid, [truth])
    assert float(losses["classes"]) == pytest.approx(math.log(3))
    # The first region has to rise by 3 of its 36 pixels and shrink to 30 of them; the weights are 10 and 5.
    up, shrink = 10 * 3 / 36, 5 * math.log(36 / 30)
    by_hand = sum(0.5 * d**2 if d < 1 else d - 0.5 for d in (up, shrink))
    assert float(losses["boxes"]) == pytest.approx(by_hand / 2, rel=1e-4)
    deltas[0, 0, 0] = 5.0  # of the background, and
    deltas[0, 0, 1] = 5.0  # of the other class: neither counts
    assert torch.equal(net.criterion(logits, deltas, boxes, valid, [truth])["boxes"], losses["boxes"])
    deltas[0, 0, 2] = encode(truth.boxes[0], boxes[0, 0], net.weights)
    assert float(net.criterion(logits, deltas, boxes, valid, [truth])["boxes"]) == 0


# Pooling


def test_levels_as_in_equation_1():
    sides = torch.tensor([0.0, 30, 111, 112, 223, 224, 447, 448, 5000])
    boxes = torch.stack([torch.zeros(9), torch.zeros(9), sides / 2, sides * 2], dim=1)
    assert assign_levels(boxes, 2, 5).tolist() == [2, 2, 2, 3, 3, 4, 4, 5, 5]
    assert assign_levels(boxes, 3, 4, canonical_side=112.0).tolist() == [3, 3, 3, 4, 4, 4, 4, 4, 4]


def test_each_region_is_pooled_from_its_own_level():
    torch.manual_seed(0)
    levels = [torch.randn(2, 3, 64 // 2**i, 96 // 2**i) for i in range(3)]
    corner = torch.rand(2, 20, 2) * 60
    boxes = torch.cat([corner, corner + 4 + 60 * torch.rand(2, 20, 2)], dim=-1)
    pooling = RegionPooling((4, 8, 16), output=3, canonical_side=60.0)
    found = pooling(levels, boxes)
    number = assign_levels(boxes, 2, 4, 60.0) - 2
    assert number.unique().tolist() == [0, 1, 2]
    for i in range(2):
        for j in range(20):
            level = int(number[i, j])
            at = torch.tensor([i])
            wanted = roi_align(levels[level], boxes[i, [j]], at, output=(3, 3), scale=1 / (4 * 2**level))
            torch.testing.assert_close(found[20 * i + j], wanted[0])


def test_pyramid_levels_by_pooling_have_no_weights():
    neck = FeaturePyramid({"c3": 8, "c4": 8}, 4, extra=2, extra_from="pool")
    maps = neck({"c3": torch.randn(1, 8, 8, 8), "c4": torch.randn(1, 8, 4, 4)})
    assert not list(neck.coarser.parameters())
    assert torch.equal(maps["p5"], maps["p4"][:, :, ::2, ::2])
    assert torch.equal(maps["p6"], maps["p5"][:, :, ::2, ::2])
