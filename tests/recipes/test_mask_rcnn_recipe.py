"""Mask R-CNN's recipe end to end on made pictures: it learns outlines, and its run can be seen, scored and exported."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from allsight import hub
from allsight.cli.main import main
from allsight.data.formats.catalogue import open_dataset, write_datasets
from allsight.data.made.shapes import made_scenes
from allsight.data.pictures.dataset import Dataset
from allsight.data.pictures.geometry import QuarterTurn
from allsight.errors import TrainingError
from allsight.models.instances.mask_rcnn import MaskRCNNHead
from allsight.predict import Predictor
from allsight.recipes.detection.faster_rcnn import FasterRCNN
from allsight.recipes.detection.objects import read
from allsight.recipes.instances.mask_rcnn import MaskRCNN, build
from allsight.recipes.run import train
from allsight.scene import Scene, Vocabulary
from allsight.systems import SYSTEMS

SMALL = {"longest": 64, "epochs": 2, "batch_size": 4, "evaluate_every": 2, "crop": 1.0, "proposed": 50, "most": 20}
SCORES = ["mask AP50", "mask AP", "mask AP75", "AP50", "AP", "AP75", "bowl"]


def shapes(count: int, seed: int) -> Dataset:
    """Made pictures of a few shapes, all of one class."""
    made = made_scenes(count, seed=seed, objects=(1, 3))
    one = Vocabulary(("shape",))
    examples = []
    for example in made:
        labels = torch.zeros_like(example.annotation.labels)
        examples.append(replace(example, annotation=example.annotation.with_(labels=labels, object_classes=one)))
    return Dataset(tuple(examples), one, name="shapes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps of instances on disk."""
    root = tmp_path_factory.mktemp("made") / "shapes"
    write_datasets({"train": shapes(8, 0), "val": shapes(4, 1)}, root, "instances")
    return root


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short training."""
    out = tmp_path_factory.mktemp("run") / "shapes"
    scores = train(MaskRCNN(data=(folder,), turned=True, title="Shapes", **SMALL), out, say=lambda line: None)
    assert list(scores) == SCORES
    return out


def test_a_run_is_saved_with_its_form_and_answers_with_masks(run: Path) -> None:
    model = hub.load(run)
    assert model.spec.builder == "mask_rcnn_narrow"
    head = model.system.heads["objects"]
    assert isinstance(head, MaskRCNNHead)
    assert (head.proposed, head.selection.most, head.proposals.candidates) == (50, 20, 500)
    (scene,) = Predictor(model).scenes([shapes(1, 5)[0].picture()])
    assert scene.masks is not None
    assert len(scene.masks) == len(scene.boxes) <= 20


def test_commands_on_a_run(run: Path, folder: Path, tmp_path: Path) -> None:
    assert main(["eval", str(run), str(folder), "--json", str(tmp_path / "scores.json")]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    assert list(found["scores"])[:5] == ["mask AP50", "mask AP", "mask AP75", "boundary AP", "bowl"]
    picture = next((folder / "images" / "val").iterdir())
    assert main(["see", str(picture), "--model", str(run), "--out", str(tmp_path / "seen"), "--runtime", "torch"]) == 0
    assert (tmp_path / "seen" / "seen.json").exists()


def test_on_kept_features(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    recipe = MaskRCNN(data=(folder,), frozen=True, views=2, steps=4, **SMALL)
    assert list(train(recipe, tmp_path / "run", say=lambda line: None)) == SCORES


@pytest.mark.parametrize(("form", "trunk"), [("fpn", "resnet18"), ("narrow", "efficientnet_lite0")])
def test_every_form_has_its_builder(folder: Path, form: str, trunk: str) -> None:
    recipe = MaskRCNN(data=(folder,), form=form, trunk=trunk, **SMALL)
    model = build(recipe).model
    assert model.spec.builder == f"mask_rcnn_{form}" in SYSTEMS
    head = model.system.heads["objects"]
    assert (head.proposed, head.selection.most) == (50, 20)


def test_without_masks_the_boxes_alone_are_learned(folder: Path) -> None:
    learned = {}
    for masks in (True, False):
        torch.manual_seed(0)
        job = build(MaskRCNN(data=(folder,), masks=masks, **SMALL))
        batch = job.collate([job.data[0, i] for i in range(4)])
        torch.manual_seed(0)
        losses = job.learner.train().loss(batch)
        sum(losses.values()).backward()
        net = job.model.system.heads["objects"].masks
        told = {name: float(loss.detach()) for name, loss in losses.items() if not name.endswith("masks")}
        learned[masks] = (batch, told, any(bool(p.grad.any()) for p in net.parameters() if p.grad is not None))
    (with_masks, terms, drawn), (bare, same, untouched) = learned[True], learned[False]
    assert torch.equal(with_masks.pictures, bare.pictures)
    assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(with_masks.scenes, bare.scenes, strict=True))
    assert terms == pytest.approx(same)
    assert (drawn, untouched) == (True, False)


def test_masks_are_kept_where_they_are_learned(folder: Path) -> None:
    outlined, _, _ = read(MaskRCNN(data=(folder,)))
    plain, _, _ = read(FasterRCNN(data=(folder,)))
    assert all(example.annotation.masks is not None for example in outlined)
    assert all(example.annotation.masks is None for example in plain)


def test_pictures_are_turned_and_cut_only_where_asked(folder: Path) -> None:
    settings = {**SMALL, "crop": 0.5}
    for turned in (True, False):
        augmentation = build(MaskRCNN(data=(folder,), turned=turned, **settings)).data.transform
        assert augmentation.size == (32, 32)
        assert any(isinstance(part, QuarterTurn) for part in augmentation.parts) == turned
        (scale,) = (part for part in augmentation.parts if hasattr(part, "low"))
        assert (scale.low, scale.high) == pytest.approx((1.4, 2.8))  # the scale is the model's, whatever is cut out


def test_boxes_alone_are_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    bare = open_dataset(folder).without_masks()
    write_datasets({"train": bare, "val": bare}, tmp_path / "boxes", "voc")
    with pytest.raises(TrainingError, match="no outlines") as caught:
        build(MaskRCNN(data=(tmp_path / "boxes",)))
    assert "\n" not in str(caught.value)


def test_pictures_without_objects_train(tmp_path: Path) -> None:
    made = shapes(4, 0)
    empty = Scene((64, 64), torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), object_classes=made.object_classes)
    empty = empty.with_(masks=made[0].annotation.masks[torch.zeros(0, dtype=torch.int64)])
    first = replace(made[0], annotation=empty)
    write_datasets(
        {"train": replace(made, examples=(first, *made.examples[1:])), "val": made}, tmp_path / "d", "instances"
    )
    scores = train(MaskRCNN(data=(tmp_path / "d",), **SMALL), tmp_path / "run", say=lambda line: None)
    assert 0 <= scores["bowl"] <= 1
