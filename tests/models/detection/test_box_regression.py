"""One box a picture: losses by hand, and what the three ways answer where there are two objects."""

import pytest
import torch
from torch import nn

from allsight.data.made.shapes import made_scenes
from allsight.data.pictures.loading import Batch, TrainingSet, collate
from allsight.models.detection.box_regression import (
    WAYS,
    BoxOutputs,
    ClassifiedBox,
    QuadraticBox,
    RefinedBox,
    box_grid,
)
from allsight.ops.boxes import encode, pairwise_iou
from allsight.scene import Frame, Scene

SIDE = 64


class Says(nn.Module):
    """A net that gives the same numbers for every picture."""

    def __init__(self, *numbers):
        super().__init__()
        self.numbers = nn.Parameter(torch.tensor(numbers).float())

    def forward(self, x):
        return self.numbers.expand(len(x), -1)


def batch(*pictures):
    """Each picture a list of boxes, or None."""
    scenes = [
        Scene((SIDE, SIDE), boxes=None if rows is None else torch.tensor(rows).reshape(-1, 4).float())
        for rows in pictures
    ]
    count = len(scenes)
    return Batch(
        torch.zeros(count, 3, SIDE, SIDE, dtype=torch.uint8), [Frame.whole((SIDE, SIDE))] * count, scenes, [""] * count
    )


LEFT, RIGHT = [8, 24, 24, 40], [40, 24, 56, 40]


def test_quadratic_loss_by_hand_and_its_minimum_between_two_objects():
    # The middle box lies 16 pixels, a quarter of the side, from both: twice the square of 1/4 in x, nothing in y.
    middle = QuadraticBox(net=Says(-0.125, -0.125, 0.125, 0.125))
    loss = middle.loss(batch([LEFT, RIGHT]))["box"]
    torch.testing.assert_close(loss, torch.tensor(2 * 0.25**2))
    loss.backward()
    torch.testing.assert_close(middle.net.numbers.grad, torch.zeros(4))
    one = QuadraticBox(net=Says(-0.375, -0.125, -0.125, 0.125)).loss(batch([LEFT, RIGHT]))["box"]
    torch.testing.assert_close(one, torch.tensor(0.25))  # to be right about one of them costs twice as much


def test_classification_is_undecided_between_two_objects_and_right_about_either():
    candidates = torch.tensor([LEFT, [24, 24, 40, 40], RIGHT]).float()
    system = ClassifiedBox(net=Says(3.0, 0.0, 3.0), candidates=candidates)
    expected = -torch.tensor([3.0, 0, 3]).log_softmax(0)[0]
    torch.testing.assert_close(system.loss(batch([LEFT, RIGHT]))["choice"], expected)
    (found,) = system.decode(system(batch([LEFT]).pictures), [Frame.whole((SIDE, SIDE))])
    assert found.boxes.tolist() in ([LEFT], [RIGHT])


def test_nearest_candidate_is_that_of_the_brute_force_twin():
    system = ClassifiedBox(net=Says(0.0), candidates=box_grid(SIDE))
    torch.manual_seed(0)
    corner = torch.rand(50, 2) * 48
    truth = torch.cat([corner, corner + torch.rand(50, 2) * 20 + 2], dim=1)
    for box, found in zip(truth, system.nearest(truth).tolist(), strict=True):
        distances = [float(((box - candidate) ** 2).sum()) for candidate in system.candidates]
        assert distances[found] == pytest.approx(min(distances))


def test_refinement_moves_the_chosen_candidate_and_is_learned_for_it_alone():
    candidates = torch.tensor([[8.0, 24, 24, 40], [40, 24, 56, 40]])
    truth = torch.tensor([[10.0, 20, 30, 42]])
    deltas = encode(truth, candidates[:1])[0].tolist()
    system = RefinedBox(net=Says(2.0, *deltas, -2.0, 0.5, 0.5, 0.5, 0.5), candidates=candidates)
    terms = system.loss(batch(truth.tolist()))
    torch.testing.assert_close(terms["box"], torch.tensor(0.0), atol=1e-6, rtol=0)
    sum(terms.values()).backward()
    assert not system.net.numbers.grad[6:].any()
    (found,) = system.decode(system(batch(LEFT).pictures), [Frame((128, 128), (64, 64), (64, 64))])
    torch.testing.assert_close(found.boxes, truth * 2)  # in original pixels
    assert float(found.scores.detach()) == pytest.approx(float(torch.tensor(4.0).sigmoid()))


