"""The segmenter end to end on made pictures: it learns, with every loss, and its run can be seen and scored."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from allsight import hub
from allsight.cli.main import main
from allsight.data.formats.catalogue import open_dataset
from allsight.errors import AllsightError
from allsight.judge.evaluate import answers
from allsight.judge.region_scores import evaluate_regions
from allsight.predict import Predictor
from allsight.recipes.run import train
from allsight.recipes.segmentation.regions import draw_regions, read_regions
from allsight.recipes.segmentation.segmenter import Segmenter, build
from allsight.recipes.segmentation.settings import RegionSettings

SMALL = {"trunk": "resnet18", "longest": 64, "epochs": 1, "batch_size": 4, "precision": "float32", "crop": 1.0}


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of a light field under a dark one, of two drives; every tenth row is not annotated."""
    root = tmp_path_factory.mktemp("fields")
    random = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for i in range(count):
            labels = np.zeros((48, 64), dtype=np.uint8)
            labels[int(random.integers(10, 38)) :] = 1
            pixels = random.integers(0, 50, (48, 64, 3)) + 180 * labels[..., None]
            labels[::10] = 255
            for folder, image in (("images", pixels), ("masks", labels)):
                path = root / folder / split / f"drive{i % 2}_{split}{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(path)
    parts = {split: {"images": f"images/{split}", "masks": f"masks/{split}"} for split in ("train", "val")}
    (root / "config.yaml").write_text(yaml.safe_dump(parts | {"classes": ["dark", "light"]}))
    return root


