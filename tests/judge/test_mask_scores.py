"""Scores of masks in an evaluation: beside those of boxes where both sides have masks, and nothing where not."""

import json
from pathlib import Path

import pytest
import torch

from allsight.data.made.shapes import made_scenes
from allsight.data.pictures.dataset import Example
from allsight.judge.evaluate import Evaluation, truth_of
from allsight.judge.report import as_json, write_report
from allsight.judge.scores import scores
from allsight.scene import Scene


def same(scene: Scene) -> Scene:
    return scene


def evaluation(*, masks: bool = True) -> Evaluation:
    """Right boxes with masks of their left halves."""
    examples = made_scenes(4, seed=0, objects=(2, 3)).examples
    said = []
    for example in examples:
        scene = example.scene
        assert scene.masks is not None
        half = scene.masks.dense()
        middle = (scene.boxes[:, 0] + scene.boxes[:, 2]).div(2)
        half &= torch.arange(half.shape[2]) < middle[:, None, None]
        found = scene.with_(scores=torch.full((len(scene),), 0.9), masks=type(scene.masks).from_dense(half))
        said.append(found if masks else found.with_(masks=None))
    return Evaluation(examples, tuple(e.scene for e in examples), tuple(said))


def test_masks_are_scored_first_and_boxes_too(tmp_path: Path) -> None:
    found = scores(evaluation(), same)
    assert next(iter(found.summary)) == "mask AP50"
    assert found.summary["mask AP75"] == 0
    assert found.summary["AP"] == pytest.approx(1)
    assert found.summary["bowl"] < 0.1
    assert found.summary["boundary AP"] <= found.summary["mask AP"]
    assert found.per_class["disc"]["AP"] == pytest.approx(1)
    assert "mask AP" in found.per_class["disc"]
    page = write_report(evaluation(), found, same, tmp_path, model="toy", data="made")
    assert "boundary AP" in page.read_text()
    json.dumps(as_json(evaluation(), found, model="toy", data="made"))


def test_a_perfect_answer() -> None:
    made = evaluation()
    right = tuple(truth.with_(scores=torch.ones(len(truth))) for truth in made.truths)
    found = scores(Evaluation(made.examples, made.truths, right), same).summary
    for name in ("mask AP50", "mask AP", "mask AP75", "boundary AP", "bowl"):
        assert found[name] == pytest.approx(1), name


def test_without_masks_on_either_side_there_is_no_score_of_them() -> None:
    made = evaluation(masks=False)
    plain = evaluation()
    bare = Evaluation(plain.examples, tuple(t.with_(masks=None) for t in plain.truths), plain.predictions)
    for each in (made, bare):
        assert not {"mask AP", "bowl"} & set(scores(each, same).summary)


def test_outlines_are_drawn_only_where_masks_are_predicted() -> None:
    size = (20, 20)
    truth = Scene(size, torch.tensor([[2.0, 2, 10, 10]]), torch.tensor([0]))
    example = Example(Path("x.png"), truth, outlines=([[2.0, 2, 10, 2, 10, 10, 2, 10]],))
    assert truth_of(example, truth).masks is None
    said = example.scene
    drawn = truth_of(example, said).masks
    assert drawn is not None and drawn.area().tolist() == [64]
