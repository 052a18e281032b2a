"""The JSON of `allsight see`, written while pictures are seen; docs/json.md describes it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TextIO

from allsight.errors import OutputError
from allsight.files import atomic

FORMAT, VERSION = "allsight.seen", 1
_MARK = f'{{"format": "{FORMAT}"'.encode()


def journal_of(target: Path) -> Path:
    """Return where the JSON Lines stand that become the document at `target`: seen.jsonl for seen.json."""
    return target.with_name(f"{target.name}l" if target.suffix == ".json" else f"{target.name}.jsonl")


def holds_answers(folder: str | Path) -> bool:
    """Whether an earlier run has written its answers into a folder."""
    for name in ("seen.json", "seen.jsonl"):
        with suppress(OSError), open(Path(folder, name), "rb") as file:
            if file.read(len(_MARK)) == _MARK:
                return True
    return False


class SeenFile:
    """A document that grows by one line a picture, so that ten thousand pictures take no memory.

    Lines go to a journal (JSON Lines) as they come, each whole, so that whatever stops the process loses none; in the
    end the journal becomes one document, which appears whole or not at all. A stream has no journal: there the
    document grows by itself. Nothing is written before the first picture.

    Args:
        target: a path, or an open stream such as stdout.
        model: the name to write.
        settings: what else decides the answers, as plain values.
    """

    def __init__(self, target: Path | TextIO, model: str, settings: Mapping[str, Any] | None = None) -> None:
        self.target = target
        self.head: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "model": model,
            "settings": dict(settings or {}),
        }
        self.failed: list[tuple[str, str]] = []
        self.count = 0
        self._stack = ExitStack()
        self._file: TextIO | None = None
        self._journal: Path | None = journal_of(target) if isinstance(target, Path) else None
        self._earlier: Path | None = None

    def __enter__(self) -> Self:
        if not isinstance(self.target, Path):
            self._file = self.target
            self._file.write(_opening(self.head))
        return self

    def resume(self) -> Iterator[dict[str, Any]]:
        """Give what an earlier run has seen, which the document keeps; a line that was broken off is forgotten.

        Raises:
            OutputError: the earlier run was of another model or other settings, or its file is damaged.
        """
        assert isinstance(self.target, Path) and self._journal is not None
        self._earlier = next((path for path in (self._journal, self.target) if path.is_file()), None)
        if self._earlier is None:
            return
        with _reading(self._earlier) as file:
            self._check(self._earlier, file.readline())
        for line in lines_of(self._earlier):
            self.count += 1
            yield json.loads(line)

    def _check(self, path: Path, first: bytes) -> None:
        try:
            head = json.loads(first.strip().rstrip(b",") + (b"}" if first.rstrip().endswith(b",") else b""))
            model, settings = head["model"], head.get("settings", {})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OutputError(f"{path}: was not begun by `allsight see`; choose another --out") from None
        other = [] if model == self.head["model"] else [f"with the model {model}"]
        mine: dict[str, Any] = self.head["settings"]
        keys = [key for key in {**settings, **mine} if settings.get(key) != mine.get(key)]
        other += [f"{'with' if settings.get(key) else 'without'} --{key}" for key in keys]
        if other:
            raise OutputError(f"{path}: was begun {', '.join(other)}; go on in the same way, or choose another --out")

    @property
    def kept(self) -> Path | None:
        """The journal, where it holds what was seen and no document has been made of it."""
        return (
            self._journal if self._file is not None and self._journal is not None and self._journal.exists() else None
        )

    def add(self, line: str) -> None:
        """Write what is in one picture, a line of JSON."""
        if self._file is None:
            self._file = self._stack.enter_context(self._open_journal())
        if self._journal is None:
            self._file.write(f"{',' if self.count else ''}\n{line}")
        else:
            self._file.write(f"{line}\n")
            self._file.flush()  # from here on not even kill -9 takes it away
        self.count += 1

    def fail(self, path: Path, reason: str) -> None:
        """Remember a picture that could not be seen."""
        self.failed.append((str(path), reason))

    def _open_journal(self) -> TextIO:
        assert self._journal is not None
        head = json.dumps(self.head, ensure_ascii=False).encode(errors="backslashreplace")
        with atomic(self._journal) as temporary, open(temporary, "wb") as file:
            file.write(head + b"\n")
            for line in lines_of(self._earlier) if self._earlier is not None else ():
                file.write(line + b"\n")
        # A file's name may hold bytes that are no UTF-8: JSON has an escape for each.
        return self._journal.open("a", encoding="utf-8", errors="backslashreplace")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._file is not None and self._journal is None:
            self._file.write(self._closing())
        with suppress(OSError) if kind is not None else ExitStack():  # the first error tells more than the last flush
            self._stack.close()
        if kind is None and isinstance(self.target, Path) and (self._file is not None or self._earlier is not None):
            self._finish(self.target)

    def _finish(self, target: Path) -> None:
        """Make the document of the journal's lines."""
        assert self._journal is not None
        lines = lines_of(self._journal if self._file is not None else self._earlier or self._journal)
        with atomic(target) as temporary, open(temporary, "wb") as file:
            file.write(_opening(self.head).encode(errors="backslashreplace"))
            for i, line in enumerate(lines):
                file.write((b",\n" if i else b"\n") + line)
            file.write(self._closing().encode(errors="backslashreplace"))
        self._journal.unlink(missing_ok=True)

    def _closing(self) -> str:
        failed = [json.dumps({"path": path, "error": why}, ensure_ascii=False) for path, why in self.failed]
        return '\n],\n"failed": [' + ",".join(f"\n{line}" for line in failed) + "\n]\n}\n"


def _opening(head: Mapping[str, Any]) -> str:
    return json.dumps(head, ensure_ascii=False)[:-1] + ',\n"pictures": ['


def lines_of(path: Path) -> Iterator[bytes]:
    """Give the whole lines of a journal or document that are of pictures, without what parts them.

    Raises:
        OutputError: the file cannot be read.
    """
    with _reading(path) as file:
        file.readline()
        for line in file:
            text = line.strip()
            if text == b"],":  # of a document
                return
            if text.startswith(b"{") and line.endswith(b"\n"):
                yield text.removesuffix(b",")


def _reading(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror}); choose another --out") from error
