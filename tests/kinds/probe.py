"""What every probe goes through: trained, stopped, resumed bit for bit, saved and loaded."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from training_toy import assert_same_bits, saved, timeless

from allsight.training import Key
from allsight.weights.files import load_state, read_state, write_state

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


def saved_and_loaded(system: nn.Module, build: Callable[[], nn.Module], path: Path) -> nn.Module:
    """Save a trained system and give its like, built anew with the weights of the file.

    The one place of the probes that knows how a model is saved: once `hub.Model` takes every kind of system, it is
    `Model(...).save(path)` and `load(path)` here.
    """
    write_state(path, system.state_dict())
    again = build()
    load_state(again, read_state(path), source=str(path))
    return again.eval()
