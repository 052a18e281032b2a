"""A small system, data that are a function of the key, and runs that tests can start as a process of their own."""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allsight.machine.processes import mean_over_ranks
from allsight.training import FitConfig, FitResult, Key, TrainingStep, fit, generator, parameter_groups, read_log


@dataclass
class Batch:
    names: list[str]
    pictures: Tensor
    targets: Tensor

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        return Batch(self.names, self.pictures.to(device), self.targets.to(device))


@dataclass
class Points:
    """Pictures of noise, the noise "augmented" anew in each epoch; a picture's number of positives is its own."""

    length: int = 20
    poisoned: int | None = None
    poisoned_epoch: int = 0
    pause: float = 0.0

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: Key) -> dict[str, Any]:
        time.sleep(self.pause)
        picture = torch.randn(1, 6, 6, generator=generator(7, key.epoch, key.index))
        target = torch.rand(3, generator=generator(8, key.index)).round()
        if key.index == self.poisoned and key.epoch == self.poisoned_epoch:
            picture[0, 2, 3] = float("nan")
        return {"name": f"{key.index}.png", "picture": picture, "target": target}


def collate(examples: list[dict[str, Any]]) -> Batch:
    names = [example["name"] for example in examples]
    pictures, targets = (torch.stack([example[key] for example in examples]) for key in ("picture", "target"))
    return Batch(names, pictures, targets)


class Toy(nn.Module):
    def __init__(self, dropout: float = 0.3, norm: bool = True, mean: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(1, 8, 3)
        self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(8 * 16, 3)
        self.spare = nn.Linear(2, 2)  # gets no gradient
        self.mean = mean

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.dropout(self.norm(self.conv(pictures)).relu().flatten(1)))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        scores = self(batch.pictures)
        sums = nn.functional.binary_cross_entropy_with_logits(scores, batch.targets, reduction="none")
        positives = torch.tensor(float(len(scores))) if self.mean else mean_over_ranks(batch.targets.sum())
        return {"hit": (sums * batch.targets).sum() / positives, "miss": (sums * (1 - batch.targets)).sum() / positives}


def train(out: Path, *, data: Points | None = None, toy: Toy | None = None, resume: bool = False, **settings: Any):
    """Train a toy; gives the result and the system."""
    toy = toy or Toy()
    step = TrainingStep(toy)
    optimizer = torch.optim.AdamW(parameter_groups(step, 0.02, 0.01))
    defaults = {"epochs": 4, "batch_size": 4, "warmup": 3, "ema_decay": 0.9, "log_every": 3, "clip_norm": 1.0}
    config = FitConfig(**{**defaults, "checkpoint_seconds": 0.0, **settings})

    def evaluate(system: nn.Module) -> dict[str, float]:
        batch = collate([Points()[Key(0, index)] for index in range(8)])
        return {"score": -sum(system.loss(batch).values()).item()}

    result: FitResult = fit(
        step,
        {"all": optimizer},
        data or Points(),
        config=config,
        out=out,
        collate=collate,
        evaluate=evaluate,
        resume=resume,
    )
    return result, toy


class Pairs:
    """Points of two numbers, the same in every order of an epoch of eight."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, key: Key) -> Tensor:
        return torch.randn(2, generator=generator(6, key.epoch, key.index)) + 1


class Rivals(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.maker = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
        self.judge = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))


class Duel(TrainingStep):
    """Two that pull the other way; the judge's turn goes through the maker as well, who is not to be moved by it."""

    turns = ("judge", "maker")

    def forward(self, batch: Tensor, turn: str) -> dict[str, Tensor]:
        maker, judge = self.system.maker, self.system.judge
        made = judge(maker(batch.flip(1)))
        if turn == "judge":
            return {"real": nn.functional.softplus(-judge(batch)).mean(), "made": nn.functional.softplus(made).mean()}
        return {"made": nn.functional.softplus(-made).mean()}


def train_rivals(
    out: Path, *, rivals: Rivals | None = None, kind: type[Duel] = Duel, resume: bool = False, **settings: Any
) -> Rivals:
    """Train two rivals in turns."""
    rivals = rivals or Rivals()
    parts = {"maker": rivals.maker, "judge": rivals.judge}
    fit(
        kind(rivals),
        {name: torch.optim.SGD(part.parameters(), lr=0.1, momentum=0.5) for name, part in parts.items()},
        Pairs(),
        config=FitConfig(**{"epochs": 4, "batch_size": 4, "log_every": 3, **settings}),
        out=out,
        resume=resume,
    )
    return rivals


def timeless(out: Path) -> list[dict[str, Any]]:
    """Read a run's log without what is never the same twice."""
    lines = read_log(out / "log.jsonl")
    return [{k: v for k, v in line.items() if k not in ("seconds", "examples_per_second")} for line in lines]


def saved(out: Path) -> dict[str, Any]:
    """Read a run's last checkpoint without what is never the same twice."""
    state = torch.load(out / "checkpoints" / "last.pt", weights_only=True)
    position = {k: v for k, v in state["position"].items() if k not in ("seconds", "log_bytes")}
    return {part: state[part] for part in ("model", "optimizers", "ema", "state")} | {"position": position}


def assert_same_bits(one: Any, other: Any, where: str = "") -> None:
    """Compare nested states, tensors to the last bit."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_same_bits(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list):
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_same_bits(*pair, f"{where}/{number}")
    else:
        assert one == other, where


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument(
        "--plain", action="store_true", help="no dropout and no batch norm, as equality over processes needs"
    )
    parser.add_argument("--seldom", action="store_true", help="no checkpoint unless asked")
    parser.add_argument("--poisoned", type=int)
    parser.add_argument("--rivals", action="store_true", help="two turns")
    given = parser.parse_args()
    system = Toy(dropout=0.0, norm=False) if given.plain else None
    torch.set_num_threads(1)
    if given.rivals:
        train_rivals(given.out)
        raise SystemExit
    train(
        given.out,
        data=Points(pause=given.pause, poisoned=given.poisoned, poisoned_epoch=1),
        toy=system,
        resume=given.resume,
        workers=given.workers,
        checkpoint_seconds=1e9 if given.seldom else 0.0,
    )
