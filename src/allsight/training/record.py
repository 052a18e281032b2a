"""What a training leaves in its folder and shows the person who waits."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from allsight.errors import OutputError, WeightsError, reason
from allsight.training.checkpoint import Checkpoints
from allsight.training.interrupt import Interrupt
from allsight.training.log import Log
from allsight.training.progress import ProgressBar


@dataclass
class Position:
    """How far a training is; a loop that has more to remember adds fields."""

    step: int = 0
    log_bytes: int = 0
    seconds: float = 0.0


class Stateful(Protocol):
    """What a checkpoint can remember: tensors, plain numbers, text, and lists and dicts of them."""

    def state_dict(self) -> dict[str, Any]:
        """Give all that is needed to go on."""
        ...

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Go on from what `state_dict` gave."""
        ...


At = TypeVar("At", bound=Position)


class Record(Generic[At]):
    """Log, progress bar, checkpoints and Ctrl-C of one training: all that its loop need not know how to do.

    Args:
        out: folder of the training; gets `log.jsonl` and `checkpoints`.
        at: the beginning; `resume` replaces it.
        total: steps of the whole training.
        checkpoint_seconds: least time between checkpoints.
        tensorboard: write its events too.
        leads: whether this process writes, of several that train together.
    """

    def __init__(
        self,
        out: Path,
        at: At,
        total: int,
        *,
        checkpoint_seconds: float = 60.0,
        tensorboard: bool = False,
        leads: bool = True,
    ) -> None:
        self.out, self.at, self.total, self.leads = out, at, total, leads
        self.checkpoint_seconds, self.tensorboard = checkpoint_seconds, tensorboard
        self.files, self.interrupt = Checkpoints(out / "checkpoints"), Interrupt(leads)
        self.begun = self.saved = self.lap = time.monotonic()
        self.lap_step = 0

    def begin(self, resume: bool, restore: Callable[[dict[str, Any]], None]) -> None:
        """Begin, or go on from the last checkpoint if there is one and that is wanted.

        Args:
            resume: whether it is.
            restore: handed the checkpoint, takes back what `contents` gave; the position comes back by itself.

        Raises:
            OutputError: the folder holds a training already and nobody said resume.
            WeightsError: the checkpoint is damaged or belongs to another training.
        """
        path = self.files.last
        if not path.exists():
            return
        if not resume:
            raise OutputError(f"{self.out}: already holds a training; resume it, or choose another folder")
        state = self.files.load(path)
        try:
            restore(state)
            self.at = type(self.at)(**state["position"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            raise WeightsError(
                f"{path}: belongs to another way of training ({reason(error)}); choose another folder"
            ) from error
        self.begun, self.lap_step = time.monotonic() - self.at.seconds, self.at.step

    def refuse_changes(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Raise a WeightsError that names what a checkpoint's settings were, where they were others.

        Args:
            before: the checkpoint's settings by name.
            now: those that have to be the same.
        """
        changed = [name for name in now if now[name] != before.get(name)]
        if changed:
            was = ", ".join(f"{name} was {before.get(name)} and is {now[name]}" for name in changed)
            raise WeightsError(
                f"{self.files.last}: the run had other settings ({was}); resume with the same, or choose another folder"
            )

    @contextmanager
    def kept(self, contents: Callable[[], dict[str, Any]]) -> Iterator[None]:
        """Keep log and progress bar while inside, and save a checkpoint at the end or at Ctrl-C.

        Args:
            contents: what to save; see `save`.
        """
        if self.leads:
            self.files.clear_leavings()
        log = Log(self.out, keep=self.at.log_bytes, step=self.at.step, tensorboard=self.tensorboard, enabled=self.leads)
        progress = ProgressBar(self.total, self.at.step, enabled=self.leads)
        with self.interrupt, log as self.log, progress as self.progress:
            try:
                yield
            except KeyboardInterrupt:
                self.save(contents)
                raise
            self.save(contents)

    @property
    def seconds(self) -> float:
        """Time spent, over all resumptions."""
        return time.monotonic() - self.begun

    def rate(self) -> float:
        """Give the steps a second since this was last asked."""
        now = time.monotonic()
        rate = (self.at.step - self.lap_step) / max(now - self.lap, 1e-9)
        self.lap, self.lap_step = now, self.at.step
        return rate

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Leave the time inside out of the rate."""
        before = time.monotonic()
        yield
        self.lap += time.monotonic() - before

    def write(self, line: Mapping[str, Any]) -> None:
        """Add a line to the log, with the step before it and the seconds behind it."""
        self.log.write({"step": self.at.step, **line, "seconds": round(self.seconds, 3)})

    def save_if_due(self, contents: Callable[[], dict[str, Any]]) -> None:
        """Save a checkpoint if the last one is old enough."""
        if time.monotonic() - self.saved >= self.checkpoint_seconds:
            self.save(contents)

    def save(self, contents: Callable[[], dict[str, Any]]) -> None:
        """Save all that is needed to go on.

        Args:
            contents: called in every process; gives tensors, numbers, text, lists and dicts of them, `config` among
                them.
        """
        state = contents()
        if self.leads:
            self.at.log_bytes, self.at.seconds = self.log.size, self.seconds
            self.files.save(self.files.last, state | {"position": vars(self.at)})
        self.saved = time.monotonic()

    def save_best(self, contents: dict[str, Any]) -> None:
        """Save the weights that scored best."""
        if self.leads:
            self.files.save(self.files.best, contents)
