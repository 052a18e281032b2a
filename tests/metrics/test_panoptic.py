"""Panoptic quality against its definition over all pairs of masks, and cases worked out by hand."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allsight.errors import AnnotationError
from allsight.metrics.panoptic import panoptic_scores
from allsight.scene import Scene, Vocabulary

CLASSES = Vocabulary(("sky", "cat", "dog"))


def scene(ids: list[list[int]] | torch.Tensor, labels: dict[int, int], crowd: tuple[int, ...] = ()) -> Scene:
    panoptic = torch.as_tensor(ids)
    segments = tuple({"id": i, "label": n, "thing": n > 0, "crowd": i in crowd} for i, n in labels.items())
    return Scene(tuple(panoptic.shape), panoptic=panoptic, segments=segments, region_classes=CLASSES)


def by_definition(truth: Scene, prediction: Scene) -> dict[str, float]:
    """Equation 1 over all pairs of masks of a class; no crowds."""
    result = {}
    void = truth.panoptic == 0
    for label, name in enumerate(CLASSES):
        true = [truth.panoptic == s["id"] for s in truth.segments if s["label"] == label]
        said = [prediction.panoptic == s["id"] for s in prediction.segments if s["label"] == label]
        true, said = ([mask for mask in masks if mask.any()] for masks in (true, said))
        ious, hit_true, hit_said = [], set(), set()
        for (i, t), (j, p) in itertools.product(enumerate(true), enumerate(said)):
            iou = float((t & p).sum() / ((t | p) & ~(void & ~t)).sum())
            if iou > 0.5:
                ious.append(iou)
                hit_true.add(i)
                hit_said.add(j)
        alarms = [p for j, p in enumerate(said) if j not in hit_said and (p & void).sum() <= 0.5 * p.sum()]
        misses = len(true) - len(hit_true)
        total = len(ious) + len(alarms) / 2 + misses / 2
        result[name] = sum(ious) / total if total else float("nan")
    return result


@given(st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_it_is_its_definition(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 5, (3, 3), generator=random).repeat_interleave(3, 0).repeat_interleave(3, 1)
    other = torch.where(torch.rand(9, 9, generator=random) < 0.2, torch.randint(0, 5, (9, 9), generator=random), coarse)
    labels = {i: int(n) for i, n in enumerate(torch.randint(0, 3, (4,), generator=random), start=1)}
    renamed = {i: int(torch.randint(0, 3, (), generator=random)) if i == 4 else n for i, n in labels.items()}
    truth, prediction = scene(coarse, labels), scene(other, renamed)
    found, expected = panoptic_scores([truth], [prediction]), by_definition(truth, prediction)
    assert found.per_class == pytest.approx(expected, nan_ok=True)
    values = [value for value in expected.values() if not np.isnan(value)]
    assert found.pq == pytest.approx(np.mean(values) if values else float("nan"), nan_ok=True)


def test_by_hand() -> None:
    truth = scene([[1, 1, 2, 2], [1, 1, 3, 3]], {1: 0, 2: 1, 3: 1})
    assert panoptic_scores([truth], [truth]).pq == 1.0
    # One of two cats is found whole, the other's pixels are called sky: cats 1 / (1 + 1/2), sky 4/6.
    said = scene([[1, 1, 2, 2], [1, 1, 1, 1]], {1: 0, 2: 1})
    found = panoptic_scores([truth], [said])
    assert found.per_class["cat"] == pytest.approx(2 / 3)
    assert found.per_class["sky"] == pytest.approx(4 / 6)
    assert found.things == pytest.approx(2 / 3)
    assert found.stuff == pytest.approx(4 / 6)
    assert np.isnan(found.per_class["dog"])


def test_what_is_not_annotated_or_a_crowd_is_not_judged() -> None:
    truth = scene([[0, 0, 0, 2, 2, 2]], {2: 1}, crowd=(2,))
    said = scene([[1, 1, 0, 2, 2, 2]], {1: 2, 2: 1})
    assert np.isnan(panoptic_scores([truth], [said]).pq)
    # Another class on the crowd is a false alarm.
    assert panoptic_scores([truth], [scene([[0, 0, 0, 2, 2, 2]], {2: 2})]).per_class["dog"] == 0.0


def test_classes_are_compared_by_name_and_mistakes_are_told() -> None:
    truth = scene([[1, 1]], {1: 1})
    other = Vocabulary(("cat", "sky"))
    said = truth.with_(segments=({"id": 1, "label": 0, "thing": True},), region_classes=other)
    assert panoptic_scores([truth], [said]).pq == 1.0
    with pytest.raises(AnnotationError, match="no panoptic prediction"):
        panoptic_scores([truth], [Scene((1, 2))])
    with pytest.raises(AnnotationError, match="0 predictions for 1"):
        panoptic_scores([truth], [])
