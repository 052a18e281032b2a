"""Files that appear whole or not at all."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from allsight.errors import OutputError


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
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror or error}); what stood there is untouched"
        ) from error
    finally:
        with suppress(OSError):  # the folder itself may be missing, or be a file
            temporary.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; see `atomic`."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all; see `atomic`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def refuse_to_overwrite(path: str | Path, force: bool) -> None:
    """Raise an OutputError if something stands at `path` and `force` is not given."""
    if not force and Path(path).exists():
        raise OutputError(f"{path}: exists already; choose another place or give --force to replace it")
