"""Reads a user's rows: CSV, Parquet, npz. Whatever is wrong is told with its row and column."""

import csv
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from abctl import files, installation
from abctl.errors import SourceError, UsageError
from abctl.foreign import in_one_line

LARGEST_BYTES = 2**28
KNOWN = "known are .csv, .parquet, .npz, and .jsonl with a V2 request a line"
_FIRST_ROW = 2  # of a CSV, below the names
_SHOWN = 60


@dataclass(frozen=True)
class Table:
    """Columns of the same length, by name; `first` is the number of the first row in the file.

    A column is an array: its first axis are the rows.
    """

    place: str
    columns: Mapping[str, NDArray[Any]]
    first: int = 1

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def at(self, row: int, column: str) -> str:
        """Where a cell is, for a message."""
        return f"{self.place}, row {row + self.first}, column {in_one_line(column)}"

    def without(self, column: str) -> "Table":
        """The same but for one column."""
        left = {name: values for name, values in self.columns.items() if name != column}
        return Table(self.place, left, self.first)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """A column as finite numbers.

        Raises:
            UsageError: a cell is none.
        """
        values = self.columns[column]
        if values.dtype.kind in "biuf":
            found = values.astype(np.float64)
        else:
            found = np.array([self._number(i, column, each) for i, each in enumerate(values)])
        if not (finite := np.isfinite(found)).all():
            row = int(np.argwhere(~finite)[0][0])
            raise UsageError(
                f"{self.at(row, column)}: {values[row]}, must be a finite number",
                "JSON has no other numbers: leave out such rows, or fill them in",
            )
        return found

    def _number(self, row: int, column: str, value: object) -> float:
        try:
            return float(str(value))
        except ValueError:
            raise UsageError(
                f"{self.at(row, column)}: {shown(value)}, must be a number",
                "leave out such rows, or such columns; --label names the one with the truth",
            ) from None

    def is_numeric(self, column: str) -> bool:
        """Whether a column holds numbers: the first cell decides, so that a wrong one is found."""
        values = self.columns[column]
        if values.dtype.kind in "biuf":
            return True
        try:
            float(str(values[0]))
        except ValueError:
            return False
        return True


def shown(value: object) -> str:
    """A cell for a message."""
    text = in_one_line(str(value))
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...") if text else "empty"


def read(path: Path) -> Table:
    """The table in a file.

    Raises:
        UsageError: it is none, or something in it is wrong, with its place.
    """
    readers: Mapping[str, Callable[[str, bytes], Table]]
    readers = {".csv": _csv, ".parquet": _parquet, ".npz": _npz}
    if (reader := readers.get(path.suffix.lower())) is None:
        raise UsageError(f"--data {path}: nothing is known of its ending", KNOWN)
    table = reader(str(path), content(path))
    if not table.columns or not len(table):
        raise UsageError(f"--data {path}: has no rows", "one row is one request")
    return table


def content(path: Path) -> bytes:
    """All of a file that is not empty.

    Raises:
        UsageError: it cannot be read, is empty or too large.
    """
    try:
        found = files.read(path, LARGEST_BYTES)
    except OSError as error:
        raise UsageError(f"--data {path}: {error.strerror}", f"name a file; {KNOWN}") from None
    if not found.strip():
        raise UsageError(f"--data {path}: is empty", KNOWN)
    return found


def text_of(place: str, found: bytes) -> str:
    """What a file of text says.

    Raises:
        UsageError: it is not UTF-8.
    """
    try:
        return found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise UsageError(
            f"--data {place}, line {line}: byte {found[error.start]:#04x} is not UTF-8", KNOWN
        ) from None


