"""Reading and writing weights: what goes in comes out, and what is broken or hostile gets one clear line."""

import hashlib
import os
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from allsight.errors import OutputError, WeightsError
from allsight.weights.files import load_state, read_state, sha256, write_state


class Sized(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.first = nn.Linear(2, width)
        self.norm = nn.BatchNorm1d(width)


class Bomb:
    """A pickle that would make a file when loaded carelessly."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def line_of(error: pytest.ExceptionInfo) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_safetensors_round_trip(tmp_path):
    state = {"a": torch.randn(3, 4).t(), "b": torch.arange(5), "c": torch.tensor(2.5)}
    state["shared"] = state["a"]
    write_state(tmp_path / "x.safetensors", state)
    back = read_state(tmp_path / "x.safetensors")
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype for name, tensor in state.items())


def test_half_size(tmp_path):
    module = Sized()
    write_state(tmp_path / "x.safetensors", module.state_dict(), half=True)
    state = read_state(tmp_path / "x.safetensors")
    assert state["first.weight"].dtype == torch.float16
    assert state["norm.num_batches_tracked"].dtype == torch.int64
    other = Sized()
    load_state(other, state, source="x")
    assert other.first.weight.dtype == torch.float32
    torch.testing.assert_close(other.first.weight, module.first.weight, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_torch_pickles(tmp_path, zipped, key):
    state = Sized().state_dict()
    value = {key: state, "epoch": 3} if key else state
    torch.save(value, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    back = read_state(tmp_path / "x.pth")
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("form", ["pickle", "torch", "legacy"])
def test_a_malicious_pickle_is_never_executed(tmp_path, form, suffix):
    path, mark = tmp_path / f"evil.{suffix}", tmp_path / "executed"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"a": Bomb(mark)}))
    else:
        torch.save({"a": Bomb(mark)}, path, _use_new_zipfile_serialization=form == "torch")
    with pytest.raises(WeightsError, match=r"evil") as error:
        read_state(path)
    line_of(error)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_missing_empty_and_folder(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    with pytest.raises(WeightsError, match="No such file") as error:
        read_state(path)
    line_of(error)
    path.touch()
    with pytest.raises(WeightsError, match="is empty"):
        read_state(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(WeightsError, match="directory"):
        read_state(path)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("keep", [1, 7, 8, 9, 40, 300, -1])
def test_truncated_files(tmp_path, suffix, keep):
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    if suffix == "pth":
        torch.save(Sized().state_dict(), whole)
    else:
        write_state(whole, Sized().state_dict())
    path.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(WeightsError, match=r"cut") as error:
        read_state(path)
    line_of(error)


@given(content=st.binary(min_size=1, max_size=64))
def test_any_bytes_give_a_weights_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("noise") / "x"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        read_state(path)


def test_a_pickle_of_something_else(tmp_path):
    torch.save([1, 2], tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="other than named tensors"):
        read_state(tmp_path / "x.pth")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    write_state(path, {"a": torch.ones(2)})

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match="No space left"):
        write_state(path, {"a": torch.zeros(2)})
    assert read_state(path)["a"].tolist() == [1, 1]
    assert [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]


def test_a_checkpoint_of_another_architecture():
    module, state = Sized(), Sized(5).state_dict()
    del state["norm.running_mean"]
    state["head.weight"] = torch.zeros(1)
    before = module.first.weight.clone()
    with pytest.raises(WeightsError) as error:
        load_state(module, state, source="run/x.pth")
    message = line_of(error)
    assert "run/x.pth: a checkpoint of another architecture than Sized" in message
    assert "1 missing (such as norm.running_mean)" in message
    assert "1 unexpected (such as head.weight)" in message
    assert "5 of another shape (such as first.weight (5, 2) for (3, 2))" in message
    assert torch.equal(module.first.weight, before)


def test_renamed_and_missing_parts():
    source = Sized()
    state = {f"module.{name}": tensor for name, tensor in source.state_dict().items()}
    target = Sized()
    load_state(target, state, source="x", rename=lambda name: name.removeprefix("module."))
    assert torch.equal(target.first.weight, source.first.weight)
    load_state(Sized(), state, source="x", rename={name: name.removeprefix("module.") for name in state})

    part = {name: tensor for name, tensor in source.state_dict().items() if name.startswith("norm")}
    with pytest.raises(WeightsError, match="2 missing"):
        load_state(Sized(), part, source="x")
    load_state(Sized(), part, source="x", allow_missing=("first.",))


def test_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "x") == hashlib.sha256(b"abc" * 100_000).hexdigest()
