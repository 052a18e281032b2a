"""One process at a time writes in a folder."""

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from allsight.errors import OutputError
from allsight.files import steps
from allsight.files.owner import Owner, alive, this_process

LOCK = ".lock"
# Of a temporary file or folder: .NAME.PROCESS.part.SUFFIX
_LEAVING = re.compile(r"\..*\.(\d{1,10})\.part(\..*)?")
_held: Counter[str] = Counter()  # by this process


@contextmanager
def locked(folder: str | Path, *, wait: float = 0.0) -> Iterator[Path]:
    """Keep other processes from writing in a folder while inside; what a killed one left half-written is removed first.

    The folder is made if it is missing, and goes again if nothing is in it at the end. A process that holds it already
    may lock it again.

    Args:
        folder: which. wait: seconds to wait for another process to be done.

    Raises:
        OutputError: another process, which the message names, writes there; or nobody can.
    """
    folder = Path(folder)
    try:
        made = _make(folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); choose another place") from error
    key = os.path.realpath(folder)
    try:
        if not _held[key]:
            _take(folder, time.monotonic() + wait)
            clear_leavings(folder)
        _held[key] += 1
        try:
            yield folder
        finally:
            _held[key] -= 1
            if not _held[key]:
                with suppress(OSError):
                    (folder / LOCK).unlink()
    finally:
        for each in made:
            with suppress(OSError):  # something is in it, as it should be
                each.rmdir()


def clear_leavings(folder: Path) -> None:
    """Remove what processes that live no more had begun to write in a folder."""
    with suppress(OSError):
        for path in folder.iterdir():
            leaving = _LEAVING.fullmatch(path.name)
            if leaving and not alive(int(leaving[1])):
                steps.remove(path)


def _make(folder: Path) -> list[Path]:
    """Make a folder with its parents; return those that were missing, innermost first."""
    missing = []
    for each in (folder, *folder.parents):
        if os.path.lexists(each):
            break
        missing.append(each)
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _take(folder: Path, until: float) -> None:
    """Write the lock, once no living process holds it."""
    lock, mine = folder / LOCK, json.dumps(this_process()._asdict())
    while True:
        try:
            with os.fdopen(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w", encoding="utf-8") as file:
                file.write(mine)
                return
        except FileExistsError:
            text, owner = _owner(lock)
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written ({error.strerror or error}); choose another place"
            ) from error
        if owner is None or not owner.lives():
            _take_away(lock, text)
        elif time.monotonic() > until:
            raise OutputError(
                f"{folder}: process {owner.pid} on {owner.host} is writing there; wait until it is done, or choose "
                f"another place (if it runs no more, delete {lock})"
            )
        else:
            time.sleep(0.02)


def _owner(lock: Path) -> tuple[str, Owner | None]:
    """Read who holds a lock; nobody, if its process was killed before it could say."""
    for attempt in range(20):
        try:
            text = lock.read_text(encoding="utf-8")
            value = json.loads(text)
            return text, Owner(int(value["pid"]), str(value["host"]), str(value["began"]))
        except FileNotFoundError:
            return "", None
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            if attempt < 19:
                time.sleep(0.01)  # it may be about to be written
    return "", None


def _take_away(lock: Path, text: str) -> None:
    """Remove a dead process's lock, but not one that another process has put in its place in the meantime."""
    aside = lock.with_name(f"{LOCK}.{os.getpid()}.part")
    try:
        os.replace(lock, aside)
        other = aside.read_text(encoding="utf-8", errors="replace")
        if text and other != text:
            with suppress(OSError):
                os.link(aside, lock)
        aside.unlink()
    except FileNotFoundError:
        pass  # somebody else was faster
    except OSError as error:
        raise OutputError(f"{lock}: cannot be removed ({error.strerror or error}); check the permissions") from error
