import json
from pathlib import Path
from typing import get_args

import pytest
from calling import make_picture
from tiny_model import CLASSES

from allsight.cli.convert import Form
from allsight.data.formats.catalogue import FORMATS, open_dataset
from allsight.hub import load
from allsight.predict import Predictor


def write_yolo(root: Path, bad: bool = False) -> Path:
    """Write a data set of two splits; if `bad`, with a box of no area, one outside and one of an unknown class."""
    names = "\n".join(f"  {i}: {name}" for i, name in enumerate(CLASSES))
    root.mkdir(parents=True)
    (root / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames:\n{names}\n", encoding="utf-8")
    for split, count in (("train", 6), ("val", 4)):
        (root / "labels" / split).mkdir(parents=True)
        for i in range(count):
            make_picture(root / "images" / split / f"{split}{i}.png", seed=100 * count + i)
            lines = [f"{i % 3} 0.5 0.5 0.4 0.6", f"{(i + 1) % 3} 0.3 0.3 0.2 0.2"]
            if bad and i == 0:
                lines += ["0 0.5 0.5 0 0", "0 3 3 0.1 0.1", "9 0.5 0.5 0.1 0.1"]
            (root / "labels" / split / f"{split}{i}.txt").write_text("\n".join(lines))
    return root


def write_folders(root: Path) -> Path:
    for label, name in enumerate(CLASSES):
        for i in range(5):
            make_picture(root / name / f"{i}.png", (30 + label, 30), seed=10 * label + i)
    return root


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    return write_yolo(tmp_path / "objects")


@pytest.fixture
def tags(tmp_path: Path) -> Path:
    return write_folders(tmp_path / "tags")


# convert, split


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
def test_convert_keeps_every_box(form, call, objects, tmp_path):
    result = call("convert", objects, "new", "--to", form)
    assert (result.code, result.err) == (0, "")
    assert "train: 6 pictures, 12 objects of 3 classes" in result.out
    for split in ("train", "val"):
        old, new = open_dataset(objects, split), open_dataset(tmp_path / "new", split, form)
        told = [
            {
                e.name: sorted(zip(e.annotation.names(), e.annotation.boxes.round().tolist(), strict=True))
                for e in dataset
            }
            for dataset in (old, new)
        ]
        assert told[0] == told[1]


def test_convert_tells_what_has_no_place(call, tags, objects, tmp_path):
    result = call("convert", tags, "new", "--to", "yolo")
    assert result.code == 2
    assert "yolo has no place for tags" in result.one_line()
    assert not (tmp_path / "new").exists()


def test_convert_never_destroys_what_it_reads_or_what_is_no_data_set(call, objects, tmp_path):
    for target in (objects, tmp_path, objects / "new"):
        result = call("convert", objects, target, "--to", "voc", "--force")
        assert result.code == 2
        assert "lies in the other" in result.one_line()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    result = call("convert", objects, "letters", "--to", "voc", "--force")
    assert result.code == 2
    assert "no data set" in result.one_line()
    assert (tmp_path / "letters" / "a.txt").read_text() == "dear"
    assert len(open_dataset(objects)) == 10


def test_convert_replaces_a_data_set_with_force_only(call, objects, tmp_path):
    assert call("convert", objects, "new", "--to", "voc").code == 0
    result = call("convert", objects, "new", "--to", "coco")
    assert result.code == 2
    assert "exists already" in result.one_line()
    assert call("convert", objects, "new", "--to", "coco", "--force").code == 0
    assert len(open_dataset(tmp_path / "new", "train", "coco")) == 6


def test_convert_of_nothing(call, tmp_path):
    assert "nowhere: does not exist" in call("convert", "nowhere", "new", "--to", "coco").one_line()
    (tmp_path / "empty").mkdir()
    assert "no data set that can be read" in call("convert", "empty", "new", "--to", "coco").one_line()


def test_split_is_stratified_and_repeatable(call, tags, tmp_path):
    for out in ("one", "two"):
        words = ("--fractions", "train=0.6", "val=0.4", "--seed", "3")
        assert call("split", tags, "--out", out, *words).code == 0
    one, two = (
        sorted(str(p.relative_to(tmp_path / out)) for p in (tmp_path / out).rglob("*.png")) for out in ("one", "two")
    )
    assert one == two
    assert len(one) == 15
    for name in CLASSES:
        assert len(list((tmp_path / "one" / "val" / name).iterdir())) == 2


@pytest.mark.parametrize("fractions", [["train"], ["train=x"], ["train=-1"], ["a=0.5", "a=0.5"], ["../x=1"], ["a=inf"]])
def test_split_into_nonsense(fractions, call, tags, tmp_path):
    result = call("split", tags, "--out", "new", "--fractions", *fractions)
    assert result.code == 2
    assert "--fractions" in result.one_line()
    assert not (tmp_path / "new").exists()


# check


def test_check_of_a_clean_data_set(call, objects):
    result = call("check", objects)
    assert result.code == 0
    assert "train: 6 pictures" in result.out
    assert "nothing wrong was found" in result.out


def test_check_finds_and_draws(call, tmp_path):
    data = write_yolo(tmp_path / "bad", bad=True)
    result = call("check", data, "--json", "findings.json", "--out", "drawn")
    assert result.code == 0  # each of these can be left out
    findings = json.loads((tmp_path / "findings.json").read_text())
    assert {"no area", "outside", "unknown class"} <= {problem["kind"] for problem in findings["problems"]}
    assert (tmp_path / "drawn" / "worst.png").is_file()
    assert "drawn/worst.png" in result.out
    assert "exists already" in call("check", data, "--out", "drawn").one_line()


def test_check_json_to_stdout(call, objects):
    result = call("check", objects, "--split", "val", "--json", "-")
    assert json.loads(result.out)["pictures"] == {"val": 4}


def test_check_refuses_what_training_would_refuse(call, objects):
    for label in (objects / "labels" / "train").iterdir():
        label.write_text("")
    result = call("check", objects)
    assert result.code == 1
    assert "fatal" in result.out


# eval


def test_eval_of_a_detector(call, objects, detector, tmp_path):
    result = call("eval", detector, objects, "--out", "report", "--json", "scores.json")
    assert result.code == 0
    assert "AP50" in result.out
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert (scores["data"], scores["pictures"], scores["task"]) == ("objects/val", 4, "objects")
    assert set(scores["classes"]) == set(CLASSES)
    assert scores == json.loads((tmp_path / "report" / "scores.json").read_text())
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "Äpfel &amp; Birnen" in page
    for name in ("curves.svg", "confusion.svg", "worst.jpg"):
        assert f'src="{name}"' in page
        assert (tmp_path / "report" / name).is_file()
    assert "exists already" in call("eval", detector, objects, "--out", "report").one_line()


def test_eval_json_to_stdout(call, tags, classifier):
    result = call("eval", classifier, tags, "--json", "-")
    assert result.code == 0
    scores = json.loads(result.out)
    assert scores["task"] == "tags"
    predictor = Predictor(load(classifier), precision="float32")
    examples = open_dataset(tags).examples
    likeliest = [int(predictor.scenes([example.picture()])[0].tags.argmax()) for example in examples]
    right = [label == int(e.scene.tags.argmax()) for label, e in zip(likeliest, examples, strict=True)]
    assert scores["pictures"] == len(right) == 15
    assert scores["scores"]["top-1"] == pytest.approx(sum(right) / 15)
    assert "top-1" in result.err


def test_eval_goes_on_without_a_picture_that_is_truncated(call, objects, detector):
    path = objects / "images" / "val" / "val1.png"
    path.write_bytes(path.read_bytes()[:3000])
    result = call("eval", detector, objects, "--json", "-")
    assert result.code == 1
    assert json.loads(result.out)["pictures"] == 3
    assert "val1.png" in result.err


def test_eval_of_what_the_model_does_not_know(call, tags, objects, detector, classifier, tmp_path):
    assert "says nothing of what is annotated" in call("eval", detector, tags).one_line()
    for path in tags.iterdir():
        path.rename(path.with_name(f"not {path.name}"))
    assert "knows none of the tags" in call("eval", classifier, tags).one_line()
    assert "has no split 'test'" in call("eval", detector, objects, "--split", "test").one_line()


# models


def test_models_lists_systems_and_trunks(call):
    result = call("models", "--json", "-")
    listed = json.loads(result.out)
    assert "retinanet" in listed["systems"]
    assert "efficientnet_lite0" in listed["trunks"]
    for model in listed["models"]:
        assert model["megabytes"] > 0
        assert model["licence"]
    text = call("models").out
    assert all(model["name"] in text for model in listed["models"])


def test_models_shows_what_a_card_says(call, detector, monkeypatch):
    monkeypatch.setattr("allsight.cli.models.files", lambda package: detector.parent)
    assert "CC0" in call("models").out
    (detector.parent / "broken").mkdir(exist_ok=True)
    (detector.parent / "broken" / "config.json").write_text("{")
    try:
        result = call("models")
        assert result.code == 2
        assert "config.json: is damaged" in result.one_line()
    finally:
        (detector.parent / "broken" / "config.json").unlink()


def test_every_form_that_can_be_written_can_be_asked_for() -> None:
    assert set(get_args(Form)) == {name for name, form in FORMATS.items() if form.write is not None}
