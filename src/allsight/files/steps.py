"""The two steps by which files change their places: all of the package's renaming and removing goes through here, so
that a test can stop a process before any one of them."""

import os
import shutil
from pathlib import Path


def rename(old: Path, new: Path) -> None:
    """Give a file or folder another place; a file that stands there is replaced."""
    os.replace(old, new)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
