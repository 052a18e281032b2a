"""A training that was stopped, in whatever way, ends with the same bits as one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from training_toy import Points, Toy, assert_same_bits, saved, timeless, train

from allsight.errors import TrainingError

TOY = Path(__file__).with_name("training_toy.py")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("unbroken")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(out)
    yield out
    torch.set_num_threads(threads)


def assert_as_if_unbroken(out: Path, unbroken: Path) -> None:
    assert_same_bits(saved(out), saved(unbroken))
    best, expected = (torch.load(folder / "checkpoints" / "best.pt", weights_only=True) for folder in (out, unbroken))
    assert_same_bits(best["model"], expected["model"])
    assert timeless(out) == timeless(unbroken)


@pytest.mark.parametrize("index", [3, 11])
@pytest.mark.parametrize("workers", [0, 1])
def test_resumed_in_the_same_process(tmp_path: Path, unbroken: Path, index: int, workers: int) -> None:
    for epoch in (1, 2):
        with pytest.raises(TrainingError):
            train(tmp_path, data=Points(poisoned=index, poisoned_epoch=epoch), resume=True, workers=workers)
    result, toy = train(tmp_path, resume=True)
    assert_as_if_unbroken(tmp_path, unbroken)
    again, other = train(tmp_path, resume=True, toy=Toy())
    assert (again.score, again.best_step) == (result.score, result.best_step)
    assert_same_bits(toy.state_dict(), other.state_dict())
    assert_as_if_unbroken(tmp_path, unbroken)


def test_workers_and_threads_give_the_same_bits(tmp_path: Path, unbroken: Path) -> None:
    train(tmp_path, workers=2)
    assert_as_if_unbroken(tmp_path, unbroken)


def test_spawned_workers(tmp_path: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TOY.parent))
    before = torch.multiprocessing.get_start_method()
    torch.multiprocessing.set_start_method("spawn", force=True)
    try:
        train(tmp_path, workers=1)
    finally:
        torch.multiprocessing.set_start_method(before, force=True)
    assert_as_if_unbroken(tmp_path, unbroken)


def start(out: Path, *arguments: str) -> subprocess.Popen:
    """Start a slow training and wait until it is in the middle of an epoch."""
    command = [sys.executable, str(TOY), str(out), "--pause", "0.02", *arguments]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (out / "log.jsonl").exists() or '"step": 6' not in (out / "log.jsonl").read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("workers", ["0", "1"])
def test_killed_without_warning(tmp_path: Path, unbroken: Path, workers: str) -> None:
    process = start(tmp_path, "--workers", workers)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert 0 < saved(tmp_path)["position"]["step"] < 20
    (tmp_path / "checkpoints" / ".last.1.part.pt").write_bytes(b"half")
    subprocess.run([sys.executable, str(TOY), str(tmp_path), "--resume"], check=True, capture_output=True)
    assert_as_if_unbroken(tmp_path, unbroken)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.pt", "last.pt"]


def test_ctrl_c_saves_the_step_that_was_under_way(tmp_path: Path, unbroken: Path) -> None:
    process = start(tmp_path, "--seldom")
    os.killpg(process.pid, signal.SIGINT)
    _, printed = process.communicate()
    assert b"KeyboardInterrupt" in printed
    assert 6 <= saved(tmp_path)["position"]["step"] < 20
    train(tmp_path, resume=True)
    assert_as_if_unbroken(tmp_path, unbroken)


def test_ctrl_c_while_measuring(tmp_path: Path, unbroken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure = Toy.loss

    def interrupted(toy: Toy, batch: object) -> dict[str, torch.Tensor]:
        if not toy.training:
            signal.raise_signal(signal.SIGINT)
        return measure(toy, batch)

    monkeypatch.setattr(Toy, "loss", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, checkpoint_seconds=1e9)
    monkeypatch.setattr(Toy, "loss", measure)
    assert saved(tmp_path)["position"]["step"] == 5
    train(tmp_path, resume=True)
    assert_as_if_unbroken(tmp_path, unbroken)
