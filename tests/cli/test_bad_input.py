"""Bad input: each gets one clear line that names the file, no traceback, the right exit code, and nothing is lost."""

import ctypes
import json
import os
import pickle
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from calling import make_picture
from tiny_model import tiny_detector


def not_a_picture(path: Path) -> Path:
    path.write_text("I am a text")
    return path


def truncated(path: Path) -> Path:
    make_picture(path, (200, 200))
    path.write_bytes(path.read_bytes()[:1000])
    return path


def zero_bytes(path: Path) -> Path:
    path.touch()
    return path


def bomb(path: Path) -> Path:
    """A PNG of a few bytes whose header promises 60,000 x 60,000 pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    return path


def missing(path: Path) -> Path:
    return path


def broken_link(path: Path) -> Path:
    path.symlink_to("nowhere.jpg")
    return path


def endless_link(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


def pipe(path: Path) -> Path:
    """What nobody writes to, so that reading it would wait for ever."""
    os.mkfifo(path)
    return path


BAD = {
    not_a_picture: "not a picture",
    truncated: "truncated",
    zero_bytes: "zero bytes",
    bomb: "million pixels",
    missing: "does not exist",
    broken_link: "does not exist",
    endless_link: "cannot be read (Too many levels of symbolic links)",
    pipe: "is a pipe or a device",
}


@pytest.mark.parametrize("make", BAD, ids=lambda f: f.__name__)
def test_one_bad_picture(make, call, detector, tmp_path):
    path = make(tmp_path / "bad.jpg")
    result = call("see", path, "--model", detector)
    assert result.code == 2
    assert result.one_line().startswith(f"allsight: error: {path}: ")
    assert BAD[make] in result.one_line()
    assert not (tmp_path / "seen").exists()


def test_a_folder_goes_on_and_counts(call, detector, tmp_path):
    folder = tmp_path / "in"
    make_picture(folder / "good.png")
    bad = [make for make in BAD if make is not missing]
    for make in bad:
        make(folder / f"{make.__name__}.jpg")
    result = call("see", folder, "--model", detector)
    assert result.code == 1
    assert "Traceback" not in result.err
    lines = result.err.strip().splitlines()
    assert len(lines) == len(bad)
    for make in bad:
        assert sum(make.__name__ in line and BAD[make] in line for line in lines) == 1
    assert f"{len(bad)} failed" in result.out
    document = json.loads((tmp_path / "seen" / "seen.json").read_text())
    assert len(document["pictures"]) == 1
    assert len(document["failed"]) == len(bad)
    assert (tmp_path / "seen" / "good.jpg").is_file()


def test_a_folder_of_which_nothing_can_be_seen(call, detector, tmp_path):
    for i in range(2):
        zero_bytes(tmp_path / f"{i}.jpg")
    result = call("see", "0.jpg", "1.jpg", "--model", detector)
    assert result.code == 2
    assert len(result.err.strip().splitlines()) == 3
    assert not (tmp_path / "seen").exists()


def test_a_folder_named_like_a_picture(call, detector, tmp_path):
    (tmp_path / "dir.jpg").mkdir()
    result = call("see", "dir.jpg", "--model", detector)
    assert result.code == 2
    assert "dir.jpg: no pictures in this folder" in result.one_line()
    make_picture(tmp_path / "dir.jpg" / "a.png")
    assert call("see", ".", "--model", detector).code == 0


def test_an_empty_folder_and_a_pattern_without_match(call, detector, tmp_path):
    (tmp_path / "empty").mkdir()
    for words in ("empty", "*.tiff"):
        result = call("see", words, "--model", detector)
        assert result.code == 2
        assert words in result.one_line()


def without_rights() -> None:
    """In a child of root: give up the capabilities to pass by file permissions, before exec."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
            os._exit(99)


def test_no_permission(process, detector, tmp_path):
    path = make_picture(tmp_path / "a.png")
    path.chmod(0)
    root = os.access(path, os.R_OK)
    result = process("see", "a.png", "--model", detector, **({"preexec_fn": without_rights} if root else {}))
    if result.code == 99:
        pytest.skip("root that may not give up its rights reads everything")
    assert result.code == 2
    assert "a.png: may not be read" in result.one_line()


def test_a_folder_that_may_not_be_looked_into(process, detector, tmp_path):
    make_picture(tmp_path / "in" / "a.png")
    make_picture(tmp_path / "in" / "closed" / "b.png")
    (tmp_path / "in" / "closed").chmod(0)
    root = os.access(tmp_path / "in" / "closed", os.R_OK)
    result = process("see", "in", "--model", detector, **({"preexec_fn": without_rights} if root else {}))
    (tmp_path / "in" / "closed").chmod(0o700)
    if result.code == 99:
        pytest.skip("root that may not give up its rights reads everything")
    assert result.code == 1
    assert "in/closed: may not be read" in result.one_line()
    assert (tmp_path / "seen" / "a.jpg").is_file()


def test_no_permission_to_write(process, detector, tmp_path):
    make_picture(tmp_path / "a.png")
    (tmp_path / "out").mkdir(mode=0o500)
    root = os.access(tmp_path / "out", os.W_OK)
    result = process(
        "see", "a.png", "--model", detector, "--out", "out", **({"preexec_fn": without_rights} if root else {})
    )
    if result.code == 99:
        pytest.skip("root that may not give up its rights writes everywhere")
    assert result.code == 2
    assert "cannot be written (Permission denied)" in result.one_line()


def test_out_is_a_file(call, detector, tmp_path):
    make_picture(tmp_path / "a.png")
    (tmp_path / "out").write_text("mine")
    result = call("see", "a.png", "--model", detector, "--out", "out")
    assert result.code == 2
    assert "Traceback" not in result.err
    assert (tmp_path / "out").read_text() == "mine"


# Models


@pytest.fixture
def model(detector: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(detector, tmp_path / "model"))


def refused(call: Callable, model: Path) -> str:
    make_picture(model.parent / "a.png")
    result = call("see", "a.png", "--model", model)
    assert result.code == 2
    assert not (model.parent / "seen").exists()
    return result.one_line()


def test_no_such_model(call, tmp_path):
    assert "no such file, folder or model" in refused(call, tmp_path / "nothing")


def test_corrupt_weights(call, model):
    state = model / "model.safetensors"
    state.write_bytes(state.read_bytes()[:5000])
    assert "model.safetensors: corrupt" in refused(call, model)
    state.write_bytes(b"")
    assert "is empty" in refused(call, model)
    state.unlink()
    assert "model.safetensors: cannot be read" in refused(call, model)


def test_corrupt_configuration(call, model):
    config = model / "config.json"
    whole = config.read_text()
    for text in (
        "{",
        "[]",
        '{"format": 1}',
        whole.replace("retinanet_narrow", "os:system"),
        whole.replace("names", "n"),
    ):
        config.write_text(text)
        refused(call, model)


def test_checkpoint_of_another_architecture(call, model, tmp_path):
    other = tiny_detector(channels=32).save(tmp_path / "other")
    shutil.copy(other / "model.safetensors", model / "model.safetensors")
    assert "another architecture" in refused(call, model)


class Malicious:
    """What a pickle may do when it is loaded: anything."""

    def __reduce__(self) -> tuple:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_malicious_pickle_is_never_executed(name, call, model, tmp_path):
    (model / name).write_bytes(pickle.dumps(Malicious()))
    refused(call, model)
    assert not (tmp_path / "executed").exists()
