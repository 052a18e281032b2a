"""What is counted and told of a picture, and what is left of it where some classes are wanted only."""

from collections import Counter

import torch

from allsight.cli.names import only
from allsight.cli.summary import sentence
from allsight.cli.tally import Tally, tally
from allsight.scene import Scene, Trust, Vocabulary

OBJECTS, TAGS, REGIONS = (Vocabulary(names) for names in (("ant", "bee"), ("bee", "meadow", "sun"), ("sky", "bee")))


def scene() -> Scene:
    regions = torch.tensor([[0, 0, 1, 255]]).repeat(2, 1)
    return Scene(
        (2, 4),
        boxes=torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1], [2, 0, 3, 1], [0, 0, 4, 2]]),
        labels=torch.tensor([1, 0, 1, 0]),
        scores=torch.tensor([0.9, 0.8, 0.7, 0.6]),
        weak=torch.tensor([False, False, False, True]),
        trust=Trust(True, None, torch.tensor([True, True, False, True]), None),
        tags=torch.tensor([0.05, 0.6, 0.3]),
        regions=regions,
        panoptic=torch.tensor([[1, 1, 2, 0]]).repeat(2, 1),
        segments=({"id": 1, "label": 0, "thing": False}, {"id": 2, "label": 1, "thing": True, "object": "ant"}),
        object_classes=OBJECTS,
        tag_classes=TAGS,
        region_classes=REGIONS,
        source="a.png",
    )


def test_tally() -> None:
    counted = tally(scene().to_json())
    assert counted == Tally(
        "a.png", Counter({"bee": 1, "ant": 1, "bee?": 1}), {"meadow": 0.6, "sun": 0.3}, {"sky": 0.5, "bee": 0.25}
    )
    tagged = tally(Scene((2, 2), tags=torch.tensor([0.06, 0.02, 0.03]), tag_classes=TAGS).to_json())
    assert tagged.tags == {"bee": 0.06}  # the best one in any case, where nothing else is told


def test_a_word_has_one_meaning() -> None:
    assert sentence(tally(scene().to_json())) == (
        "bee 1 (25% of the pixels), ant 1, bee? 1; meadow (60% sure), sun (30% sure); sky 50% of the pixels"
    )
    assert sentence(Tally("x", Counter(), {}, {}, known=False)) == (
        "outside what the model knows: nothing that the model is sure of"
    )


def test_only_some_classes_of_everything() -> None:
    bees = only(scene(), frozenset({"bee", "sun"}))
    assert bees.names() == ["bee", "bee"]
    assert bees.regions.tolist() == [[255, 255, 1, 255]] * 2
    assert [round(tag, 2) for tag in bees.tags.tolist()] == [0.05, 0, 0.3]
    assert bees.panoptic.tolist() == [[0, 0, 2, 0]] * 2 and [s["id"] for s in bees.segments] == [2]
    ants = only(scene(), frozenset({"ant"}))
    assert ants.names() == ["ant", "ant"] and [s["id"] for s in ants.segments] == [2]  # by the object's own class
    assert (ants.regions == 255).all() and (ants.tags == 0).all()
    bare = only(Scene((2, 2)), frozenset({"ant"}))
    assert bare.boxes is None and bare.regions is None
