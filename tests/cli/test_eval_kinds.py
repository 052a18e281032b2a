"""`allsight eval` goes by what a model takes and answers with, and no option is passed over in silence."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from other_kinds import character_model, table
from PIL import Image
from tiny_model import CLASSES, tiny_detector

from allsight.cli import evaluate as command
from allsight.data.pictures.dataset import Dataset, Example
from allsight.judge.evaluate import answers
from allsight.judge.pictures import judge
from allsight.predict import Predictor
from allsight.scene import Scene, Vocabulary

assert table  # a fixture


def count_letters(predictor, data, stdout, *, json=None) -> int:
    """A measure that has no use for a split."""
    print(f"{predictor.model.name}: {len(data.read_text())} letters", file=stdout)
    return 0


@pytest.fixture
def reader(tmp_path: Path, table: None) -> Path:
    (tmp_path / "text.txt").write_text("abcab")
    return character_model().save(tmp_path / "reader")


def test_a_kind_without_a_measure_is_named(call, reader) -> None:
    result = call("eval", reader, "text.txt")
    assert result.code == 2
    assert "reader: takes characters; what can be scored are models that take pictures" in result.one_line()


def test_a_kind_has_its_own_measure_and_refuses_options_it_has_no_use_for(call, reader, monkeypatch) -> None:
    monkeypatch.setitem(command.KINDS, "characters", f"{__name__}:count_letters")
    assert call("eval", reader, "text.txt").out == "reader: 5 letters\n"
    assert call("eval", reader, "text.txt", "--json", "-").code == 0
    for option, value in (("split", ["val"]), ("out", ["report"]), ("force", [])):
        result = call("eval", reader, "text.txt", f"--{option}", *value)
        assert result.code == 2
        assert f"--{option}: has no use for reader, which takes characters" in result.one_line()


def test_other_commands_on_pictures_refuse_it(call, reader, picture, tmp_path) -> None:
    picture(tmp_path / "a.png")
    for words in (("see", "a.png", "--model", reader), ("export", reader, "--format", "onnx", "--out", "graph")):
        result = call(*words)
        assert result.code == 2
        assert "reader: takes characters, not pictures" in result.one_line()


def test_what_is_scored_is_what_the_model_says(tmp_path) -> None:
    """Of data with boxes and regions, a detector that says nothing of regions is scored on the boxes."""
    names = Vocabulary(CLASSES)
    examples = []
    for i in range(2):
        path = tmp_path / f"{i}.png"
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
        boxes, labels = torch.tensor([[5.0, 5.0, 30.0, 35.0]]), torch.tensor([i])
        regions = {"regions": torch.zeros(40, 60, dtype=torch.int64), "region_classes": Vocabulary(("sky",))}
        examples.append(Example(path, Scene((40, 60), boxes, labels, object_classes=names, **regions)))
    data = Dataset(tuple(examples), object_classes=names, region_classes=Vocabulary(("sky",)), name="both")
    predictor = Predictor(tiny_detector())
    evaluation, found = judge(predictor, data, answers(predictor, data))
    assert found.task == "objects"
    assert len(evaluation) == 2
    assert json.dumps(found.summary)
