"""Learning to learn: a start from which one step of gradient descent fits a new sine wave."""

from pathlib import Path

import torch
from probe import Around, assert_goes_on_as_if_unbroken, saved_and_loaded, whole
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from allsight.models.system import System
from allsight.training import FitConfig, Key, TrainingStep, fit, generator

RATE = 0.05


class Curve(System):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(1, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def error(weights: dict[str, Tensor], curve: nn.Module, points: Tensor) -> Tensor:
    """Mean squared error on points (N, 2) of x and y."""
    return (functional_call(curve, weights, points[:, :1]) - points[:, 1:]).square().mean()


def adapted(weights: dict[str, Tensor], curve: nn.Module, points: Tensor) -> dict[str, Tensor]:
    slopes = grad(error)(weights, curve, points)
    return {name: weight - RATE * slopes[name] for name, weight in weights.items()}


class Episodes(TrainingStep):
    """Source: Finn et al. 2017 (arXiv:1703.03400), algorithm 2, second order."""

    def forward(self, tasks: Tensor, turn: str) -> dict[str, Tensor]:
        weights = dict(self.system.named_parameters())

        def after_one_step(task: Tensor) -> Tensor:
            return error(adapted(weights, self.system, task[:10]), self.system, task[10:])

        return {"query": vmap(after_one_step)(tasks).mean()}


class Waves:
    """Tasks (20, 2): ten points to adapt on and ten to be judged by."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __len__(self) -> int:
        return 32

    def __getitem__(self, key: Key) -> Tensor:
        numbers = generator(self.seed, *key)
        height, shift = torch.rand(2, generator=numbers)
        x = 6 * torch.rand(20, 1, generator=numbers) - 3
        return torch.cat([x, (0.5 + 1.5 * height) * torch.sin(x + 3 * shift)], dim=1)


def train(out: Path, *, resume: bool = False, around: Around = whole, **seldom: float) -> Curve:
    curve = Curve()
    fit(
        Episodes(curve),
        {"outer": torch.optim.Adam(curve.parameters(), lr=5e-3)},
        around(Waves()),
        config=FitConfig(epochs=40, batch_size=16, log_every=3, **seldom, clip_norm=5.0),
        out=out,
        resume=resume,
    )
    return curve


def query_error(curve: nn.Module, adapt: bool) -> float:
    weights = {name: weight.detach() for name, weight in curve.named_parameters()}
    errors = []
    for index in range(50):
        task = Waves(seed=1)[Key(0, index)]
        errors.append(float(error(adapted(weights, curve, task[:10]) if adapt else weights, curve, task[10:])))
    return sum(errors) / len(errors)


def test_a_start_that_adapts_in_one_step(tmp_path: Path) -> None:
    curve = assert_goes_on_as_if_unbroken(train, tmp_path)
    again = saved_and_loaded(curve, tmp_path / "curve")
    found = query_error(again, adapt=True)
    assert found == query_error(curve, adapt=True)
    assert found < 0.6 * query_error(Curve(), adapt=True)
    assert found < 0.6 * query_error(again, adapt=False)
