"""Instances and regions as one map: who comes first, what is dropped, and made scenes that come back whole."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.data.made.still_lifes import SOLIDS, still_lifes
from allsight.metrics.panoptic import panoptic_scores
from allsight.models.whole.panoptic import merged
from allsight.scene import Masks, Scene, Vocabulary

THINGS = {"cat": "cat"}
REGIONS = Vocabulary(("sky", "cat"))
CATS = Vocabulary(("cat",))


def seen(masks: torch.Tensor, scores: list[float], regions: torch.Tensor) -> Scene:
    packed = Masks.from_dense(masks)
    return Scene(
        tuple(regions.shape),
        boxes=packed.boxes(),
        labels=torch.zeros(len(scores), dtype=torch.int64),
        scores=torch.tensor(scores),
        masks=packed,
        regions=regions,
        object_classes=CATS,
        region_classes=REGIONS,
    )


def test_the_best_instance_takes_its_pixels_first_and_regions_the_rest() -> None:
    masks = torch.zeros(3, 10, 20, dtype=torch.bool)
    masks[0, :, :8], masks[1, :, 4:12], masks[2, :, 1:7] = True, True, True
    found = merged(seen(masks, [0.7, 0.9, 0.6], torch.zeros(10, 20, dtype=torch.int64)), THINGS, least_region=10)
    assert [segment["thing"] for segment in found.segments] == [True, True, False]
    # The second is best; the first keeps just one half of itself; the third would keep less.
    row = found.panoptic[0].tolist()
    assert row[4:12] == [1] * 8
    assert row[12:] == [3] * 8
    assert 2 in row[:4]


def test_hidden_unsure_and_small_ones_are_dropped() -> None:
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[0, :4], masks[1, :4, :6], masks[2, 5:7] = True, True, True
    regions = torch.zeros(8, 8, dtype=torch.int64)
    regions[7, 7] = 1
    found = merged(seen(masks, [0.9, 0.8, 0.3], regions), THINGS, least_region=4)
    assert [(s["label"], s["thing"]) for s in found.segments] == [(1, True), (0, False)]
    assert found.panoptic[7, 7] == 0  # a thing without an instance


@given(st.integers(0, 2**31), st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_it_is_what_a_loop_over_pixels_gives(seed: int, count: int) -> None:
    random = torch.Generator().manual_seed(seed)
    masks = torch.rand(count, 6, 7, generator=random) < 0.5
    scores = torch.rand(count, generator=random).tolist()
    regions = torch.tensor([0, 1, 2, 255])[torch.randint(4, (6, 7), generator=random)]
    scene = seen(masks, scores, regions).with_(region_classes=Vocabulary(("sky", "cat", "sea")))
    expected = torch.zeros(6, 7, dtype=torch.int64)
    number = 0
    for i in sorted(range(count), key=lambda i: -scores[i]):
        free = [(y, x) for y in range(6) for x in range(7) if masks[i, y, x] and expected[y, x] == 0]
        if scores[i] >= 0.5 and masks[i].any() and len(free) >= 0.5 * int(masks[i].sum()):
            number += 1
            for y, x in free:
                expected[y, x] = number
    for label in (0, 2):
        free = [(y, x) for y in range(6) for x in range(7) if regions[y, x] == label and expected[y, x] == 0]
        if len(free) >= 4:
            number += 1
            for y, x in free:
                expected[y, x] = number
    found = merged(scene, THINGS, least_region=4)
    assert torch.equal(found.panoptic, expected)
    assert [segment["id"] for segment in found.segments] == list(range(1, number + 1))


def test_nothing_seen_is_an_empty_map() -> None:
    found = merged(Scene((4, 5)), {})
    assert found.segments == ()
    assert found.panoptic.sum() == 0


def test_made_scenes_come_back_whole() -> None:
    truths, predictions = [], []
    things = {name: name for name in SOLIDS}
    for example in still_lifes(6, seed=2):
        scene = example.scene.with_(scores=torch.ones(len(example.scene)))
        truths.append(scene)
        predictions.append(merged(scene.with_(panoptic=None, segments=None), things, least_region=1))
    assert panoptic_scores(truths, predictions).pq == 1.0
