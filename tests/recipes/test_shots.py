"""A few labelled pictures, drawn again and again: what is drawn, what is reported, what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_squares import SMALL, squares
from PIL import Image
from scipy import stats

from allsight import hub
from allsight.cli.main import main
from allsight.data.formats.catalogue import write_datasets
from allsight.errors import AnnotationError, OutputError
from allsight.metrics.interval import mean_interval
from allsight.recipes.classification.classifier import Classifier
from allsight.recipes.common.shots import draw, mean_scores, score_line
from allsight.recipes.detection.objects import read
from allsight.recipes.detection.retinanet import RetinaNet
from allsight.recipes.run import train
from allsight.weights.files import read_state


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cells") / "data"
    write_datasets({"train": squares(8), "val": squares(3, seed=1)}, root, "voc")
    return root


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of features, empty."""
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.floats(0.5, 0.99))
def test_the_interval_is_students(values, confidence):
    mean, half = mean_interval(values, confidence)
    assert mean == pytest.approx(np.mean(values))
    if np.std(values) > 1e-6:
        low, high = stats.t.interval(confidence, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (mean - half, mean + half) == pytest.approx((low, high), rel=1e-6, abs=1e-6)
    else:
        assert half == pytest.approx(0, abs=1e-4)


def test_one_measurement_has_no_interval():
    mean, half = mean_interval([0.5])
    assert mean == 0.5 and np.isnan(half)


def test_scores_of_all_resamples_are_told_together():
    means, halves = mean_scores([{"AP50": 0.5, "AP": 0.1}, {"AP50": 0.7, "AP": 0.1}, {"AP50": 0.6, "AP": 0.1}])
    assert means == pytest.approx({"AP50": 0.6, "AP": 0.1})
    assert halves == pytest.approx({"AP50": 0.2484, "AP": 0}, abs=1e-4)  # 4.3027 * 0.1 / sqrt(3)
    assert score_line(means, halves) == "AP50 0.600 ± 0.248  AP 0.100 ± 0.000"


def test_only_labelled_pictures_are_drawn():
    mixed = squares(6, unknown=3)
    for seed in range(5):
        assert all(e.annotation.boxes is not None for e in draw(mixed, 3, seed))
    with pytest.raises(AnnotationError, match="4 pictures were asked for, there are 3"):
        draw(mixed, 4, 0)


def test_resamples_are_drawn_trained_and_reported(data, cache, tmp_path):
    recipe = RetinaNet(data=(data,), shots=3, resamples=3, seed=4, steps=2, **SMALL)
    said: list[str] = []
    scores = train(recipe, tmp_path / "run", say=said.append)
    found = json.loads((tmp_path / "run" / "resamples.json").read_text())
    assert found["seeds"] == [4, 5, 6] and found["shots"] == 3
    rows = [row["AP50"] for row in found["scores"]]
    assert scores["AP50"] == found["mean"]["AP50"] == pytest.approx(np.mean(rows))
    assert [sum(f"resample {i}, 3 pictures" in line for line in said) for i in range(4)] == [1, 1, 1, 0]
    assert sum("mean of 3 resamples, with 95% interval" in line for line in said) == 1
    assert sum("val: features of 3 of 3" in line for line in said) == 1
    train_set, _, _ = read(recipe)
    everything = {e.name for seed in (4, 5, 6) for e in draw(train_set, 3, seed)}
    assert len(list(cache.glob("*/*.safetensors"))) == len(everything) + 3  # each picture once over all resamples
    model = hub.load(tmp_path / "run")
    assert "AP50" in model.card["over resamples"]
    alone = train(RetinaNet(data=(data,), shots=3, seed=4, steps=2, **SMALL), tmp_path / "alone", say=lambda line: None)
    assert alone == found["scores"][0]
    one, first = (read_state(tmp_path / name / "model" / "model.safetensors") for name in ("alone", "run"))
    assert all(torch.equal(one[name], first[name]) for name in one)


def test_resamples_go_on_where_they_were_stopped(data, tmp_path):
    recipe = RetinaNet(data=(data,), shots=2, resamples=3, steps=2, **SMALL)
    whole = train(recipe, tmp_path / "whole", say=lambda line: None)

    def stop(line: str) -> None:
        if line.startswith("resample 1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "broken", say=stop)
    with pytest.raises(OutputError, match="holds a run already"):
        train(recipe, tmp_path / "broken", say=stop)
    with pytest.raises(OutputError, match="was started with shots = 2, not 3"):
        train(replace(recipe, shots=3), tmp_path / "broken", resume=True)
    assert train(recipe, tmp_path / "broken", resume=True, say=lambda line: None) == whole
    one, other = (
        read_state(tmp_path / name / "resample-2" / "model" / "model.safetensors") for name in ("whole", "broken")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("resamples", ["1", "2"])
def test_more_shots_than_there_are_is_one_clear_line(resamples, data, tmp_path, capsys):
    words = ["train", "retinanet", str(data), "--frozen", "--shots", "9", "--resamples", resamples]
    assert main([*words, "--out", str(tmp_path / "run")]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "9 pictures were asked for" in line]
    assert len(lines) == 1 and lines[0].endswith("there are 8")
    assert not (tmp_path / "run").exists()


def test_a_class_with_one_example_works(tmp_path):
    random = np.random.default_rng(0)
    for split, counts in (("train", {"bright": 5, "dark": 1}), ("val", {"bright": 3, "dark": 3})):
        for name, count in counts.items():
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(0, 40, (40, 40, 3), dtype=np.uint8) + (200 if name == "bright" else 10)
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / split / name / f"{i}.png")
    recipe = Classifier(data=tmp_path / "data", longest=64, shots=1, frozen=True, steps=30, batch_size=4, views=4)
    assert train(recipe, tmp_path / "run", say=lambda line: None)["top1"] == 1.0
    with pytest.raises(AnnotationError, match="2 pictures of every class were asked for"):
        train(replace(recipe, shots=2), tmp_path / "two", say=lambda line: None)


def test_few_labels_get_enough_steps_also_where_the_trunk_learns(data, tmp_path):
    recipe = RetinaNet(data=(data,), shots=2, steps=3, batch_size=2, **{**SMALL, "frozen": False})
    train(recipe, tmp_path / "run", say=lambda line: None)
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 3
    assert sum("scores" in line for line in log) == 1
    assert RetinaNet(data=(data,)).epochs_of(40, 1) == 40
