"""Two processes under torchrun learn what one process learns from the same global batches."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_toy import Toy, saved, timeless, train, train_rivals

from allsight.machine.processes import alone, average_over_ranks, mean_over_ranks, world_size

TOY = Path(__file__).with_name("training_toy.py")


def torchrun(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(TOY)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120)


def test_two_processes_learn_the_same_as_one(tmp_path: Path) -> None:
    run = torchrun(str(tmp_path / "two"), "--plain")
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("epoch 4/4  score") == 1
    train(tmp_path / "one", toy=Toy(dropout=0.0, norm=False))
    two, one = timeless(tmp_path / "two"), timeless(tmp_path / "one")
    assert len(two) == len(one)
    for line, expected in zip(two, one, strict=True):
        assert line["step"] == expected["step"]
        for figure in ("loss", "losses", "scores"):
            assert line.get(figure) == pytest.approx(expected.get(figure), abs=1e-5)
    weights, expected = saved(tmp_path / "two")["model"], saved(tmp_path / "one")["model"]
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-4, msg=name)


def test_two_processes_take_the_same_turns_as_one(tmp_path: Path) -> None:
    run = torchrun(str(tmp_path / "two"), "--rivals")
    assert run.returncode == 0, run.stderr
    train_rivals(tmp_path / "one")
    weights, expected = (saved(tmp_path / name)["model"] for name in ("two", "one"))
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-5, rtol=1e-4, msg=name)


def test_a_loss_that_is_not_finite_stops_both_and_names_the_file(tmp_path: Path) -> None:
    run = torchrun(str(tmp_path), "--plain", "--poisoned", "5")
    assert run.returncode != 0
    guilty = [line for line in run.stderr.splitlines() if "the loss is not finite on" in line]
    assert guilty
    assert all("5.png" in line for line in guilty)
    assert "the loss is not finite in another process" in run.stderr


def test_one_process_has_nobody_to_agree_with() -> None:
    assert world_size() == 1
    with alone():
        assert world_size() == 1
    assert mean_over_ranks(torch.tensor([0, 3])).tolist() == [1.0, 3.0]
    assert mean_over_ranks(0.5).item() == 1.0
    assert average_over_ranks(torch.tensor([0.5])).tolist() == [0.5]
