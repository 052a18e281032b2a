"""Where the answers of `allsight see` go: files that may not be lost, the JSON, the table and the summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from allsight.cli.looking import Told, told
from allsight.cli.seen import SeenFile, journal_of
from allsight.cli.sheet import Sheet
from allsight.cli.summary import Summary
from allsight.cli.targets import drawn_names, refuse_to_lose
from allsight.cli.terminal import note
from allsight.errors import OutputError
from allsight.files import refuse_to_overwrite


@dataclass(frozen=True)
class Targets:
    """What is written where.

    Args:
        folder: of the annotated pictures, None if none are drawn.
        places: of the pictures below any folder, without ending.
        drawn: from a picture to its annotated copy.
        crops: folder of what is cut out. file: of the JSON, None for stdout. table: of rows.
    """

    folder: Path | None
    places: dict[Path, Path]
    drawn: dict[Path, Path]
    crops: Path | None
    file: Path | None
    table: Path | None

    @classmethod
    def of(
        cls,
        found: dict[Path, Path],
        folder: Path,
        *,
        draw: bool,
        crops: Path | None,
        file: Path | None,
        table: Path | None,
    ) -> Self:
        """Choose the files.

        Args:
            found: from a picture to its place below an output. folder: the output.
            draw: whether pictures are drawn.
        """
        drawn = dict(zip(found, drawn_names(list(found), folder, list(found.values())), strict=True))
        places = {path: copy.relative_to(folder).with_suffix("") for path, copy in drawn.items()}
        return cls(folder if draw else None, places, drawn if draw else {}, crops, file, table)

    @property
    def begun(self) -> bool:
        """Whether an earlier run has left something to go on with."""
        return self.file is not None and (self.file.exists() or journal_of(self.file).exists())

    def refuse_to_lose(self, pictures: Sequence[Path], *, resume: bool, force: bool) -> None:
        """Raise an OutputError if something would be lost; a run that goes on may replace what it wrote earlier."""
        files = [path for path in (self.file, self.table) if path is not None]
        going_on = resume and self.begun
        if not (going_on or force):
            if self.file is not None and journal_of(self.file).exists():
                raise OutputError(
                    f"{journal_of(self.file)}: keeps what a broken-off run has seen; give --resume to go on with it,"
                    " or --force to begin anew"
                )
            if self.crops is not None and self.crops.is_dir() and any(self.crops.iterdir()):
                refuse_to_overwrite(self.crops, force=False)
        refuse_to_lose([*files, *self.drawn.values()], pictures, partial(refuse_to_overwrite, force=force or going_on))


class Outlets:
    """All that a finished picture is told to.

    Args:
        sink: the JSON. summary: for a person. sheet: the table, if one is wanted.
    """

    def __init__(self, sink: SeenFile, summary: Summary, sheet: Sheet | None) -> None:
        self.sink, self.summary, self.sheet = sink, summary, sheet
        self.earlier: set[str] = set()

    def resume(self) -> None:
        """Tell the summary and the table what an earlier run has seen.

        Raises:
            OutputError: see `SeenFile.resume`.
        """
        for value in self.sink.resume():
            self.earlier.add(value["path"])
            self._tell(told(value, rows=self.sheet is not None))

    def add(self, new: Told) -> None:
        """Take what is told of one more picture."""
        self.sink.add(new.line)
        self._tell(new)

    def _tell(self, new: Told) -> None:
        self.summary.add(new.tally)
        if self.sheet is not None:
            self.sheet.add(new.rows)

    def __enter__(self) -> Self:
        self.sink.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sink.__exit__(kind, error, trace)
        if kind is KeyboardInterrupt and self.sink.kept is not None:
            note(f"{self.sink.kept} keeps what was seen of {self.sink.count:,} pictures; --resume goes on from there")
