"""What a model says of itself moves with its objects, and through JSON."""

import json

import pytest
import torch

from allsight.errors import AnnotationError
from allsight.scene import Scene, Trust, Vocabulary

CLASSES = Vocabulary(("ant", "bee"))


def trusted(count: int = 3, *, picture: bool = True, distances: bool = True) -> Scene:
    objects = torch.arange(count) % 2 == 0
    trust = Trust(picture, 0.5, objects, torch.arange(count).float() / 2 if distances else None)
    boxes = torch.tensor([[0.0, 0, 4, 4]]) + torch.arange(count)[:, None]
    return Scene((20, 20), boxes=boxes, labels=torch.arange(count) % 2, trust=trust, object_classes=CLASSES)


def test_nothing_is_known_in_a_picture_that_is_not() -> None:
    for picture, known in ((True, [True, False, True]), (False, [False] * 3)):
        trust = trusted(picture=picture).trust
        assert trust is not None
        assert trust.known.tolist() == known
        assert trust.objects.tolist() == [True, False, True]


def test_objects_take_it_along() -> None:
    kept = trusted().keep(torch.tensor([2, 1]))
    assert kept.trust is not None
    assert kept.trust.known.tolist() == [True, False]
    assert kept.trust.distances is not None
    assert kept.trust.distances.tolist() == [1.0, 0.5]
    cropped = trusted().crop(0, 0, 20, 2).trust
    assert cropped is not None
    assert cropped.known.tolist() == [True, False]
    with pytest.raises(AnnotationError, match="disagree in number"):
        trusted().with_(boxes=torch.zeros(2, 4))


def test_two_looks_are_joined_and_the_first_speaks_for_the_picture() -> None:
    both = trusted(2).merge(trusted(1, picture=False)).trust
    assert both is not None
    assert (both.picture, both.objects.tolist()) == (True, [True, False, True])
    assert both.distances is not None
    mixed = trusted(2).merge(trusted(1, distances=False)).trust
    assert mixed is not None
    assert mixed.distances is None
    assert trusted(2).merge(trusted(1).with_(trust=None)).trust is None


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("picture", [True, False])
@pytest.mark.parametrize("distances", [True, False])
def test_json_there_and_back(count: int, picture: bool, distances: bool) -> None:
    scene = trusted(count, picture=picture, distances=distances)
    value = json.loads(json.dumps(scene.to_json()))
    assert (value["known"], value["distance"]) == (picture, 0.5)
    back = Scene.from_json(value, object_classes=CLASSES)
    assert scene.trust is not None
    assert back.trust is not None
    assert torch.equal(back.trust.known, scene.trust.known)
    assert (back.trust.picture, back.trust.distance) == (picture, 0.5)
    assert (back.trust.distances is not None) == (distances and count > 0)


def test_json_of_a_model_that_does_not_abstain_is_silent() -> None:
    value = trusted().with_(trust=None).to_json()
    assert "known" not in value
    assert "known" not in value["objects"][0]
    with pytest.raises(AnnotationError, match="schema"):
        Scene.from_json({"size": [4, 4], "known": True, "objects": [{"box": [0, 0, 1, 1], "label": "a"}]})
