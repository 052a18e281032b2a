"""Instances and regions as one map: who comes first, what is dropped, and made scenes that come back whole."""

import torch

from allsight.data.still_lifes import SOLIDS, still_lifes
from allsight.metrics.panoptic import panoptic_scores
from allsight.models.panoptic import merged
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
