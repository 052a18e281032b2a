"""The table of `allsight see --csv`: a row an object, as text or as Parquet."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from allsight.errors import OutputError
from allsight.files import atomic
from allsight.machine.packages import install_command, missing

if TYPE_CHECKING:
    pass

PARQUET = ".parquet"
_BATCH = 20_000  # rows that are compressed together


class Sheet(Protocol):
    """A table that grows."""

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows with the keys of `allsight.scene.table.COLUMNS`."""


def refuse_unwritable(path: Path) -> None:
    """Raise an OutputError, before anything is computed, if what it takes to write the table is not installed."""
    if path.suffix.lower() == PARQUET and missing("pyarrow"):
        raise OutputError(f"{path}: Parquet needs pyarrow; run: {install_command('table')}, or choose an ending .csv")


@contextmanager
def open_sheet(path: Path) -> Iterator[Sheet]:
    """Give a table to add rows to, which appears whole in the end or not at all; Parquet by its ending, else CSV."""
    from allsight.scene.table import COLUMNS

    with atomic(path) as temporary:
        if path.suffix.lower() == PARQUET:
            with _ParquetSheet(temporary, COLUMNS) as sheet:
                yield sheet
            return
        with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            yield _CsvSheet(writer)


class _CsvSheet:
    def __init__(self, writer: "csv.DictWriter[str]") -> None:
        self.writer = writer

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        self.writer.writerows(rows)


class _ParquetSheet:
    def __init__(self, path: Path, columns: dict[str, type]) -> None:
        import pyarrow
        import pyarrow.parquet

        kinds = {int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_(), str: pyarrow.string()}
        self.schema: pyarrow.Schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
        self.writer = pyarrow.parquet.ParquetWriter(path, self.schema)
        self.waiting: list[dict[str, Any]] = []

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        # A name that is no UTF-8 is written as in the other forms: with an escape for each odd byte.
        self.waiting += [row | {"path": _utf8(row["path"])} for row in rows]
        if len(self.waiting) >= _BATCH:
            self._write()

    def _write(self) -> None:
        import pyarrow

        self.writer.write_table(pyarrow.Table.from_pylist(self.waiting, schema=self.schema))
        self.waiting = []

    def __enter__(self) -> "_ParquetSheet":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self.waiting:
            self._write()
        self.writer.close()


def _utf8(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
