"""`everyday`: the published detector as it is, and heads of its own beside it."""

import pytest
import torch
from torch import Tensor

from allsight import hub
from allsight.data.pictures.loading import Batch
from allsight.errors import ModelError
from allsight.models.whole.everyday import detector_of, detector_prefixes, everyday, published_classes
from allsight.scene import Frame, Masks, Scene, Vocabulary

SIZE = (96, 128)
REGIONS = Vocabulary(("wall", "solid"))


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """Smooth noise, of which the detector says different things."""
    torch.manual_seed(0)
    coarse = torch.rand(2, 3, 6, 8) * 255
    return torch.nn.functional.interpolate(coarse, SIZE, mode="bicubic").clamp(0, 255).byte()


def small(**choice):
    torch.manual_seed(1)
    return everyday(region_classes=REGIONS, channels=16, width=16, **choice)


def test_boxes_are_those_of_the_shipped_nanodet(pictures: Tensor) -> None:
    published, system = hub.load("nanodet").system, small().eval()
    assert published_classes() == published.heads["objects"].classes == system.heads["objects"].classes
    frames = [Frame.whole(SIZE)] * 2
    with torch.no_grad():
        expected = published(pictures).heads["objects"]
        found = system.heads["objects"].boxes(system.features(pictures), frames)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    for one, other in zip(detector_of(system).state_dict().items(), published.state_dict().items(), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])


def test_the_best_objects_are_the_detectors_own(pictures: Tensor) -> None:
    published, system = hub.load("nanodet").system, small().eval()
    frames = [Frame.whole(SIZE)] * 2
    with torch.no_grad():
        pairs = zip(published.decode(published(pictures), frames), system.decode(system(pictures), frames), strict=True)
    for expected, found in pairs:
        assert len(found) > 0
        assert found.names() == expected.names()
        torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(found.boxes, expected.boxes, atol=1e-2, rtol=1e-4)
        assert len(found.masks) == len(found)


def test_some_classes_in_another_order_keep_their_own_answers(pictures: Tensor) -> None:
    known = published_classes()
    whole, some = small(), small(classes=Vocabulary(("dog", "person")))
    with torch.no_grad():
        full, few = (
            each.heads["objects"].boxes(each.features(pictures), [Frame.whole(SIZE)] * 2)
            for each in (whole.eval(), some.eval())
        )
    torch.testing.assert_close(few.logits, full.logits[..., [known.index("dog"), known.index("person")]])
    torch.testing.assert_close(few.sides, full.sides)


def test_a_class_that_the_detector_does_not_know_is_named() -> None:
    with pytest.raises(ModelError, match="unicorn: the published detector does not know it"):
        everyday(classes=Vocabulary(("dog", "unicorn")))


@pytest.mark.parametrize(
    ("parts", "heads", "fine"),
    [
        (("objects",), {"objects"}, False),
        (("objects", "masks"), {"objects"}, True),
        (("objects", "regions"), {"objects", "regions"}, True),
        (("objects", "masks", "regions"), {"objects", "regions"}, True),
    ],
)
def test_parts(parts, heads, fine) -> None:
    system = small(parts=parts)
    assert set(system.heads) == heads
    assert ("d3" in system.neck.outputs) == fine
    prefixes = detector_prefixes(parts)
    kept = {name for name in system.state_dict() if not name.startswith(prefixes)}
    learned = {name for name, each in system.named_parameters() if each.requires_grad}
    assert learned <= kept
    assert not any(each.requires_grad for name, each in system.named_parameters() if name not in kept)
    assert all(name.startswith(("neck.necks.fine.", "heads.objects.masks.", "heads.regions.")) for name in kept)


def test_what_does_not_learn_has_no_loss_and_does_not_move(pictures: Tensor) -> None:
    system = small().train()
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[0, 20:60, 30:90] = True
    scene = Scene(
        SIZE,
        boxes=torch.tensor([[30.0, 20, 90, 60]]),
        labels=torch.tensor([16]),
        masks=Masks.from_dense(mask),
        object_classes=published_classes(),
        regions=mask[0].long(),
        region_classes=REGIONS,
    )
    before = {name: each.clone() for name, each in detector_of(system).state_dict().items()}
    learning = [each for each in system.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(learning, 1e-2)
    batch = Batch(pictures, [Frame.whole(SIZE)] * 2, [scene, scene], ["a", "b"])
    first = system.loss(batch)
    assert set(first) == {"objects/masks", "regions/cross_entropy"}
    for _ in range(25):
        optimizer.zero_grad()
        sum(system.loss(batch).values()).backward()
        optimizer.step()
    last = system.loss(batch)
    for name, value in first.items():
        assert last[name] < 0.6 * value
    for name, each in detector_of(system).state_dict().items():
        assert torch.equal(each, before[name])


def test_everything_is_said_at_once(pictures: Tensor) -> None:
    system = small(groups={"person": "solid"}, least_score=0.0).eval()
    frame = Frame((48, 64), SIZE, SIZE)
    with torch.no_grad():
        (scene,) = map(system.finished, system.decode(system(pictures[:1]), [frame]))
    assert scene.regions.shape == scene.region_scores.shape == scene.panoptic.shape == (48, 64)
    assert {segment.get("object") for segment in scene.segments} <= {None, "person"}  # others are no region


@pytest.mark.parametrize("size", [(32, 32), (32, 416), (416, 32)])
def test_narrow_pictures_are_answered(size) -> None:
    system = small().eval()
    with torch.no_grad():
        (scene,) = system.decode(system(torch.zeros(1, 3, *size, dtype=torch.uint8)), [Frame((1, 1), (1, 1), size)])
    assert scene.regions.shape == (1, 1)
