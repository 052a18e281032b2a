"""What claims about regions share, on the real pictures: which classes are small, and scores class by class."""

from pathlib import Path

import pytest

from allsight.claims.method.claim import Run
from allsight.claims.segmentation import lovasz
from allsight.claims.segmentation.streets import iou_by_class, segmenter, shares
from allsight.hub import load


def test_the_small_classes_are_those_that_are_named(shared_data: Path, tmp_path: Path) -> None:
    found = shares(Run(shared_data, 0, True, tmp_path))
    assert sum(found.values()) == pytest.approx(1)
    small = {name for name, share in found.items() if share < lovasz.SMALL}
    assert small == {"pole", "sign", "fence", "pedestrian", "bicyclist"}


def test_the_mean_over_classes_is_the_recipe_s_score(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    run = Run(shared_data, 0, True, tmp_path)
    recipe = segmenter(run, architecture="fcn32s", learning_rate=0.01)
    found = iou_by_class(run, recipe, "arm")
    again = iou_by_class(run, recipe, "arm")  # goes on where it ended
    assert found == again
    assert len(found) == 11
    told = load(tmp_path / "arm-0-quick").card["scores"]["mean IoU"]
    assert sum(found.values()) / 11 == pytest.approx(told, abs=0.005)
