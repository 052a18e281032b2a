"""NanoDet-Plus' recipe end to end on made pictures: taught on, from scratch, and what it refuses."""

import pytest
import torch
from safetensors.torch import load_file

from allsight import hub
from allsight.data.formats.catalogue import write_datasets
from allsight.data.made.shapes import made_scenes
from allsight.errors import ModelError, TrainingError
from allsight.models.detection.nanodet_keys import convolutions
from allsight.predict import Predictor
from allsight.recipes.detection.nanodet import NanoDet, build
from allsight.recipes.run import train

SMALL = {"longest": 64, "epochs": 1, "batch_size": 3, "steps": 2}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Made pictures on disk, one shape each."""
    root = tmp_path_factory.mktemp("made") / "shapes"
    write_datasets({"train": made_scenes(6, seed=0), "val": made_scenes(2, seed=1)}, root, "coco")
    return root


def test_goes_on_from_the_published_weights(shapes, tmp_path):
    recipe = NanoDet(data=(shapes,), shots=6, **SMALL)
    scores = train(recipe, tmp_path / "run", say=lambda line: None)
    assert set(scores) == {"AP50", "AP", "AP75"}
    model, shipped = hub.load(tmp_path / "run"), hub.load("nanodet")
    assert list(model.system.heads["objects"].classes) != list(shipped.system.heads["objects"].classes)
    one, two = (each.system.state_dict()["trunk.conv1.0.weight"] for each in (model, shipped))
    assert 0 < float((one - two).abs().max()) < 0.02
    (scene,) = Predictor(model).scenes([made_scenes(1, seed=1)[0].picture()])
    assert scene.size == (64, 64)


def test_from_scratch_the_guidance_is_not_saved_and_the_run_can_be_gone_on_with(shapes, tmp_path):
    recipe = NanoDet(data=(shapes,), scratch=True, **SMALL)
    system = build(recipe).model.system
    assert system.heads["objects"].guidance.detach_after == 20  # ten epochs of two batches
    train(recipe, tmp_path / "run", say=lambda line: None)
    assert not any("guidance" in name for name in load_file(tmp_path / "run" / "model" / "model.safetensors"))
    model = hub.load(tmp_path / "run")
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in model.system.modules())
    other = build(NanoDet(data=(shapes,), begin=str(tmp_path / "run"), **SMALL)).model.system
    for name, tensor in model.system.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


def test_learns_on_kept_features(shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    recipe = NanoDet(data=(shapes,), frozen=True, views=2, **SMALL)
    assert "AP50" in train(recipe, tmp_path / "run", say=lambda line: None)


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"begin": "cells"}, ModelError, "--from cells: is no NanoDet-Plus but retinanet_narrow"),
        ({"trunk_weights": "x.pth"}, ModelError, "--trunk-weights x.pth: .* add --scratch"),
        ({"scratch": True, "frozen": True}, TrainingError, "--frozen --scratch"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(shapes, settings, error, told):
    with pytest.raises(error, match=told) as raised:
        build(NanoDet(data=(shapes,), **settings, **SMALL))
    assert "\n" not in str(raised.value)


def test_the_shipped_weights_are_the_published_ones(shared_data):
    published = load_file(shared_data / "nanodet_plus" / "nanodet_plus_m_416.safetensors")
    shipped = load_file(hub.read_config("nanodet")[0] / "model.safetensors")
    assert len(shipped) == len(published)
    for name, ours in convolutions().items():
        weight = published[f"{name}.weight"]
        weight = weight.flip(1) if name == "Conv_0" else weight  # red first
        assert torch.equal(shipped[f"{ours}.weight"], weight)
        assert torch.equal(shipped[f"{ours}.bias"], published[f"{name}.bias"])


def test_the_card_says_whose_weights_they_are():
    _, config = hub.read_config("nanodet")
    card = config["card"]
    assert "RangiLyu" in card["authors"] and "Apache-2.0" in card["licence"] and "train2017" in card["data"]
    assert "no recipe of this package" in card["description"]


@pytest.mark.parametrize("size", [(1, 1), (200, 4000), (4000, 7), (33, 31)])
def test_pictures_of_any_shape_are_seen(size):
    picture = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    (scene,) = Predictor(hub.load("nanodet")).scenes([picture])
    assert scene.size == size
    assert scene.boxes.isfinite().all()


def test_names_what_photographs_show():
    data = pytest.importorskip("skimage.data")
    predictor = Predictor(hub.load("nanodet"))
    for name, expected in {"cat": "cat", "coffee": "cup", "astronaut": "person"}.items():
        picture = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1)
        (scene,) = predictor.scenes([picture])
        assert expected in predictor.shown(scene).names()
