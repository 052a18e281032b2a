"""The loop: equal trainings are equal, broken ones stop with a word on why, and nothing poisoned is kept."""

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from torch import nn
from training_toy import Batch, Points, Toy, collate, timeless, train

from allsight.errors import OutputError, TrainingError, WeightsError
from allsight.training import FitConfig, TrainingStep, fit, read_log, warmup_cosine
from allsight.training.run import Run


def test_the_loop_equals_one_written_out_by_hand(tmp_path: Path) -> None:
    toy, twin = Toy(dropout=0.0), Toy(dropout=0.0)
    data = [(torch.randn(1, 6, 6), torch.rand(3).round()) for _ in range(8)]

    class Whole:
        def __len__(self) -> int:
            return 8

        def __getitem__(self, key: tuple[int, int]) -> tuple:
            return data[key[1]]

    def batch(examples: list) -> Batch:
        return Batch(
            [], *(torch.stack(column) for column in zip(*sorted(examples, key=lambda e: e[0].sum()), strict=True))
        )

    optimizer = torch.optim.SGD(toy.parameters(), lr=0.1, momentum=0.9)
    config = FitConfig(epochs=5, batch_size=8, warmup=2, clip_norm=0.5, log_every=1, channels_last=False)
    result = fit(TrainingStep(toy), {"all": optimizer}, Whole(), config=config, out=tmp_path, collate=batch)

    other = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step in range(5):
        other.param_groups[0]["lr"] = 0.1 * warmup_cosine(step, 5, 2)
        loss = sum(twin.loss(batch(data)).values())
        losses.append(loss.item())
        loss.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
        other.step()
        other.zero_grad()
    assert result.steps == 5
    assert result.score is None
    assert [line["loss"] for line in read_log(tmp_path / "log.jsonl")] == pytest.approx(losses, rel=1e-5)
    for (name, own), expected in zip(toy.state_dict().items(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(own, expected, msg=name)


def test_accumulated_parts_equal_the_whole_batch(tmp_path: Path) -> None:
    settings = {"epochs": 2, "batch_size": 8, "log_every": 1}
    whole, one = train(tmp_path / "1", toy=Toy(dropout=0.0, norm=False, mean=True), **settings)
    parts, two = train(tmp_path / "2", toy=Toy(dropout=0.0, norm=False, mean=True), accumulate=4, **settings)
    assert parts.score == pytest.approx(whole.score, abs=1e-5)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_step_is_left_with_the_best_weights(tmp_path: Path) -> None:
    seen = []

    def evaluate(system: nn.Module) -> dict[str, float]:
        assert not system.training
        assert not torch.is_grad_enabled()
        seen.append({name: tensor.clone() for name, tensor in system.state_dict().items()})
        return {"score": [0.1, 0.7, float("nan"), 0.3][len(seen) - 1]}

    toy = Toy()
    config = FitConfig(epochs=4, batch_size=10, ema_decay=0.5)
    optimizer = torch.optim.SGD(toy.parameters(), lr=0.1)
    result = fit(
        TrainingStep(toy), {"all": optimizer}, Points(), config=config, out=tmp_path, collate=collate, evaluate=evaluate
    )
    assert (result.score, result.best_step, result.scores) == (0.7, 4, {"score": 0.7})
    for name, tensor in toy.state_dict().items():
        assert torch.equal(tensor, seen[1][name]), name
    assert read_log(tmp_path / "log.jsonl")[2]["scores"] == {"score": None}


def test_a_loss_that_is_not_finite_names_the_files_and_poisons_nothing(tmp_path: Path) -> None:
    data = Points(poisoned=5, poisoned_epoch=1)
    with pytest.raises(TrainingError, match=r"loss is not finite on .*\b5\.png") as caught:
        train(tmp_path, data=data)
    assert "\n" not in str(caught.value)
    saved = torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)
    assert 5 <= saved["position"]["step"] < 10
    tensors = list(saved["model"].values()) + list(saved["ema"]["average"].values())
    assert all(torch.isfinite(tensor).all() for tensor in tensors)


def test_a_gradient_that_is_not_finite_stops_too_and_leaves_the_weights_alone(tmp_path: Path) -> None:
    class Root(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2, 2))

        def loss(self, batch: object) -> dict[str, torch.Tensor]:
            return {"root": self.weight.sum().sqrt()}

    root = Root()
    optimizer = torch.optim.SGD(root.parameters(), lr=0.1)
    with pytest.raises(TrainingError, match="gradient"):
        fit(TrainingStep(root), {"all": optimizer}, Points(2), config=FitConfig(1, 2), out=tmp_path, collate=list)
    assert torch.equal(root.weight, torch.zeros(2, 2))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_picture_is_told_in_one_line(tmp_path: Path, workers: int) -> None:
    class Broken(Points):
        def __getitem__(self, key: object) -> dict:
            raise TrainingError("x.png: is no picture")

    with pytest.raises(TrainingError, match=r"^x\.png: is no picture$"):
        train(tmp_path, data=Broken(), workers=workers)


