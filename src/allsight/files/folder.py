"""Files that belong together change together: after a kill at any moment a folder holds the old ones or the new ones.

They are written into a hidden folder beside their places, which then gets its final name, WHOLE, by one rename: from
there on they are what the folder holds. Moving them to their places comes after; whoever opens the folder next ends
what was begun (`settle`). The last of them, the file that readers begin with, goes first and comes last, so that even
a reader which knows nothing of this never sees some of the old beside some of the new.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from allsight.errors import AllsightError, OutputError, reason
from allsight.files import steps
from allsight.files.lock import LOCK, locked
from allsight.files.whole import flush

WHOLE = ".files.whole"
_PLAN = ".plan.json"
_FEW = 100  # so many files are brought to the disk one by one; of thousands that would take minutes
_PATIENCE = 5.0  # seconds that a reader waits for a process which is moving files


@contextmanager
def together(folder: str | Path, replaced: Sequence[str] | None, *, last: str = "") -> Iterator[Path]:
    """Give a temporary folder to write files into, which take their places in `folder` together or not at all.

    Args:
        folder: the final one; it is made if it is missing.
        replaced: names in it that go if they are not written anew; None for all that is there.
        last: the file that readers begin with.

    Raises:
        OutputError: they cannot be written, for a full disk say, or another process writes there; whatever stood there
            still stands.
    """
    folder = Path(folder)
    part = folder / f".files.{os.getpid()}.part"
    with locked(folder):
        settle(folder)
        try:
            try:
                steps.remove(part)
                part.mkdir()
                yield part
                _seal(part, replaced, last)
                steps.rename(part, folder / WHOLE)
            finally:
                with suppress(OSError):
                    steps.remove(part)
            _place(folder)
        except AllsightError as error:
            if str(part) not in str(error):
                raise
            # Nobody knows the temporary folder.
            raise type(error)(str(error).replace(str(part), str(folder))) from error
        except OSError as error:
            raise OutputError(
                f"{folder}: cannot be written ({error.strerror or error}); what stood there is untouched"
            ) from error


def settle(folder: str | Path) -> None:
    """End what a process that was killed had begun: move files that are written whole to their places.

    Raises:
        OutputError: they cannot be moved, because the folder is read only say.
    """
    folder = Path(folder)
    if not os.path.isdir(folder / WHOLE) or os.path.islink(folder / WHOLE):
        return
    with locked(folder, wait=_PATIENCE):
        try:
            _place(folder)
        except OSError as error:
            raise OutputError(
                f"{folder}: was left half-written and cannot be put right ({error.strerror or error}); "
                "check the permissions"
            ) from error


def _seal(part: Path, replaced: Sequence[str] | None, last: str) -> None:
    """Bring all files to the disk, with a note of what is to go and what is to come in which order."""
    files = [path for path in part.rglob("*") if path.is_file()]
    if len(files) <= _FEW:
        for path in files:
            flush(path)
    coming = sorted((path.name for path in part.iterdir()), key=lambda name: (name == last, name))
    if replaced is None:
        replaced = [path.name for path in part.parent.iterdir() if path.name not in (part.name, LOCK)]
    plan = {"going": [name for name in replaced if name not in coming], "coming": coming}
    (part / _PLAN).write_text(json.dumps(plan), encoding="utf-8")
    flush(part / _PLAN)


def _place(folder: Path) -> None:
    """Move files to their places; begun by one process, it can be ended by another."""
    whole = folder / WHOLE
    plan = _plan(whole)
    waiting = [name for name in plan["coming"] if os.path.lexists(whole / name)]
    # The one that readers begin with goes first. A folder can only be replaced by one when it has gone.
    for name in [*waiting[-1:], *plan["going"], *(name for name in waiting[:-1] if (folder / name).is_dir())]:
        steps.remove(folder / name)
    for name in waiting:
        steps.rename(whole / name, folder / name)
    steps.remove(whole)


def _plan(whole: Path) -> dict[str, list[str]]:
    """Read what is to go and what is to come; nothing, where all is done but that the folder itself still stands."""
    try:
        plan = json.loads((whole / _PLAN).read_text(encoding="utf-8"))
        names = [*plan["going"], *plan["coming"]]
        if any(name in ("", ".", "..") or "\0" in name or os.path.basename(name) != name for name in names):
            raise ValueError("it names files of other folders")
    except FileNotFoundError:
        return {"going": [], "coming": []}
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # it came from elsewhere
        raise OutputError(f"{whole}: is not what allsight writes ({reason(error)}); look at it, remove it") from error
    return plan
