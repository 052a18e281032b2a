"""The JSON of `allsight see`, written while pictures are seen; docs/json.md describes it."""

import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from allsight.files import atomic

if TYPE_CHECKING:
    from allsight.scene import Scene

FORMAT, VERSION = "allsight.seen", 1


def line_of(scene: "Scene") -> str:
    """Return what is in one picture as a line of JSON."""
    return json.dumps(scene.to_json(), ensure_ascii=False)


class SeenFile:
    """A document that grows by one line a picture, so that ten thousand pictures take no memory.

    A file appears whole at the end, or not at all: also not if nothing was ever added.

    Args:
        target: a path, or an open stream such as stdout.
        model: the name to write.
    """

    def __init__(self, target: Path | TextIO, model: str) -> None:
        self.target = target
        self.model = model
        self.failed: list[tuple[str, str]] = []
        self.count = 0
        self._stack = ExitStack()
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        if not isinstance(self.target, Path):
            self._open(self.target)
        return self

    def add(self, line: str) -> None:
        """Write what is in one picture, as `line_of` tells it."""
        if self._file is None:
            assert isinstance(self.target, Path)
            temporary = self._stack.enter_context(atomic(self.target))
            # A file's name may hold bytes that are no UTF-8: JSON has an escape for each.
            file = temporary.open("w", encoding="utf-8", errors="backslashreplace")
            self._open(self._stack.enter_context(file))
        self._line(line, first=self.count == 0)
        self.count += 1

    def fail(self, path: Path, reason: str) -> None:
        """Remember a picture that could not be seen."""
        self.failed.append((str(path), reason))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._file is not None:
            self._file.write('\n],\n"failed": [')
            for i, (path, reason) in enumerate(self.failed):
                self._line(json.dumps({"path": path, "error": reason}, ensure_ascii=False), first=i == 0)
            self._file.write("\n]\n}\n")
        self._stack.__exit__(kind, error, trace)

    def _open(self, file: TextIO) -> None:
        self._file = file
        head = json.dumps({"format": FORMAT, "version": VERSION, "model": self.model}, ensure_ascii=False)
        file.write(f'{head[:-1]},\n"pictures": [')

    def _line(self, text: str, *, first: bool) -> None:
        assert self._file is not None
        self._file.write(f"{'' if first else ','}\n{text}")
