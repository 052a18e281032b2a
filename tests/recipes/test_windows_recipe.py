"""The windows' recipe end to end: a training for each part, each after a look at the next one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from allsight import hub
from allsight.data.formats.catalogue import write_datasets
from allsight.data.made.shapes import made_scenes
from allsight.errors import TrainingError
from allsight.predict import Predictor
from allsight.recipes.detection.objects import read
from allsight.recipes.detection.windows import Windows, build, with_false_positives
from allsight.recipes.run import train
from allsight.weights.files import read_state

SMALL = {"longest": 64, "epochs": 2, "batch_size": 2, "evaluate_every": 2, "precision": "float32"}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Path:
    """Made pictures on disk, one shape each."""
    root = tmp_path_factory.mktemp("made") / "shapes"
    write_datasets({"train": made_scenes(8, seed=0), "val": made_scenes(3, seed=1)}, root, "coco")
    return root


def test_trains_in_rounds_resumes_saves_and_sees(shapes, tmp_path):
    out, said = tmp_path / "run", []
    scores = train(Windows(data=(shapes,), **SMALL), out, say=said.append)
    assert set(scores) == {"AP50", "AP", "AP75"}
    assert [(out / f"round_{i}" / "log.jsonl").is_file() for i in range(3)] == [True, True, False]
    before = read_state(out / "model" / "model.safetensors")
    train(Windows(data=(shapes,), **SMALL), out, resume=True, say=said.append)  # complete: nothing to do
    after = read_state(out / "model" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    scene = Predictor(hub.load(out))(made_scenes(1, seed=1)[0].picture())
    assert scene.size == (64, 64)


def test_false_positives_join_as_background(shapes):
    job = build(Windows(data=(shapes,), **SMALL))
    last = job.model.system.classifier[-1]
    torch.nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([9.0] + [0.0] * (len(last.bias) - 1))  # everything is of the first class
    part = made_scenes(2, seed=5).with_classes(job.model.system.classes).without_masks()
    found = with_false_positives(job.model, part)
    for before, after in zip(part, found, strict=True):
        names = after.annotation.names()
        assert names[0] == before.annotation.names()[0]
        assert len(names) > 1 and set(names[1:]) == {"false positive"}
        assert (after.annotation.labels[1:] == len(job.model.system.classes)).all()


def test_fewer_pictures_than_rounds_and_no_rounds(shapes):
    recipe = Windows(data=(shapes,), rounds=20, **SMALL)
    assert len(build(recipe).stages) == len(read(recipe).train)
    assert [stage.name for stage in build(replace(recipe, rounds=0)).stages] == [""]


def test_frozen_features_are_refused_in_one_line(shapes):
    with pytest.raises(TrainingError, match="leave out --frozen"):
        build(Windows(data=(shapes,), frozen=True, **SMALL))
