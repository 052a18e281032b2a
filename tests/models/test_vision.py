"""`Vision` and its tag heads: one pass for all heads, partial annotation, merged answers."""

import pytest
import torch
from torch import nn

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.data.pictures.loading import Batch
from allsight.models.classification.located import imagenet_tags
from allsight.models.classification.tags import TagHead, classifier
from allsight.models.vision import Vision
from allsight.scene import Frame, Scene, Vocabulary

SIZE = (64, 64)
CLASSES = Vocabulary(("a", "b", "c"))


def batch(scenes):
    pictures = torch.randint(0, 256, (len(scenes), 3, *SIZE), dtype=torch.uint8)
    return Batch(pictures, [Frame.whole(SIZE)] * len(scenes), scenes, [str(i) for i in range(len(scenes))])


def tagged(*tags):
    return Scene(SIZE, tags=torch.tensor(tags), tag_classes=CLASSES)


def head(**options):
    return TagHead(source="pooled", classifier=nn.Linear(1280, 3), classes=CLASSES, **options)


def test_the_trunk_runs_once_for_all_heads():
    calls = []
    trunk = efficientnet_lite0(weights=False).cut("pooled")
    trunk.register_forward_hook(lambda *_: calls.append(1))
    system = Vision(trunk=trunk, heads={"one": head(), "two": head()}).eval()
    system.loss(batch([tagged(1.0, 0, 0)]))
    system(torch.zeros(1, 3, *SIZE, dtype=torch.uint8))
    assert len(calls) == 2


def test_losses_of_several_heads_are_named_after_them():
    trunk = efficientnet_lite0(weights=False).cut("pooled")
    learn = batch([tagged(1.0, 0, 0)])
    assert set(Vision(trunk=trunk, heads={"one": head()}).eval().loss(learn)) == {"tags"}
    assert set(Vision(trunk=trunk, heads={"x": head(), "y": head()}).eval().loss(learn)) == {"x/tags", "y/tags"}


@pytest.mark.parametrize("multi_label", [False, True])
def test_pictures_without_tags_give_no_loss_and_no_gradient(multi_label):
    system = classifier(trunk=efficientnet_lite0(weights=False), classes=CLASSES, multi_label=multi_label).eval()
    one = batch([tagged(0, 1.0, 0)])
    both = Batch(one.pictures.repeat(2, 1, 1, 1), one.frames * 2, [*one.scenes, Scene(SIZE)], one.names * 2)
    torch.testing.assert_close(system.loss(one), system.loss(both))
    nothing = system.loss(Batch(one.pictures, one.frames, [Scene(SIZE)], one.names))["tags"]
    assert float(nothing.detach()) == 0


def test_single_label_loss_is_cross_entropy():
    system = classifier(trunk=efficientnet_lite0(weights=False), classes=CLASSES).eval()
    nn.init.normal_(system.heads["tags"].classifier.weight)
    learn = batch([tagged(0, 1.0, 0), tagged(0, 0, 1.0)])
    logits = system(learn.pictures).heads["tags"].logits
    expected = -(logits.log_softmax(1)[0, 1] + logits.log_softmax(1)[1, 2]) / 2
    torch.testing.assert_close(system.loss(learn)["tags"], expected)


def test_a_new_classifier_starts_undecided_and_answers_with_probabilities():
    system = classifier(trunk=efficientnet_lite0(weights=False), classes=CLASSES).eval()
    (scene,) = system.decode(system(torch.zeros(1, 3, *SIZE, dtype=torch.uint8)), [Frame.whole((30, 40))])
    torch.testing.assert_close(scene.tags, torch.full((3,), 1 / 3))
    assert scene.size == (30, 40)
    assert scene.tag_classes == CLASSES


def test_tags_have_places_in_original_pixels():
    system = imagenet_tags().eval()
    tags = system.heads["tags"]
    tags.threshold = 0.0
    pictures = torch.randint(0, 256, (2, 3, *SIZE), dtype=torch.uint8)
    frame = Frame((128, 256), (32, 64), SIZE)
    with torch.no_grad():
        scenes = system.decode(system(pictures), [frame, Frame.whole(SIZE)])
    for scene, size in zip(scenes, ((128, 256), SIZE), strict=True):
        assert scene.size == size
        assert scene.tags.shape == (1000,)
        weak = scene.keep(scene.weak)
        assert len(weak) >= 1
        assert weak.masks.size == size
        assert (weak.masks.area() > 0).all()
        assert (weak.boxes[:, 2] <= size[1]).all()


def test_tags_are_what_imagenet_taught():
    # Trunk and classifier must still be the published ones: equal logits.
    system = imagenet_tags().eval()
    trunk = efficientnet_lite0().eval()
    pictures = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(
            system(pictures).heads["tags"].logits, trunk(pictures, ("logits",))["logits"], atol=1e-4, rtol=1e-4
        )