@pytest.fixture(scope="module")
def run(fields: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short training, with a second stage."""
    out = tmp_path_factory.mktemp("run") / "fields"
    settings = SMALL | {"epochs": 12, "lovasz_epochs": 2, "loss": "weighted", "title": "Fields"}
    scores = train(Segmenter(data=fields, **settings), out, say=lambda line: None)
    assert list(scores) == ["mean IoU", "pixel accuracy", "class accuracy", "boundary F1"]
    assert scores["mean IoU"] > 0.8
    return out


def test_the_model_is_that_of_its_scores(run: Path, fields: Path) -> None:
    model = hub.load(run)
    assert model.card["title"] == "Fields"
    assert model.card["task"] == "regions: dark, light"
    dataset = open_dataset(fields, "val")
    said = answers(Predictor(model), dataset)
    evaluation, found = evaluate_regions("fields", dataset, said)
    for name, score in model.card["scores"].items():
        assert found.summary[name] == pytest.approx(score, abs=0.01)  # weights are kept in half precision
    assert len(evaluation) == 4
    scene = evaluation.predictions[0]
    assert scene.regions is not None
    assert (scene.size, scene.regions.dtype, scene.region_classes.names) == ((48, 64), torch.int64, ("dark", "light"))
    assert torch.equal(evaluation.truths[0].regions, dataset[0].scene.regions)


def test_commands_on_a_run(run: Path, fields: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    assert main(["eval", str(run), str(fields), "--out", str(out), "--json", str(tmp_path / "scores.json")]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["task"] == "regions"
    assert set(found["classes"]) == {"dark", "light"}
    assert found["classes"]["dark"]["IoU"] > 0.7
    assert {path.name for path in out.iterdir()} >= {"report.html", "scores.json", "confusion.svg", "worst.jpg"}
    picture = fields / "images" / "val" / "drive0_val0.png"
    assert main(["see", str(picture), "--model", str(run), "--out", str(tmp_path / "seen"), "--runtime", "torch"]) == 0
    (seen,) = json.loads((tmp_path / "seen" / "seen.json").read_text())["pictures"]
    assert {region["label"] for region in seen["regions"]} == {"dark", "light"}
    assert (tmp_path / "seen" / "drive0_val0.jpg").exists()
    assert "light" in capsys.readouterr().out


@pytest.mark.parametrize("loss", ["cross_entropy", "weighted", "dice", "relaxed"])
def test_every_loss_trains(loss: str, fields: Path, tmp_path: Path) -> None:
    recipe = Segmenter(data=fields, loss=loss, shots=3, steps=2, **SMALL)
    scores = train(recipe, tmp_path / "run", say=lambda line: None)
    assert 0 < scores["mean IoU"] < 1
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    names = {"weighted": {"cross_entropy"}, "dice": {"cross_entropy", "dice"}}.get(loss, {loss})
    assert set(log[0]["losses"]) == names


def test_on_frozen_features(fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    recipe = Segmenter(data=fields, frozen=True, views=2, steps=8, **SMALL)
    scores = train(recipe, tmp_path / "run", say=lambda line: None)
    assert scores["mean IoU"] > 0.3
    assert hub.load(tmp_path / "run").card["scores"]["mean IoU"] == pytest.approx(scores["mean IoU"], abs=1e-3)


def test_the_whole_trunk_learns_once_the_lovasz_loss_joins(fields: Path) -> None:
    job = build(Segmenter(data=fields, freeze_until="c2", lovasz_epochs=1, **SMALL))
    trunk, learning, losses = job.model.system.trunk, [], []
    for stage in job.stages:
        stage.begin()
        learning.append({name.split(".")[0] for name, p in trunk.named_parameters() if p.requires_grad})
        losses.append(set(job.model.system.heads["regions"].losses))
    assert learning == [{"layer2", "layer3", "layer4"}, {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}]
    assert losses == [{"cross_entropy"}, {"cross_entropy", "lovasz"}]


def test_the_lovasz_loss_has_a_weight_and_a_twin_without_it(fields: Path) -> None:
    logits, truth = torch.randn(1, 2, 4, 4), torch.randint(2, (1, 4, 4))
    found = {}
    for weight in (1.0, 0.5, 0.0):
        job = build(Segmenter(data=fields, lovasz_epochs=3, lovasz_weight=weight, **SMALL))
        optimizers, config = job.stages[1].begin()
        assert (optimizers["adamw"].defaults["lr"], config.epochs) == (pytest.approx(1e-3), 3)
        losses = job.model.system.heads["regions"].losses
        found[weight] = {name: float(loss(logits, truth)) for name, loss in losses.items()}
    assert found[0.0].keys() == {"cross_entropy"}
    assert found[0.5]["lovasz"] == pytest.approx(found[1.0]["lovasz"] / 2)


def test_careless_borders_are_learned_from_and_clean_ones_judge(fields: Path) -> None:
    careless, clean = (Segmenter(data=fields, jitter=pixels, shots=4, **SMALL) for pixels in (3.0, 0.0))
    train_part, _, _ = read_regions(clean)
    pairs = list(zip(draw_regions(careless, train_part), draw_regions(clean, train_part), strict=True))
    assert [one.path for one, _ in pairs] == [two.path for _, two in pairs]
    assert not any(torch.equal(one.scene.regions, two.scene.regions) for one, two in pairs)
    again = [example.scene.regions for example in draw_regions(careless, train_part)]
    assert all(torch.equal(one.scene.regions, two) for (one, _), two in zip(pairs, again, strict=True))
    job = build(careless)
    assert [example.path for example in job.data.dataset] == [one.path for one, _ in pairs]
    assert 0 <= job.evaluate(job.learner)["mean IoU"] <= 1


def test_one_drive_is_left_out(fields: Path) -> None:
    train_part, val_part, _ = read_regions(Segmenter(data=fields, hold_out="drive1"))
    assert {example.name.split("_")[0] for example in train_part} == {"drive0"}
    assert {example.name.split("_")[0] for example in val_part} == {"drive1"}
    assert (len(train_part), len(val_part)) == (6, 6)


def test_bad_data_is_refused_in_one_line(fields: Path, tmp_path: Path) -> None:
    folders = tmp_path / "folders" / "cat"
    folders.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(folders / "one.png")
    recipes: list[RegionSettings] = [
        Segmenter(data=tmp_path / "nowhere"),
        Segmenter(data=folders.parent),
        Segmenter(data=fields, hold_out="nobody"),
        Segmenter(data=fields, hold_out="drive"),
    ]
    for recipe in recipes:
        with pytest.raises(AllsightError) as caught:
            build(recipe)
        assert "\n" not in str(caught.value)


def test_a_model_that_knows_nothing_of_it_is_refused(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(folder / part / "one.png")
    config = {"val": {"images": "images", "masks": "masks"}, "classes": ["sea"]}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert main(["eval", str(run), str(folder)]) == 2
