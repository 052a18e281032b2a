"""The loop of agents: every step once, whatever stops it, and a log that tells means of what there was to say."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_toy import assert_same_bits

from allsight.agents.learn import learn
from allsight.errors import OutputError, TrainingError, WeightsError
from allsight.training import read_log


class Wanderer:
    """Adds up what it draws; every third step it has something more to say."""

    def __init__(self, **at: int) -> None:
        self.total, self.steps, self.at = torch.zeros(2), 0, at

    def step(self) -> dict[str, Any]:
        if self.steps == self.at.get("breaks"):
            raise OSError("the world ended")
        if self.steps == self.at.get("interrupted"):
            signal.raise_signal(signal.SIGINT)
        self.steps += 1
        self.total += torch.randn(2)
        numbers: dict[str, Any] = {"step": self.steps, "total": self.total.sum()}
        if self.steps == self.at.get("poisoned"):
            numbers["total"] = float("nan")
        return numbers | ({"third": self.steps / 3} if self.steps % 3 == 0 else {})

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.total, self.steps = state["total"], state["steps"]


def figures(out: Path) -> list[dict[str, Any]]:
    return [{key: line[key] for key in ("step", "means")} for line in read_log(out / "log.jsonl")]


def test_the_log_has_the_means_since_the_line_before(tmp_path: Path) -> None:
    wanderer = Wanderer()
    learn(wanderer, 8, out=tmp_path, log_every=4)
    assert wanderer.steps == 8
    first, second = figures(tmp_path)
    assert (first["step"], second["step"]) == (4, 8)
    assert (first["means"]["step"], second["means"]["step"]) == (2.5, 6.5)
    assert (first["means"]["third"], second["means"]["third"]) == (1.0, 2.0)


def test_what_is_drawn_is_a_function_of_seed_and_step(tmp_path: Path) -> None:
    totals = []
    for number, seed in enumerate((0, 0, 1)):
        wanderer = Wanderer()
        torch.manual_seed(number)
        learn(wanderer, 5, out=tmp_path / str(number), seed=seed)
        totals.append(wanderer.total)
    assert torch.equal(totals[0], totals[1])
    assert not torch.equal(totals[0], totals[2])


@pytest.mark.parametrize("stop", ["breaks", "interrupted"])
def test_stopped_and_resumed_it_is_as_if_unbroken(tmp_path: Path, stop: str) -> None:
    whole = Wanderer()
    learn(whole, 20, out=tmp_path / "whole", log_every=3)
    seldom = 1e9 if stop == "interrupted" else 0.0
    with pytest.raises(KeyboardInterrupt if stop == "interrupted" else OSError):
        learn(Wanderer(**{stop: 10}), 20, out=tmp_path / "cut", log_every=3, checkpoint_seconds=seldom)
    position = torch.load(tmp_path / "cut" / "checkpoints" / "last.pt", weights_only=True)["position"]
    assert position["step"] == (11 if stop == "interrupted" else 10)  # the step under way is brought to its end
    again = Wanderer()
    learn(again, 20, out=tmp_path / "cut", log_every=3, resume=True)
    assert_same_bits(again.state_dict(), whole.state_dict())
    assert figures(tmp_path / "cut") == figures(tmp_path / "whole")


def test_a_resumed_one_may_be_given_more_steps(tmp_path: Path) -> None:
    whole, longer = Wanderer(), Wanderer()
    learn(whole, 20, out=tmp_path / "whole")
    learn(Wanderer(), 12, out=tmp_path / "longer")
    learn(longer, 20, out=tmp_path / "longer", resume=True)
    assert_same_bits(longer.state_dict(), whole.state_dict())


def test_what_cannot_go_on_is_refused_in_one_line(tmp_path: Path) -> None:
    learn(Wanderer(), 5, out=tmp_path)
    with pytest.raises(OutputError, match="already holds a training"):
        learn(Wanderer(), 5, out=tmp_path)
    with pytest.raises(WeightsError, match="seed was 0 and is 1"):
        learn(Wanderer(), 9, out=tmp_path, seed=1, resume=True)

    class Other(Wanderer):
        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.worth = state["worth"]

    with pytest.raises(WeightsError, match=r"another way of training \('worth' is missing\)"):
        learn(Other(), 9, out=tmp_path, resume=True)


def test_a_number_that_is_not_finite_stops_and_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="total is not finite at step 4"):
        learn(Wanderer(poisoned=4), 9, out=tmp_path, checkpoint_seconds=0.0)
    assert torch.load(tmp_path / "checkpoints" / "last.pt", weights_only=True)["learner"]["steps"] == 3


def test_a_memory_that_could_not_be_read_again_is_refused(tmp_path: Path) -> None:
    class Foreign(Wanderer):
        def state_dict(self) -> dict[str, Any]:
            return {"rewards": np.zeros(3)}

    with pytest.raises(TrainingError, match=r"learner/rewards is of type numpy\.ndarray"):
        learn(Foreign(), 2, out=tmp_path)
