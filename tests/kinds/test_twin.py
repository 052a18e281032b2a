"""Likeness without labels: an encoder, a twin that follows it slowly, and a queue of what the twin has seen."""

from copy import deepcopy
from pathlib import Path

import torch
from probe import Around, assert_goes_on_as_if_unbroken, saved_and_loaded, whole
from torch import Tensor, nn
from training_toy import saved

from allsight.models.system import System
from allsight.training import FitConfig, Key, TrainingStep, fit, generator


class Encoder(System):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 8))

    def forward(self, views: Tensor) -> Tensor:
        return self.layers(views)


class Queue:
    """The last keys (N, D), the oldest first."""

    def __init__(self, length: int, width: int) -> None:
        self.keys = nn.functional.normalize(torch.randn(length, width, generator=generator(9)), dim=1)

    def push(self, keys: Tensor) -> None:
        self.keys = torch.cat([self.keys, keys])[len(keys) :]

    def state_dict(self) -> dict[str, Tensor]:
        return {"keys": self.keys}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.keys = state["keys"]


class Contrast(TrainingStep):
    """Source: He et al. 2020 (arXiv:1911.05722), algorithm 1."""

    def __init__(self, system: nn.Module, queue: Queue) -> None:
        super().__init__(system)
        self.twin = deepcopy(system).requires_grad_(False)
        self.queue = queue

    def forward(self, views: Tensor, turn: str) -> dict[str, Tensor]:
        queries = nn.functional.normalize(self.system(views[:, 0]), dim=1)
        self.keys = nn.functional.normalize(self.twin(views[:, 1]), dim=1)
        own = (queries * self.keys).sum(1, keepdim=True)
        logits = torch.cat([own, queries @ self.queue.keys.T], dim=1) / 0.2
        return {"likeness": nn.functional.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))}

    def after(self) -> None:
        for slow, quick in zip(self.twin.parameters(), self.system.parameters(), strict=True):
            slow.lerp_(quick, 0.1)
        self.queue.push(self.keys)


class Views:
    """Two views (2, 24) of an example: 8 numbers are its own, 16 louder ones are noise."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __len__(self) -> int:
        return 256

    def __getitem__(self, key: Key) -> Tensor:
        own = torch.randn(8, generator=generator(self.seed, key.index)).expand(2, 8)
        return torch.cat([own, 1.5 * torch.randn(2, 16, generator=generator(self.seed, *key))], dim=1)


def train(out: Path, *, resume: bool = False, around: Around = whole, **seldom: float) -> nn.Module:
    system, queue = Encoder(), Queue(128, 8)
    fit(
        Contrast(system, queue),
        {"adam": torch.optim.Adam(system.parameters(), lr=5e-3)},
        around(Views()),
        config=FitConfig(epochs=20, batch_size=32, log_every=3, **seldom),
        out=out,
        state={"queue": queue},
        resume=resume,
    )
    return system


def found_again(system: nn.Module) -> float:
    """Share of the examples whose other view is the nearest of all others' views."""
    views = torch.stack([Views(seed=1)[Key(0, index)] for index in range(64)])
    with torch.no_grad():
        one, other = (nn.functional.normalize(system(views[:, side]), dim=1) for side in (0, 1))
    return float(((one @ other.T).argmax(1) == torch.arange(64)).float().mean())


def test_views_that_find_each_other(tmp_path: Path) -> None:
    system = assert_goes_on_as_if_unbroken(train, tmp_path)
    again = saved_and_loaded(system, tmp_path / "encoder")
    assert found_again(again) == found_again(system)
    assert found_again(again) > 2 * found_again(Encoder())
    kept = saved(tmp_path / "cut")
    assert kept["state"]["queue"]["keys"].shape == (128, 8)
    assert not torch.equal(kept["model"]["twin.layers.0.weight"], kept["model"]["system.layers.0.weight"])
