"""Several optimisers take turns, each moving its own; what no optimiser moves is moved afterwards and remembered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_toy import Duel, Pairs, Points, Rivals, Toy, assert_same_bits, collate, saved, train_rivals

from allsight.errors import TrainingError, WeightsError
from allsight.training import FitConfig, Key, TrainingStep, fit, read_log, warmup_cosine


def by_hand(rivals: Rivals, batches: list[Tensor], clip: float) -> None:
    """Alternate steps with gradients of each turn's own parameters alone."""
    turns = {"judge": rivals.judge, "maker": rivals.maker}
    optimizers = {turn: torch.optim.SGD(part.parameters(), lr=0.1, momentum=0.5) for turn, part in turns.items()}
    duel = Duel(rivals)
    for step, batch in enumerate(batches):
        for turn, part in turns.items():
            optimizers[turn].param_groups[0]["lr"] = 0.1 * warmup_cosine(step, len(batches))
            own = list(part.parameters())
            gradients = torch.autograd.grad(sum(duel(batch, turn).values()), own)
            length = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
            for parameter, gradient in zip(own, gradients, strict=True):
                parameter.grad = gradient * min(1.0, clip / float(length))
            optimizers[turn].step()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_turns_equal_those_written_out_by_hand(tmp_path: Path, accumulate: int) -> None:
    rivals, twin = Rivals(), Rivals()
    data = Pairs()
    train_rivals(tmp_path, rivals=rivals, epochs=6, batch_size=8, accumulate=accumulate, clip_norm=0.3, log_every=1)
    batches = [torch.stack([data[Key(epoch, index)] for index in range(8)]) for epoch in range(6)]
    before = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    by_hand(twin, batches, clip=0.3)
    for name, tensor in rivals.state_dict().items():
        torch.testing.assert_close(tensor, twin.state_dict()[name], msg=name)
        assert not torch.equal(tensor, before[name])
    lines = read_log(tmp_path / "log.jsonl")
    assert lines[0]["losses"].keys() == {"judge/real", "judge/made", "maker/made"}
    assert lines[0]["loss"] == pytest.approx(sum(lines[0]["losses"].values()))
    assert lines[0]["learning_rate"].keys() == {"judge", "maker"}


@pytest.mark.parametrize("names", [(), ("one", "two"), ("all", "other")])
def test_an_optimiser_without_a_turn_is_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    toy = Toy()
    optimizers = {name: torch.optim.SGD(toy.parameters(), lr=0.1) for name in names}
    with pytest.raises(TrainingError, match=r"turns \(all\) and the optimisers are \(") as caught:
        fit(TrainingStep(toy), optimizers, Points(), config=FitConfig(1, 4), out=tmp_path, collate=collate)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("turns", [("judge",), ("judge", "maker", "third"), ("judge", "maker", "maker"), ()])
def test_a_turn_without_an_optimiser_is_refused(tmp_path: Path, turns: tuple[str, ...]) -> None:
    class Other(Duel):
        pass

    Other.turns = turns
    with pytest.raises(TrainingError, match="optimisers are"):
        train_rivals(tmp_path, kind=Other)


def test_a_turn_with_a_name_wants_its_own_optimiser(tmp_path: Path) -> None:
    class Named(TrainingStep):
        turns: ClassVar = ("own",)

    toy = Toy()
    optimizer = torch.optim.SGD(toy.parameters(), lr=0.1)
    arguments: dict[str, Any] = {"config": FitConfig(1, 4), "collate": collate}
    with pytest.raises(TrainingError, match="own"):
        fit(Named(toy), {"adamw": optimizer}, Points(), out=tmp_path / "a", **arguments)
    assert fit(Named(toy), {"own": optimizer}, Points(), out=tmp_path / "b", **arguments).steps == 5
    assert fit(TrainingStep(toy), {"adamw": optimizer}, Points(), out=tmp_path / "c", **arguments).steps == 5


def test_after_comes_once_a_batch_when_all_have_moved(tmp_path: Path) -> None:
    events: list[Any] = []

    class Watched(Duel):
        def forward(self, batch: Tensor, turn: str) -> dict[str, Tensor]:
            events.append((turn, [p.detach().clone() for p in self.system.parameters()]))
            return super().forward(batch, turn)

        def after(self) -> None:
            assert not torch.is_grad_enabled()
            assert all(parameter.grad is None for parameter in self.parameters())
            events.append(("after", [p.clone() for p in self.system.parameters()]))

    train_rivals(tmp_path, kind=Watched, epochs=2, batch_size=8)
    assert [event for event, _ in events] == ["judge", "maker", "after"] * 2
    for here, there in ((0, 1), (1, 2)):
        assert any(not torch.equal(*pair) for pair in zip(events[here][1], events[there][1], strict=True))
    assert_same_bits(events[2][1], events[3][1])


class Tally:
    """A memory of numbers, and nothing else."""

    def __init__(self) -> None:
        self.memory: dict[str, Any] = {"sum": 0.0, "last": torch.zeros(2)}

    def state_dict(self) -> dict[str, Any]:
        return self.memory

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.memory = state


class Counting(TrainingStep):
    """The toy's loss, weighed by what was seen before."""

    def __init__(self, toy: nn.Module, tally: Tally) -> None:
        super().__init__(toy)
        self.tally = tally

    def forward(self, batch: Any, turn: str) -> dict[str, Tensor]:
        losses = super().forward(batch, turn)
        self.seen = losses["hit"].detach()
        return {name: loss * (1 + self.tally.memory["sum"]) for name, loss in losses.items()}

    def after(self) -> None:
        self.tally.memory["sum"] += float(self.seen)
        self.tally.memory["last"] = torch.stack([self.seen, -self.seen])


