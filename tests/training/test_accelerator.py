"""On an accelerator: the same losses as on the CPU, answers measured where it is asked for, stage after stage."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from training_toy import Points, Toy, collate

from allsight.data.pictures.loading import Batch
from allsight.training import FitConfig, TrainingStep, fit, read_log

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_log(out / "log.jsonl") if "loss" in line]


@pytest.mark.parametrize(("evaluate_on", "measured_on"), [("cpu", "cpu"), ("device", "cuda")])
def test_two_stages_equal_those_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluate_on: str, measured_on: str
) -> None:
    def stages(name: str, measured_on: str) -> tuple[Toy, list[float]]:
        torch.manual_seed(0)
        toy = Toy(dropout=0.0)
        step, found, devices = TrainingStep(toy), [], set()

        def measure(system: nn.Module) -> dict[str, float]:
            devices.update(tensor.device.type for tensor in (*system.parameters(), *system.buffers()))
            return {"score": float(len(found))}

        for stage in ("first", "second"):
            out = tmp_path / name / stage
            config = FitConfig(epochs=3, batch_size=8, log_every=1, ema_decay=0.9, evaluate_every=1)
            optimizers = {"all": torch.optim.AdamW(step.parameters(), lr=0.01)}
            options = {"config": config, "collate": collate, "evaluate": measure, "evaluate_on": evaluate_on}
            fit(step, optimizers, Points(), out=out, **options)
            found += losses(out)
        assert devices == {measured_on}
        return toy, found

    here, there = stages("gpu", measured_on), None
    with monkeypatch.context() as patched:
        patched.setattr(torch.accelerator, "is_available", lambda: False)
        from accelerate.state import AcceleratorState

        AcceleratorState._reset_state(reset_partial_state=True)
        there = stages("cpu", "cpu")
        AcceleratorState._reset_state(reset_partial_state=True)
    assert here[1] == pytest.approx(there[1], rel=1e-3)
    for (name, own), expected in zip(here[0].state_dict().items(), there[0].state_dict().values(), strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-2, atol=1e-3, msg=name)


def test_a_grey_picture_seen_as_three_planes_is_pinned() -> None:
    def pinned(pictures: Tensor, names: Sequence[str] = ()) -> Tensor:
        return Batch(pictures, [], [], list(names)).pin_memory().pictures

    grey = torch.rand(2, 1, 4, 4)
    found = pinned(grey.expand(2, 3, 4, 4))
    assert found.is_pinned()
    assert torch.equal(found, grey.repeat(1, 3, 1, 1))
