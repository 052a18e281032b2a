"""`allsight calibrate`, and `allsight see --abstain` after it."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from allsight import hub
from allsight.data.formats.catalogue import write_datasets
from allsight.data.pictures.dataset import Dataset, Example
from allsight.files import whole
from allsight.predict import load
from allsight.scene import Scene, Vocabulary


def pictures(count: int, first: int) -> list[np.ndarray]:
    return [np.random.default_rng(first + i).integers(0, 256, (48, 64, 3), dtype=np.uint8) for i in range(count)]


@pytest.fixture(scope="module")
def data(detector: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in which some of what the model sees is declared to be there."""
    see = load(detector)
    names = Vocabulary(("cat", "dog", "Äpfel & Birnen"))
    parts = {}
    for split, count, first in (("train", 10, 0), ("val", 12, 100)):
        examples = []
        for i, array in enumerate(pictures(count, first)):
            said = see(array)
            true = Scene((48, 64), boxes=said.boxes[::3], labels=said.labels[::3], object_classes=names)
            pixels = see_pixels(array)
            examples.append(Example(Path(f"{split}{i}.png"), true, pixels=pixels))
        parts[split] = Dataset(tuple(examples), object_classes=names)
    folder = tmp_path_factory.mktemp("data") / "made"
    write_datasets(parts, folder, "coco")
    return folder


def see_pixels(array: np.ndarray):
    import torch

    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


@pytest.fixture
def own(detector: Path, tmp_path: Path) -> Path:
    """A copy of the model that may be changed."""
    return Path(shutil.copytree(detector, tmp_path / "own"))


def test_calibrate_then_see(call, own, data, picture, tmp_path):
    before = (own / "model.safetensors").read_bytes()
    result = call("calibrate", own, data)
    assert result.code == 0
    assert "ECE calibrated" in result.out
    assert "--abstain" in result.out
    assert (own / "knowledge.safetensors").stat().st_size < 100_000
    assert (own / "model.safetensors").read_bytes() == before
    assert "ECE" in json.loads((own / "config.json").read_text())["card"]["calibration"]
    assert "calibration" in (own / "README.md").read_text()

    picture(tmp_path / "near.png", (64, 48), seed=7)
    Image.fromarray(np.full((48, 64, 3), 9, dtype=np.uint8)).save(tmp_path / "far.png")
    result = call("see", "near.png", "far.png", "--model", own, "--abstain")
    assert result.code == 0
    near, far = json.loads((tmp_path / "seen" / "seen.json").read_text())["pictures"]
    assert far["known"] is False
    assert far["distance"] > 1
    assert all(item["known"] is False for item in far["objects"])
    assert {"known", "distance"} <= set(near["objects"][0])
    line = next(line for line in result.out.splitlines() if line.startswith("far.png"))
    assert "outside what the model knows: " in line
    assert (tmp_path / "seen" / "far.jpg").stat().st_size > 0

    assert call("see", "near.png", "--model", own, "--out", "plain").code == 0
    assert "known" not in json.loads((tmp_path / "plain" / "seen.json").read_text())["pictures"][0]


def test_many_pictures_are_counted(call, own, data, tmp_path):
    assert call("calibrate", own, data).code == 0
    (tmp_path / "in").mkdir()
    for i in range(22):
        Image.fromarray(np.full((48, 64, 3), i, dtype=np.uint8)).save(tmp_path / "in" / f"{i}.png")
    result = call("see", "in", "--model", own, "--abstain", "--no-draw")
    assert "22 pictures outside what the model knows" in result.out


def test_an_earlier_calibration_is_replaced_only_by_force(call, own, data, tmp_path):
    assert call("calibrate", own, data).code == 0
    before = (own / "knowledge.safetensors").read_bytes()
    result = call("calibrate", own, data)
    assert result.code == 2
    assert "knowledge.safetensors: exists already" in result.one_line()
    assert (own / "knowledge.safetensors").read_bytes() == before
    assert call("calibrate", own, data, "--force").code == 0


def test_a_full_disk_leaves_the_earlier_calibration(call, own, data, monkeypatch):
    assert call("calibrate", own, data).code == 0
    before = {path.name: path.read_bytes() for path in own.iterdir()}

    def full(path: Path) -> None:
        if Path(path).name.startswith(".README"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(whole, "flush", full)
        assert "No space left on device" in call("calibrate", own, data, "--force").one_line()
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before
    assert hub.load(own).knowledge is not None


def test_a_copy_leaves_the_model_as_it_is(call, own, data, tmp_path):
    assert call("calibrate", own, data, "--out", "copy").code == 0
    assert not (own / "knowledge.safetensors").exists()
    assert hub.load(tmp_path / "copy").knowledge is not None
    assert "config.json: exists already" in call("calibrate", own, data, "--out", "copy").one_line()


def test_bad_input(call, own, data, picture, tmp_path):
    picture(tmp_path / "a.png")
    result = call("see", "a.png", "--model", own, "--abstain")
    assert result.code == 2
    assert "run: allsight calibrate MODEL DATA" in result.one_line()
    assert not (tmp_path / "seen").exists()
    assert "choose another --split" in call("calibrate", own, data, "--split", "train").one_line()
    assert "no such file, folder or model" in call("calibrate", "nowhere", data).one_line()
    assert "does not exist" in call("calibrate", own, "nowhere").one_line()
    (own / "knowledge.safetensors").write_bytes(b"rubbish")
    assert "is damaged" in call("see", "a.png", "--model", own).one_line()
    assert "is damaged" in call("calibrate", own, data, "--force").one_line()


def test_data_without_splits(call, own, picture, tmp_path):
    for name in ("cat", "dog"):
        picture(tmp_path / "flat" / name / "a.png")
    assert "run: allsight split" in call("calibrate", own, "flat").one_line()
