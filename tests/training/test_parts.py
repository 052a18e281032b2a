"""Schedule, averages, parameter groups and Ctrl-C, each against a calculation by hand."""

import math
import signal

import pytest
import torch
from torch import nn
from training_toy import Toy

from allsight.errors import TrainingError
from allsight.training import ExponentialMovingAverage, TrainingStep, parameter_groups, warmup_cosine
from allsight.training.interrupt import Interrupt
from allsight.training.schedule import scale_learning_rates


def test_schedule_by_hand() -> None:
    assert [warmup_cosine(step, 12, 4) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert warmup_cosine(4, 12, 4) == 1.0
    assert warmup_cosine(6, 12, 4) == pytest.approx((1 + math.sqrt(0.5)) / 2)
    assert warmup_cosine(8, 12, 4) == pytest.approx(0.5)
    assert warmup_cosine(11, 12, 4) == pytest.approx((1 + math.cos(math.pi * 7 / 8)) / 2)
    assert warmup_cosine(0, 10) == 1.0
    assert warmup_cosine(2, 4, 4) == 0.75


def test_rates_are_scaled_from_what_they_were_made_with() -> None:
    optimizer = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": 2.0}, {"params": [torch.zeros(1)]}], lr=1.0)
    for factor in (0.5, 0.25):
        scale_learning_rates(optimizer, factor)
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.25]


def test_average_equals_its_brute_force_twin() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    model[0].bias.requires_grad_(False)
    ema = ExponentialMovingAverage(model, 0.4)
    twin = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for update in range(1, 8):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * parameter.requires_grad)
        model(torch.randn(5, 3))
        decay = min(0.4, (1 + update) / (10 + update))
        ema.update()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                twin[name] = decay * twin[name] + (1 - decay) * tensor
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with ema.swapped_in():
        for name, tensor in model.state_dict().items():
            expected = twin[name] if tensor.is_floating_point() else own[name]
            torch.testing.assert_close(tensor, expected)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, own[name])


def test_groups_spare_biases_and_norms_and_obey_the_longest_prefix() -> None:
    toy = Toy()
    toy.spare.requires_grad_(False)
    step = TrainingStep(toy)
    groups = parameter_groups(step, 1.0, 0.1, {"system.": 0.5, "system.head": 2.0})
    found = {id(p): (group["lr"], group["weight_decay"]) for group in groups for p in group["params"]}
    expected = {
        "conv.weight": (0.5, 0.1),
        "conv.bias": (0.5, 0.0),
        "norm.weight": (0.5, 0.0),
        "norm.bias": (0.5, 0.0),
        "head.weight": (2.0, 0.1),
        "head.bias": (2.0, 0.0),
    }
    assert found == {id(toy.get_parameter(name)): values for name, values in expected.items()}
    with pytest.raises(TrainingError, match="trunk"):
        parameter_groups(step, 1.0, multipliers={"trunk.": 0.1})
    with pytest.raises(TrainingError, match="frozen"):
        parameter_groups(step.requires_grad_(False), 1.0)


def test_ctrl_c_waits_for_what_is_held_and_is_heard_once() -> None:
    done = []
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        with pytest.raises(KeyboardInterrupt), interrupt.held():  # noqa: PT012 - what comes after the signal matters
            signal.raise_signal(signal.SIGINT)
            done.append("step")
        signal.raise_signal(signal.SIGINT)
        done.append("saved")
    assert done == ["step", "saved"]
    with pytest.raises(KeyboardInterrupt), Interrupt():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_leaves_the_followers_to_their_leader() -> None:
    with Interrupt(leader=False) as interrupt, interrupt.held():
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interrupt(leader=False):  # noqa: PT012 - the same
        signal.raise_signal(signal.SIGINT)
        raise RuntimeError("connection closed by peer")
