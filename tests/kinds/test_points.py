"""Generation: a net that makes points, and a critic that tells them from real ones. Two turns a batch."""

from pathlib import Path

import torch
from probe import Around, assert_goes_on_as_if_unbroken, saved_and_loaded, whole
from torch import Tensor, nn

from allsight.models.system import System
from allsight.training import FitConfig, Key, TrainingStep, fit, generator, read_log

MEAN, SPREAD = torch.tensor([2.0, -1.0]), torch.tensor([[1.0, 0.0], [0.6, 0.4]])


def net(outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, outputs)
    )


class Adversaries(System):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.generator, self.critic = net(2), net(1)

    def forward(self, noise: Tensor) -> Tensor:
        return self.generator(noise)


class Game(TrainingStep):
    """Source: Goodfellow et al. 2014 (arXiv:1406.2661), algorithm 1, the generator's loss that does not saturate."""

    turns = ("critic", "generator")

    def forward(self, real: Tensor, turn: str) -> dict[str, Tensor]:
        made, critic = self.system(torch.randn_like(real)), self.system.critic
        if turn == "critic":
            return {
                "real": nn.functional.softplus(-critic(real)).mean(),
                "made": nn.functional.softplus(critic(made.detach())).mean(),
            }
        return {"made": nn.functional.softplus(-critic(made)).mean()}


class Reals:
    def __len__(self) -> int:
        return 320

    def __getitem__(self, key: Key) -> Tensor:
        return MEAN + SPREAD @ torch.randn(2, generator=generator(0, *key))


def distance(made: Tensor) -> float:
    """Compare mean and covariance with those of the real points."""
    return float((made.mean(0) - MEAN).norm() + (made.T.cov() - SPREAD @ SPREAD.T).norm())


def made_by(system: nn.Module) -> Tensor:
    with torch.no_grad():
        return system(torch.randn(2000, 2, generator=generator(1)))


def train(out: Path, *, resume: bool = False, around: Around = whole, **seldom: float) -> Adversaries:
    system = Adversaries()
    fit(
        Game(system),
        {
            "generator": torch.optim.Adam(system.generator.parameters(), lr=5e-3, betas=(0.5, 0.9)),
            "critic": torch.optim.Adam(system.critic.parameters(), lr=5e-3, betas=(0.5, 0.9)),
        },
        around(Reals()),
        config=FitConfig(epochs=30, batch_size=64, ema_decay=0.95, log_every=3, **seldom),
        out=out,
        resume=resume,
    )
    return system


def test_points_that_come_to_lie_where_the_real_ones_do(tmp_path: Path) -> None:
    system = assert_goes_on_as_if_unbroken(train, tmp_path, kill_in="test_points")
    again = saved_and_loaded(system, tmp_path / "points")
    assert torch.equal(made_by(again), made_by(system))
    assert distance(made_by(again)) < 0.3 * distance(made_by(Adversaries()))
    losses = read_log(tmp_path / "cut" / "log.jsonl")[0]["losses"]
    assert losses.keys() == {"critic/real", "critic/made", "generator/made"}