def _csv(place: str, found: bytes) -> Table:
    reader = csv.reader(io.StringIO(text_of(place, found), newline=""), strict=True)
    rows = list[list[str]]()
    try:
        names = [name.strip() for name in next(reader)]
        _require_names(place, names)
        for row in reader:
            if len(row) != len(names) and row:
                raise UsageError(
                    f"{place}, row {reader.line_num}: {len(row)} cells, must be {len(names)} as in "
                    "the first line",
                    "texts with commas stand in quotes",
                )
            rows += [row] if row else []
    except (csv.Error, StopIteration) as error:
        raise UsageError(f"{place}, row {reader.line_num}: {error}", "is it a CSV?") from None
    columns = {
        name: np.array([row[i] for row in rows], dtype=object) for i, name in enumerate(names)
    }
    return Table(place, columns, _FIRST_ROW)


def _require_names(place: str, names: Sequence[str]) -> None:
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UsageError(
            f"{place}: two columns are called {shown(twice[0])}", "give each its own name"
        )

    def is_number(name: str) -> bool:
        try:
            float(name)
        except ValueError:
            return not name
        return True

    # Frames without names are numbered from 0 on.
    if all(map(is_number, names)) and names != [str(i) for i in range(len(names))]:
        raise UsageError(
            f"{place}: the first line holds numbers, must name the columns",
            "add a line with a name for each column",
        )


def _parquet(place: str, found: bytes) -> Table:
    if find_spec("pyarrow"):
        return Table(place, _by_pyarrow(place, found))
    if find_spec("duckdb"):
        return Table(place, _by_duckdb(place))
    raise installation.lacks_package("--data in Parquet: pyarrow", "pyarrow")


def _by_pyarrow(place: str, found: bytes) -> dict[str, NDArray[Any]]:
    import pyarrow as pa  # noqa: PLC0415 - seldom needed
    from pyarrow import parquet  # noqa: PLC0415

    try:
        table = parquet.read_table(io.BytesIO(found))
    except (pa.ArrowException, OSError) as error:
        raise _no_parquet(place, error) from None
    names = table.column_names
    return {name: _column(table.column(i).to_pylist()) for i, name in enumerate(names)}


def _by_duckdb(place: str) -> dict[str, NDArray[Any]]:
    from abctl.tables import engine, sql  # noqa: PLC0415 - seldom needed

    try:
        with engine.opened(place, "parquet") as found:
            names, rows = found.columns, found.rows(f"SELECT * FROM {sql.EVENTS}")  # noqa: S608 - ours
    except SourceError as error:
        raise _no_parquet(place, error) from None
    return {name: _column([row[i] for row in rows]) for i, name in enumerate(names)}


def _no_parquet(place: str, error: Exception) -> UsageError:
    return UsageError(f"--data {place}: not Parquet: {in_one_line(str(error))[:200]}", KNOWN)


def _column(values: list[Any]) -> NDArray[Any]:
    """What a column of Parquet holds; cells without a value are empty, as in a CSV."""
    if all(isinstance(each, int | float) for each in values):
        return np.array(values, np.float64)
    found = np.empty(len(values), dtype=object)
    found[:] = ["" if each is None else each for each in values]
    return found


def _npz(place: str, found: bytes) -> Table:
    try:
        with np.load(io.BytesIO(found), allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        said = in_one_line(str(error))[:200]
        raise UsageError(
            f"--data {place}: not an archive of plain arrays: {said}",
            "np.savez(FILE, X=rows, y=labels) writes one",
        ) from None
    for name, array in arrays.items():
        if array.ndim == 0 or array.dtype.kind not in "biufUS":
            raise UsageError(
                f"{place}: {name} is an array of {array.dtype} with {array.ndim} axes, must be of "
                "numbers or texts, its first axis the rows",
                "np.savez(FILE, X=rows, y=labels) writes one",
            )
    if len({len(array) for array in arrays.values()}) > 1:
        told = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise UsageError(f"{place}: arrays of different lengths: {told}", "one row, one request")
    texts = {
        k: v.astype(str).astype(object) if v.dtype.kind in "US" else v for k, v in arrays.items()
    }
    return Table(place, texts, 0)
