"""Which process something on the disk belongs to, and whether that process still lives."""

import os
import socket
from pathlib import Path
from typing import NamedTuple


class Owner(NamedTuple):
    """A process.

    Args:
        pid: its number. host: the machine's name.
        began: when it began, in the system's own units, "" where the system does not say: numbers are used again.
    """

    pid: int
    host: str
    began: str

    def lives(self) -> bool:
        """Tell whether it may still run: of another machine's process nothing is known."""
        if self.host != socket.gethostname():
            return True
        return alive(self.pid) and (not self.began or _began(self.pid) in ("", self.began))


def this_process() -> Owner:
    """Return the process that asks."""
    return Owner(os.getpid(), socket.gethostname(), _began(os.getpid()))


def alive(pid: int) -> bool:
    """Tell whether a process of this machine has that number and has not ended."""
    if pid <= 0:
        return False
    if os.name == "nt":
        return _alive_on_windows(pid)
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return _stat(pid)[:1] != ["Z"]  # ended, though nobody has asked how


def _began(pid: int) -> str:
    return "".join(_stat(pid)[19:20])


def _stat(pid: int) -> list[str]:
    """Return what Linux says of a process behind its name: state, ..., the time at which it began."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].decode("ascii", "replace").split()
    except OSError:
        return []


def _alive_on_windows(pid: int) -> bool:
    """There, to send the signal 0 would stop the process."""
    import ctypes

    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
    handle = kernel.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
    if not handle:
        return False
    ended = kernel.WaitForSingleObject(handle, 0) == 0
    kernel.CloseHandle(handle)
    return not ended
