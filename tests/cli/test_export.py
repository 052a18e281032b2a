import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import CLASSES

from allsight.hub import load

BLOCKED = ("onnx", "onnxscript", "onnxruntime", "openvino")


@pytest.fixture
def onnx_file(call, classifier, tmp_path) -> Path:
    pytest.importorskip("onnxscript")
    result = call("export", classifier, "--format", "onnx", "--out", "c.onnx", "--size", "64x96")
    assert result.code == 0
    assert result.err == ""
    assert "c.onnx" in result.out
    return tmp_path / "c.onnx"


def test_onnx_gives_what_the_model_gives_and_says_how_to_use_it(onnx_file, classifier):
    session = pytest.importorskip("onnxruntime").InferenceSession(onnx_file)
    (given,) = session.get_inputs()
    assert (given.name, given.shape, given.type) == ("pictures", [1, 3, 64, 96], "tensor(uint8)")
    pictures = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    (logits,) = session.run(["heads.tags.logits"], {"pictures": pictures.numpy()})
    expected = load(classifier).system(pictures).heads["tags"].logits.detach()
    np.testing.assert_allclose(logits, expected, atol=1e-3)
    about = json.loads(session.get_modelmeta().custom_metadata_map["allsight"])
    assert about["preprocessing"]["longest"] == 64
    assert about["spec"]["arguments"]["classes"]["arguments"]["names"] == list(CLASSES)


def test_openvino_pair(call, classifier, tmp_path):
    openvino = pytest.importorskip("openvino")
    assert call("export", classifier, "--format", "openvino", "--out", "o/c", "--size", "32x32").code == 0
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["c.bin", "c.xml"]
    compiled = openvino.Core().compile_model(tmp_path / "o" / "c.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    pictures = torch.randint(0, 256, (1, 3, 32, 32), dtype=torch.uint8)
    expected = load(classifier).system(pictures).heads["tags"].logits.detach()
    np.testing.assert_allclose(compiled(pictures.numpy())["heads.tags.logits"], expected, atol=1e-3)


def test_nothing_is_overwritten_without_force(call, classifier, onnx_file):
    words = ("export", classifier, "--format", "onnx", "--out", "c.onnx", "--size", "32x32")
    before = onnx_file.read_bytes()
    result = call(*words)
    assert result.code == 2
    assert "c.onnx: exists already" in result.one_line()
    assert onnx_file.read_bytes() == before
    assert call(*words, "--force").code == 0
    assert onnx_file.read_bytes() != before
    (onnx_file.parent / "c.bin").touch()
    result = call("export", classifier, "--format", "openvino", "--out", "c")
    assert "c.bin: exists already" in result.one_line()


@pytest.mark.parametrize("size", ["64", "axb", "64x", "65x64", "0x64", "64x96x3"])
def test_a_size_that_is_none(size, call, classifier, tmp_path):
    result = call("export", classifier, "--format", "onnx", "--out", "c.onnx", "--size", size)
    assert result.code == 2
    assert f"--size {size}" in result.one_line()
    assert not any(tmp_path.glob("*.onnx"))


def test_a_place_that_cannot_be_written(call, classifier, tmp_path):
    pytest.importorskip("onnxscript")
    (tmp_path / "c.onnx").mkdir()
    result = call("export", classifier, "--format", "onnx", "--out", "c.onnx", "--size", "32x32", "--force")
    assert result.code == 2
    assert "c.onnx: cannot be written" in result.one_line()
    assert [path.name for path in tmp_path.iterdir()] == ["c.onnx"]


def test_an_unknown_model(call):
    result = call("export", "nonesuch", "--format", "onnx", "--out", "x.onnx")
    assert result.code == 2
    assert "nonesuch" in result.one_line()


def bare(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Call the command where none of the extra packages can be found, nor imported."""
    program = f"""
import re
import sys
from importlib.machinery import PathFinder

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(name)

import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {BLOCKED!r} else find(name, package)
sys.meta_path.insert(0, Blocker())
from allsight.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    words = tuple(map(str, words))
    return subprocess.run([sys.executable, "-c", program, *words], cwd=tmp_path, capture_output=True, text=True)


def test_the_core_needs_none_of_the_extra_packages(detector, classifier, tmp_path):
    Image.new("RGB", (60, 50), (90, 10, 10)).save(tmp_path / "a.png")
    seen = bare(tmp_path, "see", "a.png", "--model", detector, "--json", "-")
    assert seen.returncode == 0, seen.stderr
    assert json.loads(seen.stdout)["pictures"][0]["objects"]
    for words in (
        ("see", "a.png", "--model", detector, "--runtime", "openvino"),
        ("export", classifier, "--format", "onnx", "--out", "a.onnx"),
    ):
        refused = bare(tmp_path, *words)
        assert refused.returncode == 2
        (line,) = refused.stderr.strip().splitlines()
        assert re.search(r'run: pip install .*\[fast\]"$', line)


def test_all_runtimes_say_the_same_and_the_graph_is_made_once(call, picture, classifier, tmp_path, monkeypatch):
    for name in BLOCKED:
        pytest.importorskip(name)
    monkeypatch.setenv("ALLSIGHT_CACHE", str(tmp_path / "cache"))
    picture(tmp_path / "a.png")
    tags = []
    for runtime in ("onnxruntime", "openvino", "auto", "torch"):
        result = call("see", "a.png", "--model", classifier, "--runtime", runtime, "--json", "-")
        assert result.code == 0
        tags.append({tag["label"]: tag["score"] for tag in json.loads(result.out)["pictures"][0]["tags"]})
        assert ("preparing tiny-classifier" in result.err) == (runtime == "onnxruntime")
    for other in tags[1:]:
        assert other == pytest.approx(tags[0], abs=2e-4)


def test_a_cache_that_cannot_be_written_is_told_and_the_pictures_are_seen(picture, classifier, tmp_path):
    for name in BLOCKED:
        pytest.importorskip(name)
    picture(tmp_path / "a.png")
    cache, temporary = tmp_path / "file", tmp_path / "temporary"
    cache.write_text("mine")
    temporary.mkdir()
    program = "import sys; from allsight.cli.main import main; sys.exit(main(sys.argv[1:]))"
    words = (program, "see", "a.png", "--model", str(classifier), "--runtime", "openvino", "--json", "-")
    environment = {**os.environ, "ALLSIGHT_CACHE": str(cache), "TMPDIR": str(temporary)}
    result = subprocess.run(
        [sys.executable, "-c", *words], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["pictures"][0]["tags"]
    (told,) = (line for line in result.stderr.splitlines() if "ALLSIGHT_CACHE" in line)
    assert f"{cache}: cannot be written (" in told
    assert "Traceback" not in result.stderr
    assert not list(temporary.glob("allsight*"))
