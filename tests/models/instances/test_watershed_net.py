"""The watershed head: what it learns from, what it answers with, and two touching discs learned by heart."""

import pytest
import torch
from detection_examples import batch, learned

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.backbones.pictures.resnet import resnet18
from allsight.errors import ModelError
from allsight.metrics.instances import mask_overlaps
from allsight.models.instances.watershed import BACKGROUND, BORDER, INSIDE, WatershedOutputs, rims, watershed_net
from allsight.scene import Frame, Masks, Scene, Vocabulary

CELL = Vocabulary(("cell",))
SIZE = (64, 96)


def discs(*circles: tuple[float, float, float], size: tuple[int, int] = SIZE) -> Scene:
    """Discs (x, y, radius), a pixel of two being the nearer one's."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    depth = torch.stack([r - ((x - a) ** 2 + (y - b) ** 2).sqrt() for a, b, r in circles])
    masks = Masks.from_dense((depth > 0) & (depth == depth.amax(0)))
    return Scene(size, masks.boxes(), torch.zeros(len(masks), dtype=torch.int64), masks=masks, object_classes=CELL)


def numbers_of(scene: Scene) -> torch.Tensor:
    assert scene.masks is not None
    return (scene.masks.dense() * torch.arange(1, len(scene) + 1)[:, None, None]).sum(0)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return watershed_net(trunk=efficientnet_lite0(weights=False), classes=CELL)


def test_rims_by_hand():
    numbers = torch.tensor([[1, 1, 1, 2, 2, 2, 0, 0]] * 3)
    assert rims(numbers, 1)[1].tolist() == [INSIDE, INSIDE, BORDER, BORDER, INSIDE, BORDER, BACKGROUND, BACKGROUND]
    assert rims(numbers, 2)[1].tolist() == [INSIDE, *[BORDER] * 5, BACKGROUND, BACKGROUND]
    # Cut off by the edge of the picture is no border.
    assert (rims(torch.ones(4, 4, dtype=torch.int64), 2) == INSIDE).all()


def test_perfect_logits_decode_to_the_truth(net):
    head, truth = net.heads["objects"], discs((30, 30, 14), (56, 30, 14), (84, 50, 9))
    logits = torch.nn.functional.one_hot(rims(numbers_of(truth), head.rim), 3).permute(2, 0, 1)[None] * 20.0 - 10
    terms = head.criterion(WatershedOutputs(logits), [Frame.whole(SIZE)], [truth])
    assert sum(float(term) for term in terms.values()) < 1e-3
    opposite = head.criterion(WatershedOutputs(-logits), [Frame.whole(SIZE)], [truth])
    assert opposite["pixels"] > 5
    assert opposite["gaps"] > 0.1
    (found,) = head.decode(WatershedOutputs(logits), [Frame.whole(SIZE)])
    assert len(found) == 3
    assert (mask_overlaps(found.masks, truth.masks).max(1) > 0.95).all()
    assert (found.scores > 0.99).all()
    # Half the size and padding on the right: answers are in original pixels.
    frame = Frame((128, 184), (64, 92), SIZE)
    (doubled,) = head.decode(WatershedOutputs(logits), [frame])
    assert doubled.size == (128, 184)
    assert (doubled.boxes[:, 2] <= 184).all()
    assert doubled.masks.area().sum() == pytest.approx(4 * float(truth.masks.area().sum()), rel=0.05)


def test_unusual_batches_are_learned_from(net):
    net.train()
    empty = discs((30, 30, 14)).keep(torch.zeros(0, dtype=torch.int64))
    for scenes in ([discs((30, 30, 14)), Scene(SIZE)], [empty, empty], [Scene(SIZE), Scene(SIZE)]):
        net.zero_grad()
        terms = net.loss(batch(scenes))
        assert set(terms) == {"pixels", "gaps"}
        sum(terms.values()).backward()
        assert all(term.isfinite() for term in terms.values())
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


def test_it_learns_touching_discs_by_heart():
    torch.manual_seed(0)
    net = watershed_net(trunk=resnet18(), classes=CELL, widths=(8, 16, 32, 64))
    size = (64, 64)
    truths = [discs((18, 24, 13), (42, 24, 13), size=size), discs((14, 30, 11), (40, 22, 17), size=size)]
    pictures = torch.full((2, 3, *size), 60, dtype=torch.uint8)
    for picture, truth in zip(pictures, truths, strict=True):
        picture[:, truth.masks.dense().any(0)] = 220
    for truth, found in zip(truths, learned(net, pictures, truths, 90), strict=True):
        assert len(found) == 2
        assert (mask_overlaps(found.masks, truth.masks).max(1) > 0.8).all()


def test_one_class_only():
    with pytest.raises(ModelError, match="2 classes"):
        watershed_net(trunk=resnet18(), classes=Vocabulary(("a", "b")))