def count(out: Path, *, data: Points | None = None, resume: bool = False, **states: Any) -> Tally:
    toy, tally = Toy(), Tally()
    fit(
        Counting(toy, tally),
        {"all": torch.optim.SGD(toy.parameters(), lr=0.001)},
        data or Points(),
        config=FitConfig(epochs=4, batch_size=4, checkpoint_seconds=0.0),
        out=out,
        collate=collate,
        state=states or {"tally": tally},
        resume=resume,
    )
    return tally


def test_state_is_taken_up_again(tmp_path: Path) -> None:
    whole = count(tmp_path / "whole")
    with pytest.raises(TrainingError):
        count(tmp_path / "cut", data=Points(poisoned=3, poisoned_epoch=2))
    again = count(tmp_path / "cut", resume=True)
    assert whole.memory["sum"] > 0
    assert_same_bits(again.memory, whole.memory)
    assert_same_bits(saved(tmp_path / "cut"), saved(tmp_path / "whole"))


def test_names_that_change_are_refused_in_one_line(tmp_path: Path) -> None:
    count(tmp_path)
    with pytest.raises(WeightsError, match="state was tally and is queue, tally") as caught:
        count(tmp_path, resume=True, tally=Tally(), queue=Tally())
    assert "\n" not in str(caught.value)
    train_rivals(tmp_path / "rivals")
    toy = Toy()
    with pytest.raises(WeightsError, match="optimizers was judge, maker and is adam"):
        fit(
            TrainingStep(toy),
            {"adam": torch.optim.Adam(toy.parameters())},
            Pairs(),
            config=FitConfig(4, 4),
            out=tmp_path / "rivals",
            resume=True,
        )


def test_state_of_another_shape_is_refused_in_one_line(tmp_path: Path) -> None:
    count(tmp_path, net=nn.Linear(2, 3))
    with pytest.raises(WeightsError, match=r"weight is \(3, 2\) and should be \(5, 2\)"):
        count(tmp_path, resume=True, net=nn.Linear(2, 5))


@pytest.mark.parametrize("foreign", [np.zeros(2), np.float64(1.0), Path("a"), {"deep": [np.int64(3)]}])
def test_state_that_could_not_be_read_again_is_refused_at_once(tmp_path: Path, foreign: object) -> None:
    tally = Tally()
    tally.memory["odd"] = foreign
    with pytest.raises(TrainingError, match=r"state/tally/odd.* is of type ") as caught:
        count(tmp_path, tally=tally)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "checkpoints" / "last.pt").exists()


def scored(out: Path, values: list[float], **options: Any) -> tuple[Any, Toy]:
    toy, left = Toy(), iter(values)
    result = fit(
        TrainingStep(toy),
        {"all": torch.optim.SGD(toy.parameters(), lr=0.1)},
        Points(),
        config=FitConfig(epochs=4, batch_size=20),
        out=out,
        collate=collate,
        evaluate=lambda system: {"error": next(left), "other": 0.0},
        **options,
    )
    return result, toy


def test_the_best_may_be_the_lowest(tmp_path: Path) -> None:
    values = [0.5, 0.2, float("nan"), 0.3]
    lowest, low = scored(tmp_path / "low", values, best="lowest")
    highest, high = scored(tmp_path / "high", values)
    assert (lowest.score, lowest.best_step, lowest.scores) == (0.2, 2, {"error": 0.2, "other": 0.0})
    assert (highest.score, highest.best_step) == (0.5, 1)
    assert not torch.equal(low.head.weight, high.head.weight)
    with pytest.raises(WeightsError, match="best was lowest and is highest"):
        scored(tmp_path / "low", values, resume=True)


@pytest.mark.parametrize("options", [{"best": "smallest"}, {"evaluate_on": "gpu"}])
def test_a_choice_that_does_not_exist_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(TrainingError, match="highest or lowest, and device or cpu"):
        scored(tmp_path, [0.0], **options)


def test_only_convolutions_over_pictures_are_laid_out_anew(tmp_path: Path) -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.up = nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(3, 4, 3)
            self.clip = nn.Conv3d(3, 4, 3)
            self.table = nn.Parameter(torch.randn(2, 3, 4, 5))

        def loss(self, batch: Tensor) -> dict[str, Tensor]:
            layouts.append(self.layout())
            return {"sum": sum((parameter**2).sum() for parameter in self.parameters())}

        def layout(self) -> dict[str, bool]:
            return {name: weight.is_contiguous() for name, weight in self.named_parameters() if weight.ndim > 1}

    mixed, layouts = Mixed(), []
    optimizer = torch.optim.SGD(mixed.parameters(), lr=0.01)
    fit(TrainingStep(mixed), {"sgd": optimizer}, Pairs(), config=FitConfig(1, 8), out=tmp_path)
    assert layouts == [{"conv.weight": False, "up.weight": False, "clip.weight": True, "table": True}]
    assert all(mixed.layout().values())
    assert mixed.conv.weight.is_contiguous()


@pytest.mark.parametrize("poisoned", ["judge", "maker"])
def test_a_turn_that_is_not_finite_stops_and_moves_nothing(tmp_path: Path, poisoned: str) -> None:
    class Broken(Duel):
        def forward(self, batch: Tensor, turn: str) -> dict[str, Tensor]:
            factor = float("nan") if turn == poisoned else 1.0
            return {name: loss * factor for name, loss in super().forward(batch, turn).items()}

    rivals, fresh = Rivals(), Rivals()
    with pytest.raises(TrainingError, match="not finite"):
        train_rivals(tmp_path, kind=Broken, rivals=rivals)
    part: Callable[[Rivals], nn.Module] = lambda both: getattr(both, poisoned)  # noqa: E731
    assert_same_bits(dict(part(rivals).state_dict()), dict(part(fresh).state_dict()))
