"""NanoDet-Plus: the published net's own output, losses by hand, learning, guidance, and answers in original pixels."""

from pathlib import Path

import pytest
import torch
from nanodet_graph import graph_output, reference
from safetensors.torch import load_file

from allsight.backbones.pictures.shufflenet import shufflenet_v2
from allsight.data.pictures.loading import Batch
from allsight.errors import WeightsError
from allsight.layers.folding import folded
from allsight.losses.distribution_focal import distribution_focal_loss
from allsight.losses.quality_focal import quality_focal_loss
from allsight.models.detection.generalised_focal import GeneralisedFocalOutputs
from allsight.models.detection.nanodet import nanodet_plus
from allsight.models.detection.nanodet_keys import convolutions, load_published
from allsight.models.detection.nanodet_transfer import begin_with
from allsight.models.detection.side_distributions import boxes_around, expected, places
from allsight.ops.boxes import aligned_giou, pairwise_iou
from allsight.scene import Frame, Scene, Vocabulary

CLASSES = Vocabulary(("square", "disc"))
EIGHTY = Vocabulary(tuple(f"class {i}" for i in range(80)))
SIZE = (64, 96)


def published(classes=EIGHTY):
    trunk = shufflenet_v2(slope=0.1, normalised=False)
    return nanodet_plus(trunk=trunk, classes=classes, normalised=False, guidance=False).eval()


def small(**options):
    return nanodet_plus(trunk=shufflenet_v2(0.5, slope=0.1), classes=CLASSES, channels=32, **options)


def scene(boxes, labels, size=SIZE, **more):
    boxes, labels = torch.tensor(boxes).reshape(-1, 4).float(), torch.tensor(labels).long()
    return Scene(size, boxes=boxes, labels=labels, object_classes=CLASSES, **more)


def batch(*scenes):
    pictures = torch.randint(0, 256, (len(scenes), 3, *SIZE), dtype=torch.uint8)
    return Batch(pictures, [Frame.whole(SIZE)] * len(scenes), list(scenes), [f"{i}.jpg" for i in range(len(scenes))])


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "nanodet_plus"


@pytest.fixture(scope="module")
def said(folder):
    """The published picture, and what our net says of it in the form of the reference."""
    system = published()
    load_published(system, load_file(folder / "nanodet_plus_m_416.safetensors"), source="published")
    picture, _ = reference(folder)
    with torch.no_grad():
        outputs = system(picture).heads["objects"]
    return torch.cat([outputs.logits.sigmoid(), outputs.sides.flatten(2)], dim=2)[0]


def test_equal_to_the_published_operations(folder, said):
    torch.testing.assert_close(said, graph_output(folder, reference(folder)[0]), atol=1e-3, rtol=1e-3)


def test_equal_to_the_published_output_as_far_as_half_precision_goes(folder, said):
    # The weights at hand are rounded to half precision, and the output was not computed with these digits: the list of
    # operations itself, in float32, is as far from it as our net is, to the last figure.
    _, output = reference(folder)
    assert output.shape == (3598, 112)
    apart = (said - output)[:, :80].abs()
    assert float(apart.mean()) < 1e-4
    assert float(apart.quantile(0.999)) < 1e-3
    assert float(apart.max()) < 4e-3
    sure = output[:, :80].amax(1) > 0.3
    assert int(sure.sum()) > 5
    ours, theirs = (expected(x[sure, 80:].unflatten(1, (4, 8))) for x in (said, output))
    assert float((ours - theirs).abs().mean()) < 1e-3  # strides
    assert float((ours - theirs).abs().max()) < 0.03


def test_every_published_tensor_has_one_place(folder):
    state = load_file(folder / "nanodet_plus_m_416.safetensors")
    table = convolutions()
    assert len(set(table.values())) == len(table)
    assert {name.rpartition(".")[0] for name in state} == set(table)
    assert {f"{name}.{kind}" for name in table.values() for kind in ("weight", "bias")} == set(published().state_dict())


