"""COCO's scores: the fast path against pycocotools, against hand-made cases, and through COCO's own files."""

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from allsight.errors import AnnotationError
from allsight.metrics.coco import Backend, CocoScores, Kind, coco_scores, enough
from allsight.scene import Scene, Vocabulary

Made = Callable[..., tuple[list[Scene], list[Scene]]]


def assert_equal(one: CocoScores, two: CocoScores) -> None:
    for name, value in asdict(one).items():
        wanted = asdict(two)[name]
        if isinstance(value, dict):
            assert value.keys() == wanted.keys()
            value, wanted = list(value.values()), list(wanted.values())
        np.testing.assert_allclose(value, wanted, atol=1e-6, equal_nan=True, err_msg=name)


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_fast_path_agrees_with_reference(made: Made, kind: Kind) -> None:
    truths, predictions = made(60, masks=kind == "masks")
    fast = coco_scores(truths, predictions, kind=kind)
    assert_equal(fast, coco_scores(truths, predictions, kind=kind, backend="pycocotools"))
    assert 0.05 < fast.ap < 0.9
    assert math.isnan(fast.per_class["elk"])
    assert fast.ap == pytest.approx(np.nanmean(list(fast.per_class.values())))


def test_real_annotations_through_coco_files(shared_data: Path, tmp_path: Path) -> None:
    """Ours on Scenes equals pycocotools on the very file, given the same shaken predictions."""
    listing = next((shared_data / "coco_mini").rglob("*instances*.json"))
    data = json.loads(listing.read_text())
    classes = Vocabulary(tuple(c["name"] for c in data["categories"]), tuple(c["id"] for c in data["categories"]))
    numbers = np.random.default_rng(0)
    truths, predictions, results = [], [], []
    for image in data["images"]:
        mine = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        size = (image["height"], image["width"])
        truths.append(Scene.from_coco(mine, size, classes))
        shaken = [
            {
                "image_id": image["id"],
                "category_id": a["category_id"],
                "bbox": [float(np.float32(x)) for x in np.array(a["bbox"]) * numbers.uniform(0.85, 1.15, 4)],
                "score": float(numbers.random(dtype=np.float32)),
            }
            for a in mine
        ]
        results += shaken
        predictions.append(Scene.from_coco(shaken, size, classes))
    truth = COCO(str(listing))
    reference = COCOeval(truth, truth.loadRes([dict(r) for r in results]), "bbox")
    reference.evaluate()
    reference.accumulate()
    reference.summarize()
    ours = coco_scores(truths, predictions)
    assert_equal(ours, coco_scores(truths, predictions, backend="pycocotools"))
    figures = [ours.ap, ours.ap50, ours.ap75, ours.ap_small, ours.ap_medium, ours.ap_large]
    np.testing.assert_allclose([*figures, ours.ar1, ours.ar10, ours.ar100], reference.stats[:9], atol=2e-4)


def box(*boxes: tuple[float, float, float, float], labels: list[int] | None = None, **fields: torch.Tensor) -> Scene:
    return Scene(
        (100, 100),
        boxes=torch.tensor(boxes).reshape(-1, 4).float(),
        labels=torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
        object_classes=Vocabulary(("ant", "bee")),
        **fields,
    )


def test_by_hand() -> None:
    truth = box((0, 0, 10, 10), (50, 50, 60, 60))
    # The first is right up to IoU 0.8, the second is nothing: AP is 51/101 at IoU 0.50 to 0.80 and 0 above.
    predicted = box((0, 0, 10, 8), (20, 20, 30, 30), scores=torch.tensor([0.9, 0.5]))
    scores = coco_scores([truth], [predicted])
    assert scores.ap50 == pytest.approx(51 / 101)
    assert scores.ap == pytest.approx(51 / 101 * 0.7)
    assert scores.ar100 == pytest.approx(0.5 * 0.7)
    assert math.isnan(scores.per_class["bee"])
    assert math.isnan(scores.ap_large)


