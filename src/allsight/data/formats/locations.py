"""The picture that an annotation file means, however the tool that wrote it spells the name."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from allsight.data.pictures.listing import files_below
from allsight.data.pictures.reading import PICTURE_SUFFIXES


class Finder:
    """Looks for pictures in a few folders.

    A name is tried as it is written, then with the slashes of Windows turned, then with what web addresses write as %20
    read back. Of a path on another machine (it begins with a slash, a drive or a protocol), its last parts are tried,
    the longest first. No other picture of the same name is ever taken for it.

    Args:
        folders: the likeliest first.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [folder for folder in folders if os.path.isdir(folder)] or list(folders[:1])

    def find(self, name: str) -> Path | None:
        """Return the picture, or None if there is none."""
        for spelling in self._spellings(name):
            for folder in self.folders:
                if os.path.isfile(folder / spelling):
                    return folder / spelling
        return None

    def place(self, name: str) -> Path:
        """Return the picture, or where it would be looked for first."""
        return self.find(name) or self.folders[0] / name

    def of_stem(self, stem: str) -> Path | None:
        """Return the picture whose path in one of the folders, but for its ending, is `stem`."""
        return self._by_stem.get(stem)

    @cached_property
    def _by_stem(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for folder in self.folders:
            for path in files_below(folder, PICTURE_SUFFIXES):
                found.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        return found

    def _spellings(self, name: str) -> list[str]:
        turned = name.replace("\\", "/")
        local = [name, turned, unquote(turned)]
        plain = turned.partition("://")[2] or turned
        elsewhere = plain != turned or turned.startswith("/") or turned[1:2] == ":"
        parts = PurePosixPath(unquote(plain)).parts[1:] if elsewhere else ()
        tails = ["/".join(parts[i:]) for i in range(len(parts))]
        return list(dict.fromkeys([*local, *tails]))
