"""Ctrl-C that waits until a step is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType


class Interrupt:
    """Inside this context the first Ctrl-C raises KeyboardInterrupt, but never in the middle of what is `held`.

    Half a step saved could not be gone on from. Every further Ctrl-C is ignored while the first one's checkpoint is
    written. Of several processes the leader decides; the others go on until its absence breaks their next exchange.
    Outside of the main thread, where Python handles no signals, nothing changes.

    Args:
        leader: whether this process saves the checkpoints.
    """

    def __init__(self, leader: bool = True) -> None:
        self.leader = leader
        self.asked = self.holding = False

    def __enter__(self) -> "Interrupt":
        self.handles = threading.current_thread() is threading.main_thread()
        if self.handles:
            self.previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.handles:
            signal.signal(signal.SIGINT, self.previous)
        if self.asked and not self.leader and isinstance(error, Exception):
            raise KeyboardInterrupt from error

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if first and self.leader and not self.holding:
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let what happens inside come to its end first."""
        self.holding = True
        try:
            yield
        finally:
            self.holding = False
        if self.asked and self.leader:
            raise KeyboardInterrupt
