"""A one-stage detector that outlines: masks belong to the boxes that it answers with, and are learned where known."""

import pytest
import torch

from allsight.backbones.pictures.efficientnet_lite import efficientnet_lite0
from allsight.data.made.still_lifes import still_lifes
from allsight.data.pictures.loading import Batch
from allsight.models.instances.retina_masks import LOOKS, jittered_boxes
from allsight.models.segmentation.scored import most_probable
from allsight.models.whole.everyday import everyday
from allsight.ops.boxes import pairwise_iou
from allsight.ops.pixels import at_pixels
from allsight.scene import Frame, Masks, Scene, Vocabulary

SIZE = (96, 128)
CLASSES, REGIONS = Vocabulary(("ball", "box", "cone")), Vocabulary(("wall", "solid"))


def system(**choice):
    torch.manual_seed(0)
    return everyday(classes=CLASSES, region_classes=REGIONS, channels=16, width=16, depth=1, **choice)


@pytest.fixture(scope="module")
def batch() -> Batch:
    made = still_lifes(2, seed=1, size=SIZE)
    pictures = torch.stack([example.picture() for example in made])
    scenes = [
        example.scene.with_(regions=(example.scene.regions > 0).long(), region_classes=REGIONS) for example in made
    ]
    scenes = [scene.with_(labels=scene.labels % 3, tags=None) for scene in scenes]
    return Batch(pictures, [Frame.whole(SIZE)] * 2, scenes, ["a", "b"])


def test_masks_are_those_of_the_boxes_and_within_them(batch: Batch) -> None:
    model = system().eval()
    model.heads["objects"].selection = type(model.heads["objects"].selection)(score_threshold=0.0, most=5)
    frame = Frame((48, 64), SIZE, SIZE)
    with torch.no_grad():
        outputs = model(batch.pictures[:1])
        (scene,) = model.heads["objects"].decode(outputs.heads["objects"], [frame])
    assert len(scene) == 5
    assert scene.scores.tolist() == sorted(scene.scores.tolist(), reverse=True)
    around, outlined = scene.masks.boxes(), scene.masks.area() > 0
    inside = torch.cat([around[:, :2] - scene.boxes[:, :2], scene.boxes[:, 2:] - around[:, 2:]], dim=1)
    assert bool((inside[outlined] >= -1.0).all())


def test_boxes_are_those_of_the_detector_without_masks(batch: Batch) -> None:
    outlining, plain = system().eval(), system(parts=("objects", "regions")).eval()
    plain.heads["objects"].load_state_dict(outlining.heads["objects"].boxes.state_dict())
    plain.neck.load_state_dict(outlining.neck.state_dict())
    frames = [Frame.whole(SIZE)] * 2
    with torch.no_grad():
        pairs = [
            model.heads["objects"].decode(model(batch.pictures).heads["objects"], frames)
            for model in (outlining, plain)
        ]
    for one, two in zip(*pairs, strict=True):
        torch.testing.assert_close(one.scores, two.scores)
        assert one.labels.tolist() == two.labels.tolist()
        torch.testing.assert_close(one.boxes, two.boxes, atol=1e-3, rtol=1e-4)


KEPT = {"objects/masks": ("boxes", "labels", "masks"), "regions/cross_entropy": ("regions",)}


@pytest.mark.parametrize("term", KEPT)
def test_each_learns_from_its_annotation_alone(term: str, batch: Batch) -> None:
    model = system().train()
    bare = [Scene(SIZE, **{name: getattr(scene, name) for name in KEPT[term]}) for scene in batch.scenes]
    terms = model.loss(Batch(batch.pictures, batch.frames, bare, batch.names))
    assert terms[term] > 0
    boxes_only = [scene.with_(masks=None, regions=None) for scene in batch.scenes]
    terms = model.loss(Batch(batch.pictures, batch.frames, boxes_only, batch.names))
    assert terms[term] == 0
    assert terms["objects/classes"] > 0


