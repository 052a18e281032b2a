"""`everyday`: data sets on the same pictures, parts that the data teach, and boxes that stay as they were."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_squares import SIZE, SMALL, squares

from allsight import hub
from allsight.cli.main import main
from allsight.data.formats.catalogue import write_datasets
from allsight.data.pictures.dataset import Dataset
from allsight.errors import ModelError, TrainingError
from allsight.models.whole.everyday import published_classes
from allsight.predict import Predictor
from allsight.recipes.detection.nanodet import NanoDet
from allsight.recipes.run import train
from allsight.recipes.whole.everyday import Everyday, build, read
from allsight.scene import Masks, Vocabulary
from allsight.weights.files import read_state

NAMES = Vocabulary(("wall-brick", "dark"))
SETTINGS = {**SMALL, "steps": 6}


def silent(line: str) -> None:
    pass


def annotated(dataset: Dataset) -> Dataset:
    """Squares with outlines and regions."""
    examples = []
    for example in dataset:
        scene = example.annotation
        mask = torch.zeros(1, *SIZE, dtype=torch.bool)
        x1, y1, x2, y2 = scene.boxes[0].long().tolist()
        mask[0, y1:y2, x1:x2] = True
        fields = {"masks": Masks.from_dense(mask), "regions": mask[0].long(), "region_classes": NAMES}
        examples.append(type(example)(example.path, scene.with_(**fields), pixels=example.pixels))
    return Dataset(tuple(examples), dataset.object_classes, region_classes=NAMES, name="squares")


def called(*names: str) -> dict[str, Dataset]:
    """Return both splits with squares by other names."""
    classes = Vocabulary(names)
    sides = {}
    for split, part in {"train": annotated(squares(4)), "val": annotated(squares(4, seed=1))}.items():
        examples = (replace(e, annotation=e.annotation.with_(object_classes=classes)) for e in part)
        sides[split] = replace(part, examples=tuple(examples), object_classes=classes)
    return sides


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """The same pictures twice: with outlined objects, and with regions."""
    root = tmp_path_factory.mktemp("squares")
    parts = {"train": annotated(squares(6)), "val": annotated(squares(4, seed=1))}
    write_datasets(parts, root / "objects", "coco")
    write_datasets(parts, root / "regions", "regions")
    for split in parts:  # one copy of the pictures, as where several annotations lie beside them
        for picture in (root / "regions" / "images" / split).iterdir():
            picture.unlink()
            picture.symlink_to(next((root / "objects" / split).glob(f"{picture.stem}.*")))
    return root / "objects", root / "regions"


@pytest.fixture(scope="module")
def begun(data: tuple[Path, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that learned boxes."""
    out = tmp_path_factory.mktemp("boxes") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALLSIGHT_CACHE", str(out.parent / "cache"))
        train(NanoDet(data=data[:1], **SETTINGS), out, say=silent)
    return out


def test_layers_are_read_as_one(data: tuple[Path, ...]) -> None:
    learned, held_out, _ = read(Everyday(data=data))
    assert (len(learned), len(held_out)) == (6, 4)
    assert learned.region_classes == held_out.region_classes
    assert learned.region_classes.names == ("wall", "dark")  # a group, and a name that is in none
    assert all(e.outlines is not None and e.label_map is not None for e in (*learned, *held_out))


def test_boxes_stay_as_they_were_and_the_rest_is_learned(
    data: tuple[Path, ...], begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    scores = train(Everyday(data=data, begin=str(begun), **SETTINGS), tmp_path / "run", say=silent)
    assert {"AP50", "AP", "mask AP50", "mask AP", "mean IoU"} <= set(scores)
    before, after = (read_state(run / "model" / "model.safetensors") for run in (begun, tmp_path / "run"))
    assert any(name.startswith("heads.objects.") for name in before)
    for name in before:
        own = name.replace("heads.objects.", "heads.objects.boxes.").replace("neck.", "neck.necks.boxes.")
        assert torch.equal(before[name], after[own])
    assert any(name.startswith("heads.regions.") for name in after)
    model = hub.load(tmp_path / "run")
    assert set(model.display.region_thresholds) == {"wall", "dark"}
    picture = squares(1, seed=1)[0].pixels
    (one,), (two,) = (Predictor(m).scenes([picture]) for m in (hub.load(begun), model))
    torch.testing.assert_close(one.boxes, two.boxes, atol=1e-3, rtol=1e-4)
    shown = Predictor(model).shown(two)
    for label, name in enumerate(shown.region_classes):
        sure = two.region_scores >= model.display.region_thresholds[name]
        assert torch.equal(shown.regions == label, (two.regions == label) & sure)


def test_eval_lays_data_sets_over_one_another_and_says_what_the_training_said(
    data: tuple[Path, ...], begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    run = tmp_path / "run"
    scores = train(Everyday(data=data, begin=str(begun), **SETTINGS), run, say=silent)
    assert main(["eval", str(run), *map(str, data), "--json", str(tmp_path / "scores.json")]) == 0
    found = json.loads((tmp_path / "scores.json").read_text())
    assert (found["task"], found["pictures"]) == ("objects", 4)
    for name, value in scores.items():
        assert found["scores"][name] == pytest.approx(value, abs=1e-6)
    assert main(["eval", str(run), str(data[1]), "--json", str(tmp_path / "regions.json")]) == 0
    assert json.loads((tmp_path / "regions.json").read_text())["task"] == "regions"


def test_what_the_data_do_not_teach_is_left_out(
    data: tuple[Path, ...], begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    scores = train(Everyday(data=data[:1], begin=str(begun), **SETTINGS), tmp_path / "run", say=silent)
    assert "mask AP50" in scores
    assert "mean IoU" not in scores
    assert list(hub.load(tmp_path / "run").system.heads) == ["objects"]


def test_of_published_boxes_nothing_is_stored(
    data: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    known = published_classes()
    write_datasets(called(known[16], known[0]), tmp_path / "known", "coco")  # in another order than the detector's
    train(Everyday(data=(tmp_path / "known",), **SETTINGS), tmp_path / "run", say=silent)
    stored = read_state(tmp_path / "run" / "model" / "model.safetensors")
    assert stored
    assert not any(name.startswith(("trunk.", "neck.necks.boxes.", "heads.objects.boxes.")) for name in stored)
    model, published = hub.load(tmp_path / "run"), hub.load("nanodet")
    assert set(model.display.thresholds) == {""}
    picture = squares(1, seed=1)[0].pixels[None].repeat_interleave(4, -1).repeat_interleave(4, -2)
    with torch.no_grad():
        own = model.system.heads["objects"].boxes(model.system.features(picture), [])
        other = published.system(picture).heads["objects"]
    torch.testing.assert_close(own.logits, other.logits[..., [16, 0]])
    torch.testing.assert_close(own.sides, other.sides)


def test_other_boxes_than_are_wanted_are_refused(
    data: tuple[Path, ...], begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(ModelError, match="cells: is no NanoDet-Plus"):
        build(Everyday(data=data, begin="cells"))
    with pytest.raises(ModelError, match="dark, light: the published detector does not know"):
        build(Everyday(data=data))
    write_datasets(called("bee", "ant"), tmp_path / "other", "coco")
    with pytest.raises(ModelError, match="does not know bee, ant"):
        build(Everyday(data=(tmp_path / "other",), begin=str(begun)))
    with pytest.raises(TrainingError, match="nothing else to learn"):
        build(Everyday(data=data, parts=("objects",)))
