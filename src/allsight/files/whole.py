"""Single files that appear whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from allsight.errors import OutputError
from allsight.files import steps
from allsight.files.lock import clear_leavings

_swept: set[str] = set()  # folders
_LONGEST = 255  # bytes of a file's name on most disks


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, which takes the place of `path` once it is written whole and on the disk.

    Write, fsync, rename: a reader sees the old file or the new one, also after a full disk, Ctrl-C or kill -9.
    The temporary file keeps the suffix of `path`, so that libraries which choose a format by suffix still work.

    Args:
        path: the final place; missing parent folders are made.

    Raises:
        OutputError: the file cannot be written; whatever stood at `path` still stands there.
    """
    path = Path(path)
    temporary = _beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        yield temporary
        flush(temporary)
        steps.rename(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); what stood there is untouched"
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be missing, or be a file
            temporary.unlink()


def _sweep(folder: Path) -> None:
    """Remove what killed processes left in a folder, once in a process: a look at thousands of files takes time."""
    if (place := os.path.abspath(folder)) not in _swept:
        _swept.add(place)
        clear_leavings(folder)


def _beside(path: Path) -> Path:
    """Return the temporary name, which must not be longer than a name may be where that of `path` just fits."""
    end = f".{os.getpid()}.part{path.suffix}"
    stem = os.fsencode(path.stem)[: max(0, _LONGEST - 1 - len(os.fsencode(end)))]
    return path.with_name(f".{stem.decode(errors='ignore')}{end}")


def flush(path: Path) -> None:
    """Bring a file that was written to the disk itself."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; see `atomic`.

    Half a character, which a file's name may hold and UTF-8 does not know, becomes the escape that JSON has for it.
    """
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; see `atomic`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def refuse_to_overwrite(path: str | Path, force: bool) -> None:
    """Raise an OutputError if something stands at `path` and `force` is not given."""
    if not force and os.path.exists(path):  # which finds nothing under a name that is too long for the disk
        raise OutputError(f"{path}: exists already; choose another place or give --force to replace it")
