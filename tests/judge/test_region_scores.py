"""Scores of regions over a data set: names decide, memory stays flat, what cannot be read is told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from allsight.data.pictures.dataset import Dataset, Example
from allsight.errors import AnnotationError, ModelError, PictureError
from allsight.judge.region_scores import KeptRegions, RegionTally, evaluate_regions
from allsight.judge.report import as_json, write_report
from allsight.scene import Scene, Vocabulary

TRUE, SAID = Vocabulary(("sky", "road", "car")), Vocabulary(("car", "sky", "sea", "road"))


def scene(regions: list[list[int]] | torch.Tensor, classes: Vocabulary = TRUE) -> Scene:
    regions = torch.as_tensor(regions)
    return Scene((regions.shape[0], regions.shape[1]), regions=regions, region_classes=classes)


def test_names_decide_whatever_their_numbers() -> None:
    tally = RegionTally(TRUE, boundaries=False)
    # sky as sky, road as sea, car as car; the last pixel is not annotated.
    quality = tally.add(scene([[1, 2], [0, 3]], SAID), scene([[0, 1], [2, 255]]))
    assert quality == pytest.approx(2 / 3)
    assert tally.summary() == {"mean IoU": pytest.approx(2 / 3), "pixel accuracy": 2 / 3, "class accuracy": 2 / 3}
    found = tally.scores([quality])
    assert found.confusion_names == ("sky", "road", "car", "other")
    assert found.confusion.tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert found.per_class["road"] == {"IoU": 0.0, "accuracy": 0.0, "pixels": 1}
    assert np.isnan(tally.add(scene([[1, 2], [0, 3]], SAID), Scene((2, 2))))
    with pytest.raises(ModelError, match="nothing of regions"):
        tally.add(Scene((2, 2)), scene([[0, 1], [2, 255]]))


def test_kept_regions_come_back_and_are_small() -> None:
    kept = KeptRegions()
    regions = (torch.arange(480 * 640).reshape(480, 640) // 40_000).where(torch.rand(480, 640) > 0.001, 255)
    scenes = [scene(regions, Vocabulary(tuple("abcdefgh"))), scene([[0, 255]])]
    for each in scenes:
        kept.append(each)
    assert len(kept) == 2
    for one, again in zip(scenes, kept, strict=True):
        assert torch.equal(again.regions, one.regions)
        assert again.regions.dtype == torch.int64
        assert again.region_classes == one.region_classes
    assert [each.size for each in kept[:1]] == [(480, 640)]
    assert sum(len(packed) for _, packed in kept._rows) < 10_000


def dataset(count: int = 3) -> tuple[Dataset, list[Scene]]:
    """Pictures whose regions are read a little worse each."""
    examples, said = [], []
    for i in range(count):
        truth = torch.zeros(40, 60, dtype=torch.int64)
        truth[20:] = 1
        answer = torch.where(truth == 0, 1, 3)
        answer[20 : 20 + 4 * i] = 1
        path = Path(f"{i}.png")
        examples.append(Example(path, scene(truth), pixels=torch.zeros(3, 40, 60, dtype=torch.uint8)))
        said.append(scene(answer, SAID))
    return Dataset(tuple(examples), region_classes=TRUE, name="made", split="val"), said


def test_an_evaluation_and_its_report(tmp_path: Path) -> None:
    made, said = dataset()
    broken = Example(Path("broken.png"), scene(torch.zeros(4, 4, dtype=torch.int64)))
    answers = [*zip(made, said, strict=True), (broken, PictureError("broken.png: is damaged"))]
    evaluation, found = evaluate_regions("toy", made, answers)
    assert len(evaluation) == 3
    assert evaluation.failed == ("broken.png: is damaged",)
    assert found.quality[0] == 1
    assert found.worst(3) == [2, 1]
    assert found.per_class["sky"]["IoU"] == pytest.approx(60 / (60 + 0 + 4 + 8))
    assert np.isnan(found.per_class["car"]["IoU"])
    assert found.summary["boundary F1"] < 1
    page = write_report(evaluation, found, lambda each: each, tmp_path, model="toy", data="made/val")
    text = page.read_text()
    assert "mean IoU" in text
    assert "worst.jpg" in text
    assert as_json(evaluation, found, model="toy", data="made/val")["task"] == "regions"


def test_what_cannot_be_scored_is_told_in_one_line() -> None:
    made, said = dataset(1)
    strangers = [Scene((40, 60)), said[0].with_(region_classes=Vocabulary(("a", "b", "c", "d")))]
    for stranger in strangers:
        with pytest.raises(ModelError) as caught:
            evaluate_regions("toy", made, [(made[0], stranger)])
        assert "\n" not in str(caught.value)
    with pytest.raises(PictureError, match="no pictures"):
        evaluate_regions("toy", made, [])
    wrong = made[0].annotation.with_(regions=torch.full((40, 60), 9))
    with pytest.raises(AnnotationError, match="not among the 3"):
        evaluate_regions("toy", made, [(Example(Path("x"), wrong), said[0])])
