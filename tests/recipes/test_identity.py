"""A run goes on only as what it was: settings, classes, pictures; replaced, nothing of the old one is left."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_squares import SMALL, squares

from allsight import hub
from allsight.data.formats.catalogue import write_datasets
from allsight.errors import AllsightError, OutputError, WeightsError
from allsight.files import steps
from allsight.recipes.common.identity import fingerprint
from allsight.recipes.detection.retinanet import RetinaNet
from allsight.recipes.run import train
from allsight.training import read_log

SETTINGS = {**SMALL, "steps": 2, "batch_size": 2}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_datasets({"train": squares(4), "val": squares(2, seed=1)}, tmp_path / "data", "voc")
    return tmp_path / "data"


def run(data: Path, out: Path, *, resume: bool = False, force: bool = False, **changed: object) -> dict[str, float]:
    settings = RetinaNet(data=(data,), **{**SETTINGS, **changed})
    return train(settings, out, resume=resume, force=force, say=lambda line: None)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return hub.load(out).system.state_dict()


def rename(data: Path, old: str, new: str) -> None:
    for path in [data / "classes.txt", *(data / "Annotations").glob("*.xml")]:
        path.write_text(path.read_text().replace(old, new))


def test_classes_that_were_renamed_are_refused_in_words(data, tmp_path):
    run(data, tmp_path / "run")
    before = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    rename(data, "dark", "zebra")
    with pytest.raises(OutputError, match=r"the classes .* have changed since \(gone: dark; new: zebra\)"):
        run(data, tmp_path / "run", resume=True)
    rename(data, "zebra", "dark")
    (data / "classes.txt").write_text("dark\nlight\ncow\n")
    with pytest.raises(OutputError, match=r"have changed since \(new: cow\)"):
        run(data, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == before


def test_pictures_that_were_annotated_anew_are_refused_in_words(data, tmp_path):
    run(data, tmp_path / "run")
    path = next((data / "Annotations").glob("0-*.xml"))
    path.write_text(path.read_text().replace("<xmin>", "<xmin>1"))
    with pytest.raises(OutputError, match="the annotated pictures that it learned from have changed since"):
        run(data, tmp_path / "run", resume=True)


def test_what_has_no_influence_on_the_weights_may_change(data, tmp_path):
    scores = run(data, tmp_path / "run")
    changed = {"checkpoint_seconds": 7.0, "cache_gib": 3.0, "title": "Mine"}
    assert run(data, tmp_path / "run", resume=True, **changed) == scores
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["checkpoint_seconds"] == 7.0
    with pytest.raises(OutputError, match=r"was started with learning_rate = 0.002, not 0.5"):
        run(data, tmp_path / "run", resume=True, learning_rate=0.5)


def test_a_checkpoint_of_another_run_is_not_gone_on_from(data, tmp_path):
    run(data, tmp_path / "one")
    run(data, tmp_path / "other", seed=4)
    for name in ("last.pt", "best.pt"):
        (tmp_path / "one" / "checkpoints" / name).replace(tmp_path / "other" / "checkpoints" / name)
    with pytest.raises(WeightsError, match=r"last\.pt: is of another run"):
        run(data, tmp_path / "other", resume=True, seed=4)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_replaced_run_that_was_stopped_never_ends_with_the_old_weights(data, tmp_path, monkeypatch, stop):
    out, count = tmp_path / "run", [0]
    run(data, out, resamples=2, shots=2)
    (out / "notes.txt").write_text("mine")
    act = steps.remove, steps.rename

    def step(number: int, *places: Path) -> None:
        count[0] += 1
        if count[0] >= stop:
            raise KeyboardInterrupt
        act[number](*places)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "remove", lambda *places: step(0, *places))
        patch.setattr(steps, "rename", lambda *places: step(1, *places))
        with pytest.raises(KeyboardInterrupt):
            run(data, out, force=True, learning_rate=0.01)
    told = ""
    try:
        run(data, out, resume=True, learning_rate=0.01)
    except AllsightError as error:
        told = str(error)
        run(data, out, force=True, learning_rate=0.01)
    assert not told or "was started with" in told
    run(data, tmp_path / "unbroken", learning_rate=0.01)
    expected = weights(tmp_path / "unbroken")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(out).items())
    assert {path.name for path in out.iterdir()} == {"notes.txt", "recipe.json", "model", "checkpoints", "log.jsonl"}
    assert len(read_log(out / "log.jsonl")) == len(read_log(tmp_path / "unbroken" / "log.jsonl"))


def test_the_folder_is_locked_while_a_run_writes(data, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text(json.dumps({"pid": 1, "host": "elsewhere", "began": ""}))
    with pytest.raises(OutputError, match="process 1 on elsewhere is writing there"):
        run(data, tmp_path / "run")
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


def test_a_fingerprint_is_of_names_and_annotations():
    one = squares(3)
    assert fingerprint(one) == fingerprint(squares(3))
    assert fingerprint(one) != fingerprint(squares(3, seed=1))
    assert fingerprint(one) != fingerprint(one.subset([0, 1]))
    moved = replace(one[0], annotation=one[0].annotation.with_(boxes=torch.zeros(1, 4)))
    assert fingerprint(replace(one, examples=(moved, *one.examples[1:]))) != fingerprint(one)
