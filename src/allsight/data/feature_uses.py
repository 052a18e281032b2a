"""Which of the cached features a living process uses: each keeps a list beside them, which ends with it."""

import atexit
import json
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from allsight.files.owner import Owner, this_process

_SUFFIX = ".uses"


class Uses:
    """The keys that were used through this object, on the disk too, where other processes see them.

    Args:
        folder: of the cache.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keys: set[str] = set()
        self._list = folder / f"{os.getpid()}-{uuid4().hex[:8]}{_SUFFIX}"

    def add(self, key: str) -> None:
        """Note that a key is used; a cache that cannot be written needs no list, since nothing goes from it either."""
        if key in self.keys:
            return
        lines = [key] if self.keys else [json.dumps(this_process()), key]
        with suppress(OSError):
            if not self.keys:
                self.folder.mkdir(parents=True, exist_ok=True)
                atexit.register(self._list.unlink, missing_ok=True)
            with self._list.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        self.keys.add(key)

    def of_all(self) -> set[str]:
        """Return the keys that are used through this object or by another living process; dead ones' lists go.

        What an earlier training of this process used, it needs no more.
        """
        keys = set(self.keys)
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with suppress(OSError):
                owner, listed = _read(path)
                if owner is None or not owner.lives():
                    path.unlink(missing_ok=True)
                elif owner != this_process():
                    keys.update(listed)
        return keys


def _read(path: Path) -> tuple[Owner | None, list[str]]:
    """Return whose list it is, nobody's if it is damaged, and the keys in it."""
    first, *keys = path.read_text(encoding="utf-8", errors="replace").split("\n")
    try:
        pid, host, began = json.loads(first)
        return Owner(int(pid), str(host), str(began)), keys
    except (ValueError, TypeError, RecursionError):
        return None, keys
