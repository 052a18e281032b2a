"""What lies in a folder of annotations, without what tools leave there."""

import os
from collections.abc import Iterable
from pathlib import Path

RESIDUE = frozenset(("__MACOSX", "Thumbs.db", "desktop.ini"))


def is_residue(name: str) -> bool:
    """Whether a file or folder is hidden or left by a system: `._a.jpg` and `__MACOSX` of a Mac's zip, `Thumbs.db`."""
    return name.startswith(".") or name in RESIDUE


def folders_in(root: Path) -> list[Path]:
    """Return the folders in a folder, sorted; none if it is no folder."""
    return [path for path in _entries(root) if path.is_dir()]


def files_in(root: Path, suffixes: Iterable[str]) -> list[Path]:
    """Return the files in a folder whose names end so, in whatever case, sorted; none if it is no folder."""
    ends = frozenset(suffixes)
    return [path for path in _entries(root) if path.suffix.lower() in ends and os.path.isfile(path)]


def files_below(root: Path, suffixes: Iterable[str]) -> list[Path]:
    """Return the files in a folder and below whose names end so, in whatever case; no links to folders are followed."""
    ends = frozenset(suffixes)
    found = []
    for parent, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not is_residue(name))
        found += [
            Path(parent, n) for n in sorted(files) if os.path.splitext(n)[1].lower() in ends and not is_residue(n)
        ]
    return found


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have (300 letters, a zero byte) is none."""
    return os.path.isfile(path)


def _entries(root: Path) -> list[Path]:
    if not os.path.isdir(root):
        return []
    return sorted(path for path in root.iterdir() if not is_residue(path.name))
