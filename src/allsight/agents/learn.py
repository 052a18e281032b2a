"""The loop of agents: a learner that steps by itself, on the same record as every other training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Protocol

import torch

from allsight.errors import TrainingError
from allsight.machine.randomness import mix, seed_device
from allsight.training.record import Position, Record, Stateful


class Learner(Stateful, Protocol):
    """An agent and its world: it acts, remembers and learns."""

    def step(self) -> Mapping[str, float]:
        """Act and learn once.

        Returns:
            numbers for the log, any of them only when there is something to say: a return when an episode ends.
        """
        ...


@dataclass
class LearningPosition(Position):
    """How far a learner is, and what it said since the last line of the log."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def learn(
    learner: Learner,
    steps: int,
    *,
    out: str | Path,
    seed: int = 0,
    device: str | torch.device = "cpu",
    log_every: int = 100,
    checkpoint_seconds: float = 60.0,
    tensorboard: bool = False,
    resume: bool = False,
) -> None:
    """Let a learner make its steps.

    Each step begins with torch's global generators a function of (seed, step). A learner that draws from them alone, or
    from generators in its `state_dict`, and that puts its world there too, ends with the same bits when it is killed at
    any moment and called again with `resume`, on the CPU. Ctrl-C saves a checkpoint first.

    Args:
        learner: moves in place; see `Learner`.
        steps: of the whole training; a resumed one may be given more.
        out: folder of the training; gets `log.jsonl` and `checkpoints`.
        seed: of whatever a step draws.
        device: that the learner computes on.
        log_every: steps between lines of the log, each with the means since the line before.
        checkpoint_seconds: least time between checkpoints.
        tensorboard: write its events too.
        resume: go on from the checkpoint in `out`, if there is one.

    Raises:
        TrainingError: a number that is not finite, or state that no checkpoint can hold.
        WeightsError: a checkpoint that cannot be gone on from.
        OutputError: a folder that already holds a training, or cannot be written to.
        KeyboardInterrupt: after Ctrl-C, once the checkpoint is written.
    """
    record = Record(
        Path(out), LearningPosition(), steps, checkpoint_seconds=checkpoint_seconds, tensorboard=tensorboard
    )
    device = torch.device(device)

    def contents() -> dict[str, Any]:
        return {"learner": learner.state_dict(), "config": {"seed": seed}}

    def restore(saved: dict[str, Any]) -> None:
        record.refuse_changes(saved["config"], {"seed": seed})
        learner.load_state_dict(saved["learner"])

    record.begin(resume, restore)
    with record.kept(contents):
        while record.at.step < steps:
            with record.interrupt.held():
                seed_device(device, mix(seed, record.at.step))
                _remember(record.at, learner.step())
                record.at.step += 1
                due = record.at.step % log_every == 0 or record.at.step == steps
                record.progress.advance(_write(record) if due else None)
                record.save_if_due(contents)


def _remember(at: LearningPosition, numbers: Mapping[str, float]) -> None:
    """Add what a step said to the sums."""
    for name, number in numbers.items():
        value = float(number)
        if not isfinite(value):
            raise TrainingError(
                f"{name} is not finite at step {at.step + 1}; lower the learning rate, or leave out what is unknown"
            )
        at.sums[name] = at.sums.get(name, 0.0) + value
        at.counts[name] = at.counts.get(name, 0) + 1


def _write(record: Record[LearningPosition]) -> str:
    """Write the means since the last line of the log, and give them in short."""
    at, rate = record.at, record.rate()
    means = {name: total / at.counts[name] for name, total in at.sums.items()}
    at.sums, at.counts = {}, {}
    record.write({"means": means, "steps_per_second": round(rate, 2)})
    return "  ".join([*(f"{name} {value:.4g}" for name, value in means.items()), f"{rate:.1f} steps/s"])
