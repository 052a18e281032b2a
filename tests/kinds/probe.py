"""What every probe goes through: trained, stopped, resumed bit for bit, saved and loaded."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from training_toy import assert_same_bits, saved, timeless

from allsight.hub import Model, Spec, load
from allsight.models.system import System
from allsight.systems import INPUTS, SYSTEMS
from allsight.training import Key

Around = Callable[[Any], Any]


def whole(data: Any) -> Any:
    """Leave the data as they are."""
    return data


class StopHereError(Exception):
    pass


class Cut:
    """Data that end a training in the middle of its second epoch."""

    def __init__(self, data: Any, end: Callable[[], None]) -> None:
        self.data, self.end = data, end

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: Key) -> Any:
        if key == Key(1, 5):
            self.end()
        return self.data[key]


def stop() -> None:
    raise StopHereError


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(module: str, call: str, out: Path) -> None:
    """Run `call`, with `out` and `probe` known, in a process of its own, which is to end by kill -9."""
    begin = "import sys; from pathlib import Path; import torch; torch.set_num_threads(1); out = Path(sys.argv[1])"
    code = f"{begin}; import probe, {module}; {call}"
    paths = os.pathsep.join(path for path in sys.path if path)
    run = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": paths},
    )
    assert run.returncode == -signal.SIGKILL, run.stderr


def assert_goes_on_as_if_unbroken(train: Callable[..., Any], folder: Path, kill_in: str | None = None) -> Any:
    """Train whole; train, stop in the middle and resume; compare every bit of what is kept.

    Args:
        train: `train(out, resume=..., around=..., checkpoint_seconds=...)`; `around` wraps the data.
        folder: for both runs.
        kill_in: the module of `train`, to stop it by kill -9 and not by an exception.

    Returns:
        what the resumed `train` returned.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(folder / "whole")
    if kill_in:
        call = f"{kill_in}.train(out, around=lambda data: probe.Cut(data, probe.kill), checkpoint_seconds=0.0)"
        killed(kill_in, call, folder / "cut")
    else:
        with pytest.raises(StopHereError):
            train(folder / "cut", around=lambda data: Cut(data, stop), checkpoint_seconds=0.0)
    at, end = (saved(folder / name)["position"]["step"] for name in ("cut", "whole"))
    assert 0 < at < end
    resumed = train(folder / "cut", resume=True)
    assert_same_bits(saved(folder / "cut"), saved(folder / "whole"))
    assert timeless(folder / "cut") == timeless(folder / "whole")
    torch.set_num_threads(threads)
    return resumed


@dataclass(frozen=True)
class TensorInputs:
    """Tensors as they are."""

    kind: ClassVar[str] = "tensors"

    def prepare(self, raw: Tensor) -> tuple[Tensor, None]:
        return raw, None


def saved_and_loaded(system: System, folder: Path) -> Any:
    """Save a trained system as a model of its class, and load it again by what stands in the folder alone."""
    kind = type(system)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(INPUTS, "tensors", "probe:TensorInputs")
        patch.setitem(SYSTEMS, "probe", f"{kind.__module__}:{kind.__qualname__}")
        Model(system, Spec("probe"), TensorInputs(), display=None).save(folder, half=False)
        return load(folder).system