def test_area_decides_what_is_small() -> None:
    truth = box((0, 0, 90, 90), area=torch.tensor([100.0]))
    predicted = box((0, 0, 90, 90), scores=torch.ones(1))
    scores = coco_scores([truth], [predicted])
    assert scores.ap_small == pytest.approx(1)
    assert math.isnan(scores.ap_large)


def test_crowd_swallows_what_lies_on_it() -> None:
    truth = box((0, 0, 10, 10), (40, 40, 90, 90), crowd=torch.tensor([False, True]))
    predicted = box((0, 0, 10, 10), (45, 45, 55, 55), (60, 60, 70, 70), scores=torch.tensor([0.5, 0.9, 0.8]))
    assert coco_scores([truth], [predicted]).ap == pytest.approx(1)


def test_classes_meet_by_name() -> None:
    truth = box((0, 0, 10, 10), labels=[1])
    predicted = replace(
        box((0, 0, 10, 10), labels=[0], scores=torch.ones(1)), object_classes=Vocabulary(("bee", "cow"))
    )
    other = replace(predicted, object_classes=Vocabulary(("cow", "bee")))
    assert coco_scores([truth], [predicted]).per_class["bee"] == pytest.approx(1)
    assert coco_scores([truth], [other]).per_class["bee"] == 0


def test_not_annotated_is_left_out_and_empty_is_not() -> None:
    truth, predicted = box((0, 0, 10, 10)), box((0, 0, 10, 10), scores=torch.tensor([0.5]))
    wrong = box((0, 0, 10, 10), scores=torch.tensor([0.9]))
    assert coco_scores([truth, Scene((100, 100))], [predicted, wrong]).ap == pytest.approx(1)
    assert coco_scores([truth, box()], [predicted, wrong]).ap == pytest.approx(0.5)


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_nothing_there_or_nothing_found(backend: str) -> None:
    assert math.isnan(coco_scores([], [], backend=backend).ap)  # type: ignore[arg-type]
    assert math.isnan(coco_scores([box()], [box(scores=torch.zeros(0))], backend=backend).ap)  # type: ignore[arg-type]
    found = [box(scores=torch.zeros(0)), Scene((100, 100))]
    scores = coco_scores([box((0, 0, 10, 10)), box((0, 0, 5, 5))], found, backend=backend)  # type: ignore[arg-type]
    assert scores.ap == scores.ar100 == 0


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_standard_output_stays_clean(made: Made, capfd: pytest.CaptureFixture[str], backend: str) -> None:
    coco_scores(*made(3), backend=backend)  # type: ignore[arg-type]
    assert capfd.readouterr().out == ""


def test_refuses_what_does_not_fit() -> None:
    with pytest.raises(AnnotationError, match="2 truths but 1 predictions"):
        coco_scores([box(), box()], [box()])


@pytest.mark.parametrize("backend", ["hotcoco", "pycocotools"])
def test_crowded_pictures_need_more_predictions_than_coco_counts(backend: Backend) -> None:
    corners = [(float(x), float(y), x + 5.0, y + 5.0) for x in range(0, 96, 6) for y in range(0, 96, 6)]
    truth = box(*corners)
    found = replace(truth, scores=torch.linspace(0.9, 0.1, len(truth)))
    assert len(truth) == 256
    assert enough([truth]) == 1000
    assert enough([box(*corners[:100])]) == 100
    assert coco_scores([truth], [found], backend=backend).ap == pytest.approx(100 / 256, abs=0.01)
    everything = coco_scores([truth], [found], backend=backend, most=1000)
    assert everything.ap == everything.ar100 == pytest.approx(1)


def test_masks_are_asked_for(made: Made) -> None:
    truths, predictions = made(5, masks=True)
    with pytest.raises(AnnotationError, match="no masks"):
        coco_scores(truths, [replace(p, masks=None) for p in predictions], kind="masks")
