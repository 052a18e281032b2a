"""Recipes end to end on made pictures: they learn, describe themselves, refuse and resume."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from allsight import hub
from allsight.errors import AllsightError, OutputError, TrainingError
from allsight.predict import Predictor
from allsight.recipes import RECIPES, recipe_class
from allsight.recipes.classification.classifier import Classifier
from allsight.recipes.classification.tags import read_tags
from allsight.recipes.detection.retinanet import RetinaNet
from allsight.recipes.run import train
from allsight.recipes.whole.everyday import Everyday
from allsight.weights.files import read_state

SMALL = {"longest": 64, "epochs": 2, "batch_size": 2, "evaluate_every": 2, "precision": "float32"}


@pytest.fixture(scope="module")
def squares(tmp_path_factory) -> Path:
    """Ten pictures with a bright square each, in COCO's form, and a val split of four."""
    root = tmp_path_factory.mktemp("squares")
    random = np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 4)):
        (root / split).mkdir()
        images, annotations = [], []
        for i in range(count):
            pixels = random.integers(0, 60, (48, 64, 3), dtype=np.uint8)
            x, y, side = (int(random.integers(low, high)) for low, high in ((0, 36), (0, 20), (16, 28)))
            pixels[y : y + side, x : x + side] = 230
            Image.fromarray(pixels).save(root / split / f"{split}{i}.png")
            images.append({"id": i, "file_name": f"{split}{i}.png", "height": 48, "width": 64})
            box = [x, y, side, side]
            annotations.append(
                {"id": i, "image_id": i, "category_id": 7, "bbox": box, "area": side * side, "iscrowd": 0}
            )
        categories = [{"id": 7, "name": "square"}]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / "annotations").mkdir(exist_ok=True)
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="module")
def maybe_squares(tmp_path_factory) -> Path:
    """Twenty-four pictures in COCO's form, of which every other one has a bright square."""
    root = tmp_path_factory.mktemp("maybe_squares")
    random = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(24):
        pixels = random.integers(0, 60, (64, 64, 3), dtype=np.uint8)
        if i % 2:
            pixels[10:50, 10:50] = 230
            box = {"bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0}
            annotations.append({"id": i, "image_id": i, "category_id": 7, **box})
        Image.fromarray(pixels).save(root / f"{i}.png")
        images.append({"id": i, "file_name": f"{i}.png", "height": 64, "width": 64})
    document = {"images": images, "annotations": annotations, "categories": [{"id": 7, "name": "square"}]}
    (root / "annotations.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> Path:
    """Two classes of twelve pictures each: bright and dark."""
    root = tmp_path_factory.mktemp("folders")
    random = np.random.default_rng(0)
    for name, level in (("bright", 200), ("dark", 20)):
        (root / name).mkdir()
        for i in range(12):
            pixels = random.integers(level, level + 40, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def test_recipes_are_importable_without_torch():
    code = "import sys\nfrom allsight.recipes import RECIPES, recipe_class\n"
    code += "[recipe_class(name) for name in RECIPES]\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(recipe_class(name).__doc__ for name in RECIPES)


def test_retinanet_trains_saves_and_sees(squares, tmp_path):
    recipe = RetinaNet(data=(squares,), title="Squares", licence="CC0", **SMALL)
    said: list[str] = []
    scores = train(recipe, tmp_path / "run", say=said.append)
    assert set(scores) == {"AP50", "AP", "AP75"}
    assert any("train: 10 pictures" in line for line in said)
    model = hub.load(tmp_path / "run")
    assert model.card["title"] == "Squares"
    assert model.card["scores"]["AP50"] == pytest.approx(scores["AP50"], abs=1e-4)
    assert model.inputs.fill == (127, 127, 127)
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["longest"] == 64
    scene = Predictor(model)(squares / "val" / "val0.png")
    assert scene.size == (48, 64)


def test_everyday_stores_only_what_it_learned(squares, tmp_path):
    train(Everyday(data=(squares,), views=1, steps=1, **SMALL), tmp_path / "run", say=lambda line: None)
    stored = read_state(tmp_path / "run" / "model" / "model.safetensors")
    assert not any(name.startswith(("trunk.", "heads.tags.")) for name in stored)
    assert any(name.startswith("heads.objects.") for name in stored)
    scene = Predictor(hub.load(tmp_path / "run"))(squares / "val" / "val0.png")
    assert scene.tags.shape == (1000,)


def test_a_classifier_learns_its_last_layer_and_then_its_trunk(folders, tmp_path):
    recipe = Classifier(data=folders, longest=64, frozen_epochs=2, tuned_epochs=1, batch_size=4, precision="float32")
    scores = train(recipe, tmp_path / "run", say=lambda line: None)
    assert scores["top1"] == 1.0
    first = torch.load(tmp_path / "run" / "last_layer" / "checkpoints" / "best.pt", weights_only=True)["model"]
    second = torch.load(tmp_path / "run" / "fine_tuned" / "checkpoints" / "best.pt", weights_only=True)["model"]
    changed = {name.split(".")[1] for name in first if not torch.equal(first[name], second[name])}
    assert changed == {"trunk", "heads"}
    stem = [name for name in first if "_conv_stem" in name]
    assert all(torch.equal(first[name], second[name]) for name in stem)


def test_a_classifier_learns_from_boxes_which_classes_are_there(maybe_squares, tmp_path):
    settings = {"longest": 64, "frozen": True, "views": 1, "batch_size": 4, "precision": "float32"}
    with pytest.raises(TrainingError, match="add --multi-label"):
        train(Classifier(data=maybe_squares, **settings), tmp_path / "refused")
    scores = train(
        Classifier(data=maybe_squares, multi_label=True, **settings), tmp_path / "run", say=lambda line: None
    )
    assert scores == {"mAP": pytest.approx(1.0)}
    seen = Predictor(hub.load(tmp_path / "run"))(np.full((64, 64, 3), 20, dtype=np.uint8))
    assert seen.tag_classes.names == ("square",)
    assert seen.tags.item() < 0.5


def test_a_run_is_not_overwritten_and_not_resumed_by_another_recipe(squares, tmp_path):
    out = tmp_path / "run"
    train(RetinaNet(data=(squares,), **SMALL), out, say=lambda line: None)
    with pytest.raises(OutputError, match="holds a run already"):
        train(RetinaNet(data=(squares,), **SMALL), out)
    with pytest.raises(OutputError, match="was started with epochs = 2, not 3"):
        train(RetinaNet(data=(squares,), **{**SMALL, "epochs": 3}), out, resume=True)
    before = read_state(out / "model" / "model.safetensors")
    train(RetinaNet(data=(squares,), **SMALL), out, resume=True, say=lambda line: None)  # complete: nothing to do
    after = read_state(out / "model" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_data_that_cannot_be_learned_from_are_refused(folders, tmp_path):
    with pytest.raises(TrainingError, match="no boxes"):
        train(RetinaNet(data=(folders,), **SMALL), tmp_path / "run")
    with pytest.raises(AllsightError, match="does not exist"):
        train(RetinaNet(data=(tmp_path / "nothing",), **SMALL), tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()


def test_a_test_split_serves_where_there_is_no_val(tmp_path):
    for split, count in (("test", 2), ("train", 4)):
        for name in ("dark", "light"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (8, 8), (i, 200 if name == "light" else 0, len(split))).save(folder / f"{i}.png")
    learned, judged, _ = read_tags(tmp_path, 0.5, 0)
    assert (learned.split, len(learned)) == ("train", 8)
    assert (judged.split, len(judged)) == ("test", 4)


def test_killed_and_resumed_is_as_never_stopped(squares, tmp_path):
    """The whole way from the command line: kill -9 in the middle, --resume, the same weights bit for bit."""
    words = ["train", "retinanet", str(squares), "--longest", "64", "--epochs", "3", "--batch-size", "2"]
    words += ["--evaluate-every", "3", "--precision", "float32", "--checkpoint-seconds", "0"]
    run = [sys.executable, "-m", "allsight", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*run, "--out", str(tmp_path / "whole")], check=True, capture_output=True, env=environment)
    broken = subprocess.Popen([*run, "--out", str(tmp_path / "broken")], env=environment, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / "broken" / "checkpoints" / "last.pt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and time.monotonic() < deadline and broken.poll() is None:
        time.sleep(0.02)
    broken.send_signal(signal.SIGKILL)
    broken.wait()
    assert checkpoint.exists()
    assert not (tmp_path / "broken" / "model").exists()
    resumed = [*run, "--out", str(tmp_path / "broken"), "--resume"]
    subprocess.run(resumed, check=True, capture_output=True, env=environment)
    whole, again = (read_state(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "broken"))
    assert whole.keys() == again.keys()
    assert all(torch.equal(whole[name], again[name]) for name in whole)