def test_jittered_boxes_stay_near_and_are_all_there() -> None:
    torch.manual_seed(0)
    scenes = [
        Scene(SIZE, boxes=torch.tensor([[10.0, 10, 50, 40]] * 20), masks=Masks.blank(20, SIZE)),
        Scene(SIZE, boxes=torch.tensor([[0.0, 0, 9, 9]] * 3), masks=None),
    ]
    boxes, valid = jittered_boxes(scenes, "cpu")
    assert valid.sum(1).tolist() == [20 * LOOKS, 0]
    overlap = pairwise_iou(scenes[0].boxes[:1], boxes[0])[0]
    assert 0.5 < overlap.mean() < 0.9


def test_the_most_probable_class_is_that_of_all_maps_at_full_size() -> None:
    torch.manual_seed(1)
    logits = 3 * torch.randn(4, 6, 8)
    frame = Frame((50, 70), (45, 63), (48, 64))
    regions, scores = most_probable(logits, frame)
    everywhere = at_pixels(logits.softmax(0), frame)
    torch.testing.assert_close(scores, everywhere.amax(0))
    assert torch.equal(regions, everywhere.argmax(0))


def test_everything_is_said_at_once(batch: Batch) -> None:
    model = system(groups={"ball": "solid", "box": "solid"}, least_score=0.0).eval()
    with torch.no_grad():
        (scene,) = map(model.finished, model.decode(model(batch.pictures[:1]), [Frame((48, 64), SIZE, SIZE)]))
    assert scene.tags.shape == (1000,)
    assert scene.regions.shape == scene.region_scores.shape == scene.panoptic.shape == (48, 64)
    assert {segment.get("object") for segment in scene.segments} <= {None, "ball", "box"}  # a cone is no region


def test_the_trunk_is_efficientnet_lite0_as_published() -> None:
    published = efficientnet_lite0().state_dict()
    for name, tensor in system().trunk.state_dict().items():
        assert torch.equal(tensor, published[name])


def test_narrowed_it_says_the_same_of_what_is_wanted_and_no_more(batch: Batch) -> None:
    parts = ("objects", "masks", "regions")
    whole, narrowed = system(parts=parts).eval(), system(parts=parts).eval()
    torch.nn.init.normal_(whole.heads["objects"].boxes.classification.last[-1].weight)
    narrowed.load_state_dict(whole.state_dict())
    for model in (whole, narrowed):
        head = model.heads["objects"]
        head.selection, head.outlined = type(head.selection)(score_threshold=0.0, most=60), 60
    scores = []
    with torch.no_grad():
        (best, *_) = whole.decode(whole(batch.pictures), [Frame.whole(SIZE)] * 2)
        least = {"ball": 2.0, "box": best.scores[best.labels == 1][3].item(), "cone": 2.0}
        narrowed.narrow(lambda name: least[name])
        outputs = narrowed(batch.pictures)
        both = [model.decode(model(batch.pictures), [Frame.whole(SIZE)] * 2) for model in (whole, narrowed)]
    for full, few in zip(*both, strict=True):
        assert set(few.labels.tolist()) == {1}
        full, few = (each.keep((each.labels == 1) & (each.scores >= least["box"])) for each in (full, few))
        scores += few.scores.tolist()
        torch.testing.assert_close(few.scores, full.scores)
        torch.testing.assert_close(few.boxes, full.boxes)
        assert torch.equal(few.masks.bits, full.masks.bits)
    assert len(scores) >= 4
    assert outputs.heads["objects"].masks.shape[1] < outputs.heads["objects"].boxes.shape[1]


def test_narrowed_to_nothing_it_still_answers(batch: Batch) -> None:
    model = system(parts=("objects", "masks", "regions")).eval()
    model.narrow(lambda name: 1.1)
    with torch.no_grad():
        outputs = model(batch.pictures[:1])
        (scene,) = model.decode(outputs, [Frame.whole(SIZE)])
    assert set(scene.labels.tolist()) <= {0}
    assert outputs.heads["objects"].masks.shape[1] <= 1


def test_narrowed_where_all_is_wanted_it_is_as_it_was(batch: Batch) -> None:
    model = system().eval()
    frames = [Frame.whole(SIZE)] * 2
    with torch.no_grad():
        before = model.decode(model(batch.pictures), frames)
        model.narrow(lambda name: 0.0)
        after = model.decode(model(batch.pictures), frames)
    assert [scene.to_json() for scene in before] == [scene.to_json() for scene in after]
