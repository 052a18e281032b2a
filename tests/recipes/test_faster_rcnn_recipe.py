"""Faster R-CNN's recipe end to end on made pictures, each of its forms built, and loaded again."""

import pytest
import torch

from allsight import hub
from allsight.data.formats.catalogue import write_datasets
from allsight.data.made.shapes import made_scenes
from allsight.predict import Predictor
from allsight.recipes.detection.faster_rcnn import FasterRCNN, build
from allsight.recipes.run import train
from allsight.systems import SYSTEMS

SMALL = {"longest": 64, "epochs": 2, "batch_size": 2, "evaluate_every": 2}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Made pictures on disk, one shape each."""
    root = tmp_path_factory.mktemp("made") / "shapes"
    write_datasets({"train": made_scenes(6, seed=0), "val": made_scenes(2, seed=1)}, root, "coco")
    return root


def test_trains_in_bfloat16_saves_and_answers_equally_when_loaded(shapes, tmp_path):
    scores = train(FasterRCNN(data=(shapes,), title="Shapes", **SMALL), tmp_path / "run", say=lambda line: None)
    assert set(scores) == {"AP50", "AP", "AP75"}
    model = hub.load(tmp_path / "run")
    assert model.spec.builder == "faster_rcnn_narrow" and model.card["title"] == "Shapes"
    picture = made_scenes(1, seed=1)[0].picture()
    one, two = (Predictor(hub.load(tmp_path / "run"), precision="float32").scenes([picture])[0] for _ in range(2))
    assert one.size == (64, 64)
    assert torch.equal(one.boxes, two.boxes) and torch.equal(one.scores, two.scores)


def test_trains_on_kept_features(shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    recipe = FasterRCNN(data=(shapes,), frozen=True, views=2, steps=4, **SMALL)
    assert "AP50" in train(recipe, tmp_path / "run", say=lambda line: None)


@pytest.mark.parametrize(("form", "trunk"), [("c4", "resnet18"), ("fpn", "resnet18"), ("narrow", "efficientnet_lite0")])
def test_every_form_has_its_builder_and_its_optimiser(shapes, form, trunk):
    recipe = FasterRCNN(data=(shapes,), form=form, trunk=trunk, **SMALL)
    job = build(recipe)
    assert job.model.spec.builder == f"faster_rcnn_{form}" in SYSTEMS
    optimizers, _ = job.stages[0].begin()
    learned = sum(p.numel() for group in optimizers["adamw"].param_groups for p in group["params"])
    assert learned == sum(p.numel() for p in job.learner.parameters() if p.requires_grad) > 0