@contextmanager
def full_by_write() -> Iterator[None]:
    """A disk that takes the first bytes only. (A limit on file size would hit the machine code of oneDNN as well.)"""

    def write_bytes(path: Path, content: bytes) -> int:
        with open(path, "wb") as file:
            file.write(bytes(content[:5000]))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with patch.object(Path, "write_bytes", write_bytes):
        yield


@contextmanager
def full_by_fsync() -> Iterator[None]:
    with patch("os.fsync", side_effect=OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))):
        yield


@pytest.mark.parametrize("full", [full_by_write, full_by_fsync])
def test_a_full_disk_leaves_the_old_checkpoint(
    tmp_path: Path, full: Callable[[], AbstractContextManager[None]]
) -> None:
    saved = tmp_path / "checkpoints" / "last.pt"
    with pytest.raises(TrainingError):
        train(tmp_path, data=Points(poisoned=5, poisoned_epoch=1))
    before = saved.read_bytes()
    with full(), pytest.raises(OutputError, match=r"(last|best)\.pt: cannot be written"):
        train(tmp_path, resume=True)
    assert saved.read_bytes() == before
    assert not [path.name for path in saved.parent.iterdir() if "part" in path.name]


def test_what_cannot_be_resumed_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path)
    saved = tmp_path / "checkpoints" / "last.pt"
    with pytest.raises(OutputError, match="already holds"):
        train(tmp_path)
    with pytest.raises(WeightsError, match="epochs was 4 and is 9"):
        train(tmp_path, resume=True, epochs=9)
    with pytest.raises(WeightsError, match="examples was 20 and is 19"):
        train(tmp_path, resume=True, data=Points(19))
    other = Toy()
    other.head = nn.Linear(128, 5)
    with pytest.raises(WeightsError, match=r"another architecture \(system\.head\.weight is \(3, 128\)"):
        train(tmp_path, resume=True, toy=other)
    good = saved.read_bytes()
    for bad in (good[: len(good) // 2], b"", b"no checkpoint", _pickle_bomb(tmp_path)):
        saved.write_bytes(bad)
        with pytest.raises(WeightsError, match=r"last\.pt: is damaged") as caught:
            train(tmp_path, resume=True)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()
    saved.write_bytes(good)
    torch.save({"weight": torch.zeros(1)}, saved)
    with pytest.raises(WeightsError, match="no checkpoint of allsight"):
        train(tmp_path, resume=True)


def _pickle_bomb(folder: Path) -> bytes:
    class Bomb:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(folder / "executed"),)

    torch.save({"model": Bomb()}, folder / "bomb")
    return (folder / "bomb").read_bytes()


def test_tensorboard_gets_the_figures(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tmp_path, tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    lines = [line for line in read_log(tmp_path / "log.jsonl") if "losses" in line]
    assert [e.value for e in events.Scalars("losses/hit")] == pytest.approx([line["losses"]["hit"] for line in lines])
    assert [e.step for e in events.Scalars("scores/score")] == [5, 10, 15, 20]


def test_tensorboard_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match=r"pip install .*\[track\]"):
        train(tmp_path, tensorboard=True)


def test_bfloat16_learns_and_keeps_float32_weights(tmp_path: Path) -> None:
    result, toy = train(tmp_path, precision="bfloat16", epochs=6)
    assert {parameter.dtype for parameter in toy.parameters()} == {torch.float32}
    losses = [line["loss"] for line in read_log(tmp_path / "log.jsonl") if "loss" in line]
    assert losses[-1] < losses[0]
    assert result.score is not None


def test_fewer_examples_than_a_batch_still_train(tmp_path: Path) -> None:
    result, _ = train(tmp_path, data=Points(3), batch_size=8, epochs=2)
    assert result.steps == 2


def test_the_log_is_json_and_progress_is_told_without_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(tmp_path)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "step 20/20  epoch 4/4  loss" in printed.err
    assert "epoch 4/4  score" in printed.err
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        assert {"step", "epoch", "seconds"} <= json.loads(line).keys()


def test_a_log_written_past_the_checkpoint_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "save_if_due", lambda run: None if run.at.step % 4 else run.save())
    train(tmp_path / "whole", log_every=1)
    with pytest.raises(TrainingError):
        train(tmp_path / "broken", log_every=1, data=Points(poisoned=5, poisoned_epoch=2))
    steps = [line["step"] for line in read_log(tmp_path / "broken" / "log.jsonl")]
    assert steps[-1] % 4
    train(tmp_path / "broken", log_every=1, resume=True)
    assert timeless(tmp_path / "broken") == timeless(tmp_path / "whole")