@pytest.mark.parametrize("way", WAYS)
def test_every_picture_counts_once_and_those_without_objects_not_at_all(way):
    torch.manual_seed(0)
    system = WAYS[way](SIDE).eval()
    both = system.loss(batch([LEFT, RIGHT], [LEFT], [], None))
    two, one = system.loss(batch([LEFT, RIGHT])), system.loss(batch([LEFT]))
    for name in both:
        torch.testing.assert_close(both[name], (two[name] + one[name]) / 2)
    nothing = sum(system.loss(batch([], None)).values())
    nothing.backward()
    assert float(nothing.detach()) == 0


@pytest.mark.parametrize("way", WAYS)
def test_outputs_have_one_form(way):
    system = WAYS[way](SIDE).eval()
    with torch.no_grad():
        outputs = system(torch.zeros(2, 3, SIDE, SIDE, dtype=torch.uint8))
    assert isinstance(outputs, BoxOutputs)
    assert outputs.boxes.shape == (2, outputs.logits.shape[1], 4)
    scenes = system.decode(outputs, [Frame.whole((SIDE, SIDE))] * 2)
    for scene, boxes, logits in zip(scenes, outputs.boxes, outputs.logits, strict=True):
        best = max(range(len(logits)), key=lambda i, logits=logits: float(logits[i]))
        assert scene.scores.tolist() == pytest.approx([1 / float((logits - logits[best]).exp().sum())])
        wanted = boxes[best].clamp(0, SIDE)[None]
        kept = bool((wanted[:, 2:] > wanted[:, :2]).all()) or bool((boxes[best, 2:] <= boxes[best, :2]).any())
        torch.testing.assert_close(scene.boxes, wanted if kept else wanted[:0])


def as_batch(dataset):
    samples = TrainingSet(dataset, SIDE)
    return collate([samples[(0, i)] for i in range(len(samples))])


@pytest.fixture(scope="module")
def made():
    """Pictures to learn from and to be judged by, with one object and with two at mirrored places."""
    return {
        mirrored: [as_batch(made_scenes(n, seed=n, mirrored=mirrored)) for n in (256, 48)] for mirrored in (False, True)
    }


def learned(way, learn, steps=100):
    torch.manual_seed(0)
    system = WAYS[way](SIDE)
    optimizer = torch.optim.AdamW(system.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    for _ in range(steps):
        some = torch.randint(len(learn), (32,)).tolist()
        part = [[values[i] for i in some] for values in (learn.frames, learn.scenes, learn.names)]
        optimizer.zero_grad()
        sum(system.loss(Batch(learn.pictures[some], *part)).values()).backward()
        optimizer.step()
        schedule.step()
    return system.eval()


@torch.no_grad()
def overlaps_and_middles(system, judge):
    """Return the overlap of each answer with the object that it fits best, and where its middle lies in x."""
    found = system.decode(system(judge.pictures), judge.frames)
    pairs = zip(found, judge.scenes, strict=True)
    overlap = torch.stack([pairwise_iou(said.boxes, truth.boxes).max() for said, truth in pairs])
    return overlap, torch.cat([said.boxes for said in found])[:, [0, 2]].mean(1)


@pytest.mark.parametrize("way", WAYS)
def test_all_learn_where_one_object_is(made, way):
    learn, judge = made[False]
    overlap, middle = overlaps_and_middles(learned(way, learn), judge)
    truth = torch.cat([scene.boxes for scene in judge.scenes])[:, [0, 2]].mean(1)
    assert float(overlap.mean()) > 0.3
    assert float(torch.corrcoef(torch.stack([middle, truth]))[0, 1]) > 0.8


@pytest.mark.parametrize("way", WAYS)
def test_of_two_objects_quadratic_regression_finds_the_mean_and_the_others_one(made, way):
    learn, judge = made[True]
    overlap, middle = overlaps_and_middles(learned(way, learn), judge)
    from_the_mean = (middle - SIDE / 2).abs()
    if way == "quadratic":
        assert float(from_the_mean.mean()) < 4
        assert float(overlap.mean()) < 0.2
    else:
        assert float(from_the_mean.mean()) > 12
        assert float((overlap > 0.4).float().mean()) > 0.8
