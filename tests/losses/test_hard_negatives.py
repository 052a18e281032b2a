"""Hard negatives against a brute-force twin and hand-made cases; the three losses of the dense head side by side."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.hub import Spec
from allsight.losses.focal import sigmoid_focal_loss
from allsight.losses.hard_negatives import hard_negative_loss
from allsight.models.detection.dense import DenseOutputs
from allsight.models.detection.matcher import IGNORED, Targets
from allsight.models.detection.retinanet import CLASS_LOSSES, retinanet_narrow
from allsight.ops.selection import highest
from allsight.scene import Scene, Vocabulary


def twin(logits, targets, judged, ratio, least):
    """Picture by picture, anchor by anchor."""
    result = torch.zeros_like(logits)
    for picture in range(len(logits)):
        cost = F.binary_cross_entropy_with_logits(logits[picture], targets[picture], reduction="none")
        anchors = [a for a in range(len(cost)) if judged[picture, a, 0]]
        positives = [a for a in anchors if targets[picture, a].max() > 0]
        negatives = [a for a in anchors if a not in positives]
        negatives.sort(key=lambda a: -float(cost[a].sum()))
        for a in positives + negatives[: max(int(ratio * len(positives)), least)]:
            result[picture, a] = cost[a]
    return result


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(0, 5), st.sampled_from([1.0, 3.0]))
def test_chosen_are_those_of_the_brute_force_twin(seed, share, least, ratio):
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn((3, 30, 2), generator=random)
    targets = (torch.rand((3, 30, 2), generator=random) < 0.3 * share).float()
    judged = torch.rand((3, 30, 1), generator=random) < 0.8
    found = hard_negative_loss(logits, targets, judged, ratio=ratio, least=least)
    torch.testing.assert_close(found, twin(logits, targets, judged, ratio, least))


def test_three_hardest_negatives_for_the_positive():
    # Negatives cost more the higher their logit is; anchor 1 is the positive, anchor 4 the hardest but not judged.
    logits = torch.tensor([[0.0, 2.0, -3.0, 1.0, 9.0, -1.0, 0.5]])[..., None]
    targets = torch.tensor([[0.0, 1, 0, 0, 0, 0, 0]])[..., None]
    judged = torch.tensor([[True, True, True, True, False, True, True]])[..., None]
    found = hard_negative_loss(logits, targets, judged)
    assert (found[0, :, 0] > 0).tolist() == [True, True, False, True, False, False, True]
    torch.testing.assert_close(found[0, 1, 0], F.softplus(torch.tensor(-2.0)))


def test_every_picture_chooses_for_itself():
    logits = torch.zeros(2, 20, 1)
    logits[1] = 5  # much harder, but the first picture has the positives
    targets = torch.zeros(2, 20, 1)
    targets[0, :2] = 1
    kept = hard_negative_loss(logits, targets)[..., 0] > 0
    assert kept.sum(1).tolist() == [2 + 6, 3]


@pytest.mark.parametrize(("positives", "kept"), [(0, 3), (10, 10), (4, 10)])
def test_no_positives_and_no_negatives(positives, kept):
    targets = torch.zeros(1, 10, 2)
    targets[0, :positives, 1] = 1
    assert int((hard_negative_loss(torch.zeros(1, 10, 2), targets).sum(-1) > 0).sum()) == kept


def test_nothing_judged_costs_nothing_and_gives_no_gradient():
    logits = torch.randn(2, 5, 3, requires_grad=True)
    for loss in CLASS_LOSSES.values():
        found = loss(logits, torch.ones(2, 5, 3), torch.zeros(2, 5, 1, dtype=torch.bool)).sum()
        (gradient,) = torch.autograd.grad(found, logits)
        assert float(found.detach()) == 0 and not gradient.any()


def test_easy_negatives_get_no_gradient():
    logits = torch.linspace(-3, 3, 9).reshape(1, 9, 1).requires_grad_()
    targets = torch.zeros(1, 9, 1)
    targets[0, 0] = 1
    (gradient,) = torch.autograd.grad(hard_negative_loss(logits, targets).sum(), logits)
    assert (gradient[0, :, 0] != 0).tolist() == [True] + [False] * 5 + [True] * 3


def test_cross_entropy_is_the_plain_one():
    logits, targets = torch.randn(2, 7, 3), (torch.rand(2, 7, 3) < 0.3).float()
    judged = torch.rand(2, 7, 1) < 0.7
    expected = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * judged
    torch.testing.assert_close(CLASS_LOSSES["cross_entropy"](logits, targets, judged), expected)


def test_focal_loss_of_what_is_judged_is_as_before():
    logits, targets, judged = torch.randn(2, 7, 3), torch.ones(2, 7, 3), torch.rand(2, 7, 1) < 0.5
    assert torch.equal(sigmoid_focal_loss(logits, targets, judged), sigmoid_focal_loss(logits, targets) * judged)


@given(st.integers(0, 10_000), st.integers(0, 12))
def test_highest_is_a_sort_among_the_allowed(seed, count):
    random = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 5, (4, 10), generator=random).float()  # with ties
    among = torch.rand((4, 10), generator=random) < 0.6
    found = highest(values, among, count)
    for row, allowed, chosen in zip(values.tolist(), among.tolist(), found.tolist(), strict=True):
        order = sorted((i for i in range(10) if allowed[i]), key=lambda i: -row[i])
        assert [i for i in range(10) if chosen[i]] == sorted(order[:count])


def test_nothing_else_of_the_head_changes_between_the_three():
    spec = Spec("efficientnet_lite0", {"weights": False})
    classes = Spec("vocabulary", {"names": ["a", "b"]})
    states = []
    for name in CLASS_LOSSES:
        arguments = {"trunk": spec, "classes": classes, "channels": 16, "depth": 1, "class_loss": name}
        torch.manual_seed(0)
        states.append(Spec.from_json(Spec("retinanet_narrow", arguments).to_json()).build().state_dict())
    for other in states[1:]:
        assert all(torch.equal(states[0][key], other[key]) for key in states[0])


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_head_divides_by_positives_and_leaves_out_what_is_ignored(name):
    classes = Vocabulary(("a", "b"))
    system = retinanet_narrow(
        trunk=efficientnet_lite0(weights=False), classes=classes, channels=16, depth=1, class_loss=name
    )
    head = system.heads["objects"]
    truth = Scene((64, 64), boxes=torch.tensor([[8.0, 8, 40, 40]]), labels=torch.tensor([1]), object_classes=classes)
    blank = truth.keep(torch.zeros(1, dtype=torch.bool))
    anchors = head.anchors([(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)])
    logits = torch.randn(3, len(anchors), 2)
    outputs = DenseOutputs(logits, torch.zeros(3, len(anchors), 4), anchors)
    scenes = [truth, blank, Scene((64, 64))]
    labels = Targets(anchors, scenes, head.matcher).labels
    target = torch.stack([labels == 0, labels == 1], dim=-1).float()
    judged = (labels != IGNORED)[..., None]
    found = head.criterion(outputs, [], scenes)["classes"]
    torch.testing.assert_close(found, CLASS_LOSSES[name](logits, target, judged).sum() / (labels >= 0).sum())
    wild = logits.clone()
    wild[labels == IGNORED] = 50.0
    torch.testing.assert_close(head.criterion(outputs._replace(logits=wild), [], scenes)["classes"], found)


@pytest.mark.parametrize("loss", CLASS_LOSSES.values(), ids=CLASS_LOSSES)
def test_all_three_tell_the_positives_from_the_many_others(loss):
    targets = torch.zeros(2, 500, 2)
    targets[0, 7, 1] = 1  # the second picture has none
    logits = torch.full((2, 500, 2), -4.6, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        loss(logits, targets, torch.ones(2, 500, 1, dtype=torch.bool)).sum().backward()
        optimizer.step()
    found = logits.detach().sigmoid()
    assert float(found[0, 7, 1]) > 0.7
    found[0, 7, 1] = 0
    assert float(found.max()) < 0.05
