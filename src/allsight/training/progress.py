"""How far a training is, for the person who waits."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class ProgressBar:
    """A bar on the standard error where that is a terminal, otherwise a plain line every so often.

    Args:
        total: steps of the whole training.
        done: steps made before.
        every: seconds between plain lines.
        enabled: false in all processes but one.
    """

    def __init__(self, total: int, done: int = 0, *, every: float = 30.0, enabled: bool = True) -> None:
        self.total, self.done, self.every, self.enabled = total, done, every, enabled
        self.started = self.printed = time.monotonic()
        self.first = done
        self.bar: Progress | None = None
        if enabled and sys.stderr.isatty():
            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
            self.bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))
            self.task = self.bar.add_task("", total=total, completed=done)

    def advance(self, text: str | None = None) -> None:
        """Count one more step.

        Args:
            text: what to show beside the bar from now on, loss and rate say.
        """
        self.done += 1
        if self.bar:
            self.bar.update(self.task, advance=1, description=text or self.bar.tasks[0].description)
        elif self.enabled and text and (time.monotonic() - self.printed > self.every or self.done == self.total):
            self.printed = time.monotonic()
            left = (self.printed - self.started) / (self.done - self.first) * (self.total - self.done)
            self.say(f"step {self.done}/{self.total}  {text}  {left:.0f} s left")

    def say(self, line: str) -> None:
        """Print a line of its own."""
        if self.bar:
            self.bar.console.print(line, highlight=False, markup=False)
        elif self.enabled:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> "ProgressBar":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar:
            self.bar.stop()