def test_weights_of_another_net_are_refused(folder):
    state = load_file(folder / "nanodet_plus_m_416.safetensors")
    system = published()
    before = {name: tensor.clone() for name, tensor in system.state_dict().items()}
    for wrong in (
        {name: tensor for name, tensor in state.items() if name != "Conv_9.bias"},
        {**state, "Conv_999.bias": state["Conv_9.bias"]},
        {**state, "Conv_9.bias": state["Conv_9.bias"][:-1]},
        {name: tensor for name, tensor in state.items() if name != "Conv_0.weight"},
    ):
        with pytest.raises(WeightsError, match=r"wrong\.safetensors"):
            load_published(system, wrong, source="wrong.safetensors")
    with pytest.raises(WeightsError, match="another architecture"):
        load_published(published(CLASSES), state, source="wrong.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in system.state_dict().items())


def test_learned_norms_fold_into_the_published_form_name_by_name():
    torch.manual_seed(0)
    system = nanodet_plus(trunk=shufflenet_v2(slope=0.1), classes=CLASSES, guidance=False).eval()
    for norm in (module for module in system.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 1.5)
    pictures = batch(scene([], []))
    plain = published(CLASSES)
    plain.load_state_dict(folded(system, pictures.pictures).state_dict())
    with torch.no_grad():
        one, two = (each(pictures.pictures).heads["objects"] for each in (system, plain))
    torch.testing.assert_close(one.logits, two.logits, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(one.sides, two.sides, atol=1e-3, rtol=1e-3)


def raw(boxes, labels, score=0.9, size=SIZE):
    """Return outputs in which places say boxes, whose corners are multiples of 8, one each, and nothing else."""
    where = places([(size[0] // 8, size[1] // 8)], [8])
    logits, sides = torch.full((1, len(where), 2), -20.0), torch.zeros(1, len(where), 4, 8)
    for number, (box, label) in enumerate(zip(boxes, labels, strict=True)):
        middle = torch.tensor([(box[0] + box[2]) // 16 * 8 + 8 * (number % 2), (box[1] + box[3]) // 16 * 8])
        index = int((where[:, :2] == middle).all(1).nonzero())
        logits[0, index, label] = torch.tensor(score - 0.01 * number).logit()
        sides[0, index] = -50.0
        for side, corner in enumerate((middle[0] - box[0], middle[1] - box[1], box[2] - middle[0], box[3] - middle[1])):
            sides[0, index, side, int(corner) // 8] = 0.0
    return GeneralisedFocalOutputs(logits, sides, where)


def test_answers_lie_in_original_pixels_and_are_cut_at_the_border():
    head = small(guidance=False).heads["objects"]
    frame = Frame(original=(120, 180), resized=(60, 90), padded=SIZE)
    (found,) = head.decode(raw([[16, 8, 48, 40], [56, 24, 96, 64]], [0, 1]), [frame])
    assert found.size == (120, 180)
    assert found.labels.tolist() == [0, 1]
    torch.testing.assert_close(found.boxes, torch.tensor([[32.0, 16, 96, 80], [112, 48, 180, 120]]))
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.89]))


def test_boxes_of_one_class_may_overlap_by_six_tenths():
    head = small(guidance=False).heads["objects"]
    near, nearer = [[8, 8, 64, 56], [8, 8, 56, 40]], [[8, 8, 64, 56], [8, 8, 64, 48]]
    for boxes, kept in ((near, 2), (nearer, 1)):
        overlap = float(pairwise_iou(*torch.tensor(boxes).float()[:, None])[0, 0])
        assert (overlap <= 0.6) == (kept == 2)
        (found,) = head.decode(raw(boxes, [1, 1]), [Frame.whole(SIZE)])
        assert len(found) == kept
        (found,) = head.decode(raw(boxes, [0, 1]), [Frame.whole(SIZE)])
        assert len(found) == 2


def test_the_terms_are_the_papers_sums():
    torch.manual_seed(0)
    head = small(guidance=False).heads["objects"]
    where = places([(8, 12), (4, 6), (2, 3), (1, 2)], (8, 16, 32, 64))
    outputs = GeneralisedFocalOutputs(torch.randn(2, len(where), 2), torch.randn(2, len(where), 4, 8), where)
    scenes = [scene([[10, 10, 60, 50], [40, 5, 90, 60]], [0, 1]), scene([], [])]
    terms = head.criterion(outputs, [], scenes)
    found = boxes_around(where, expected(outputs.sides[0]))
    match, overlaps = head.assigner(outputs.logits[0], found, where, scenes[0].boxes, scenes[0].labels)
    quality = torch.zeros(2, len(where), 2)
    total = giou = sides = 0.0
    for p in (match >= 0).nonzero()[:, 0].tolist():
        box, label = scenes[0].boxes[match[p]], int(scenes[0].labels[match[p]])
        quality[0, p, label] = overlaps[p]
        weight = float(outputs.logits[0, p].sigmoid().max())
        total += weight
        giou += weight * (1 - float(aligned_giou(found[p], box)))
        x, y, stride = where[p].tolist()
        for side, pixels in enumerate((x - box[0], y - box[1], box[2] - x, box[3] - y)):
            distance = (pixels / stride).clamp(0, 6.9)
            sides += weight * float(distribution_focal_loss(outputs.sides[0, p, side], distance)) / 4
    assert total > 1
    count = int((match >= 0).sum())
    torch.testing.assert_close(terms["classes"], quality_focal_loss(outputs.logits, quality).sum() / count)
    torch.testing.assert_close(terms["boxes"], torch.tensor(2.0 * giou / total), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(terms["sides"], torch.tensor(0.25 * sides / total), rtol=1e-4, atol=1e-5)


def test_giou_by_hand():
    # Two squares of side 2 that share one pixel: overlap 1 of 7, in a hull of 9.
    found = aligned_giou(torch.tensor([0.0, 0, 2, 2]), torch.tensor([1.0, 1, 3, 3]))
    torch.testing.assert_close(found, torch.tensor(1 / 7 - 2 / 9))


def test_pictures_without_boxes_give_no_loss():
    system = small(guidance=False)
    terms = system.loss(batch(Scene(SIZE), Scene(SIZE)))
    assert all(float(term.detach()) == 0 for term in terms.values())


def gradients(system, learn, prefix):
    """Return the sum of absolute gradients that the guidance's terms give to parameters of a prefix."""
    system.zero_grad()
    sum(term for name, term in system.loss(learn).items() if name.startswith("guidance")).backward()
    named = [p for name, p in system.named_parameters() if name.startswith(prefix) and p.grad is not None]
    return sum(float(p.grad.abs().sum()) for p in named)


def test_guidance_teaches_trunk_and_pyramid_until_it_is_detached():
    torch.manual_seed(0)
    system = small(detach_after=6)
    learn = batch(scene([[10, 10, 60, 50]], [0]), scene([[40, 5, 90, 60]], [1]))
    assert gradients(system, learn, "trunk.") > 0
    assert gradients(system, learn, "neck.") > 0
    assert gradients(system, learn, "heads.objects.guidance.") > 0
    assert gradients(system, learn, "heads.objects.subnets.") == 0
    with torch.no_grad():
        system.loss(learn)  # an evaluation is no step
    assert int(system.heads["objects"].guidance.seen) == 4
    other = small(detach_after=6)
    other.load_state_dict(system.state_dict())  # the count goes with a checkpoint
    gradients(other, learn, "trunk.")
    assert gradients(other, learn, "trunk.") > 0
    assert gradients(other, learn, "trunk.") == 0
    assert gradients(other, learn, "neck.") == 0
    assert gradients(other, learn, "heads.objects.guidance.") > 0


def test_guidance_assigns_and_answers_need_it_not():
    torch.manual_seed(0)
    system = small()
    terms = system.loss(batch(scene([[10, 10, 60, 50]], [0])))
    assert set(terms) == {prefix + name for prefix in ("", "guidance ") for name in ("classes", "boxes", "sides")}
    plain = small(guidance=False)
    kept = {name: x for name, x in system.state_dict().items() if not name.startswith("heads.objects.guidance.")}
    plain.load_state_dict(kept)
    pictures = batch(scene([], [])).pictures
    with torch.no_grad():
        one, two = (each.eval()(pictures).heads["objects"] for each in (system, plain))
    assert torch.equal(one.logits, two.logits)


def test_learns_two_pictures_by_heart():
    torch.manual_seed(0)
    pictures = torch.full((2, 3, 64, 64), 60, dtype=torch.uint8)
    pictures[0, :, 12:44, 16:48] = 250
    pictures[1, 0, 24:56, 8:40] = 250
    truths = [scene([[16, 12, 48, 44]], [0], (64, 64)), scene([[8, 24, 40, 56]], [1], (64, 64))]
    learn = Batch(pictures, [Frame.whole((64, 64))] * 2, truths, ["a", "b"])
    system = small()
    optimizer = torch.optim.AdamW(system.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        sum(system.loss(learn).values()).backward()
        optimizer.step()
    with torch.no_grad():  # batch norm with two pictures: the statistics of the batch are the truth here
        answers = system.decode(system(pictures), learn.frames)
    for truth, found in zip(truths, answers, strict=True):
        assert found.labels[0] == truth.labels[0]
        assert found.scores[0] > 0.3
        assert float(pairwise_iou(found.boxes[:1], truth.boxes)) > 0.6


def test_what_is_not_wanted_is_not_computed_and_the_rest_stays():
    torch.manual_seed(0)
    head = small(guidance=False).eval().heads["objects"]
    features = {
        name: torch.randn(1, 32, *size)
        for name, size in zip(head.levels, ((8, 12), (4, 6), (2, 3), (1, 2)), strict=True)
    }
    with torch.no_grad():
        before = head(features, [])
        head.narrow(lambda name: 0.1 if name == "disc" else 2.0)
        after = head(features, [])
    torch.testing.assert_close(after.logits, before.logits[..., 1:])
    torch.testing.assert_close(after.sides, before.sides)
    assert set(head.candidates(after)[1].flatten().tolist()) == {1}


def test_a_class_keeps_its_rows_by_its_name():
    torch.manual_seed(0)
    three = Vocabulary(("cup", "disc", "square"))
    earlier, system = published(three), published(CLASSES)
    begin_with(system, earlier)
    pictures = batch(scene([], [])).pictures
    with torch.no_grad():
        one, two = (each(pictures).heads["objects"] for each in (system, earlier))
    torch.testing.assert_close(one.logits, two.logits[..., [2, 1]])
    torch.testing.assert_close(one.sides, two.sides)
    unlike = published(Vocabulary(("hat", "disc")))
    fresh = unlike.heads["objects"].subnets.last[0].weight[0].clone()
    begin_with(unlike, earlier)
    with torch.no_grad():
        found = unlike(pictures).heads["objects"].logits
    torch.testing.assert_close(found[..., 1], two.logits[..., 1])
    assert torch.equal(unlike.heads["objects"].subnets.last[0].weight[0], fresh)
