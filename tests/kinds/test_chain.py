"""An agent: the worth of five places in a row, learned by walking at random until an end is reached."""

import os
import signal
from pathlib import Path
from typing import Any

import torch
from probe import killed
from torch import Tensor
from training_toy import assert_same_bits

from allsight.agents.learn import learn
from allsight.training import read_log
from allsight.weights.files import read_state, write_state


class Chain:
    """Five places; past the right end the reward is 1, past the left 0, each step to either side as likely.

    The worth of place k, counted from 1, is k / 6. Source: Sutton and Barto 2018, example 6.2.
    """

    def __init__(self) -> None:
        self.place = 2

    def step(self) -> tuple[int, float, bool]:
        """Walk; return the new place, the reward, and whether the walk is over."""
        self.place += 1 if torch.rand(()) < 0.5 else -1
        return self.place, float(self.place == 5), not 0 <= self.place < 5


class Walker:
    """TD(0). Source: Sutton and Barto 2018, section 6.1; the rate falls with the visits, as convergence needs."""

    def __init__(self, kill_at: int | None = None) -> None:
        self.chain, self.worth, self.visits = Chain(), torch.full((5,), 0.5), torch.zeros(5)
        self.steps, self.kill_at = 0, kill_at

    def step(self) -> dict[str, float]:
        place = self.chain.place
        new, reward, over = self.chain.step()
        if self.steps == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.steps += 1
        self.visits[place] += 1
        surprise = reward + (0.0 if over else float(self.worth[new])) - float(self.worth[place])
        self.worth[place] += surprise * float(self.visits[place]) ** -0.7
        if over:
            self.chain = Chain()
        return {"surprise": abs(surprise)} | ({"return": reward} if over else {})

    def state_dict(self) -> dict[str, Any]:
        return {"place": self.chain.place, "worth": self.worth, "visits": self.visits, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.chain.place, self.steps = state["place"], state["steps"]
        self.worth, self.visits = state["worth"], state["visits"]


def train(out: Path, *, resume: bool = False, kill_at: int | None = None) -> Walker:
    walker = Walker(kill_at)
    learn(walker, 4000, out=out, log_every=7, checkpoint_seconds=0.03, resume=resume)
    return walker


def test_a_walker_learns_what_places_are_worth(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    killed("test_chain", "test_chain.train(out, kill_at=3000)", tmp_path / "cut")
    last = tmp_path / "cut" / "checkpoints" / "last.pt"
    assert 0 < torch.load(last, weights_only=True)["position"]["step"] < 3000
    walker = train(tmp_path / "cut", resume=True)
    assert_same_bits(walker.state_dict(), whole.state_dict())

    def lines(name: str) -> list[dict[str, Any]]:
        log = read_log(tmp_path / name / "log.jsonl")
        return [{key: line[key] for key in ("step", "means")} for line in log]

    assert lines("cut") == lines("whole")
    expected: Tensor = torch.arange(1, 6) / 6
    assert (walker.worth - expected).abs().max() < 0.08

    write_state(tmp_path / "worth.safetensors", {"worth": walker.worth})
    assert torch.equal(read_state(tmp_path / "worth.safetensors")["worth"], walker.worth)
