"""The files of a table as users name them: linked to, so that no name means a thing to DuckDB."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Literal

from abctl.errors import SourceError, UsageError
from abctl.tables.written import printable, text

Format = Literal["csv", "jsonl", "parquet"]
_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class Files:
    """Files of one table, by links whose names mean nothing to the engine.

    Attributes:
        place: what the table is called.
        kind: of the files.
        links: the names that the user knows, by those of the links.
    """

    place: str
    kind: Format
    links: Mapping[str, str]

    @property
    def listed(self) -> str:
        """The links, as the engine's readers take them."""
        return "[" + ", ".join(map(text, self.links)) + "]"

    @classmethod
    def of(cls, named: str, option: str, room: Path, kind: Format | None = None) -> "Files":
        """The files of a name or a glob; links to them are made in a folder.

        Raises:
            UsageError: no such file, or its ending does not say what it is.
            SourceError: one is empty.
        """
        files = _files(named, room, option)
        for each in files:
            if not each.stat().st_size:
                raise SourceError(f"{printable(str(each))} is empty", "is it the right file?")
        said = kind or _format(files[0], option)
        links = {str(_linked(each, room)): str(each) for each in files}
        return cls("stdin" if named == "-" else printable(named), said, links)


def _files(events: str, room: Path, option: str) -> list[Path]:
    if events == "-":
        path = room / "stdin"
        with path.open("wb") as target:
            shutil.copyfileobj(sys.stdin.buffer, target)
        return [_with_ending(path)]
    named = Path(events)
    if named.is_file():
        return [named]
    # Path.glob takes no absolute pattern.
    matches = glob(events, recursive=True) if has_magic(events) else []  # noqa: PTH207
    found = list(map(Path, sorted(matches)))
    if files := [each for each in found if each.is_file()]:
        return files
    what = "is a folder" if named.is_dir() else "no such file"
    raise UsageError(
        f"{option} {printable(events)}: {what}",
        f"{option} log.parquet, 'logs/*.csv', or - for stdin"
        if option == "--events"
        else "a file or a glob; it begins at the folder of the experiment file",
    )


def _with_ending(path: Path) -> Path:
    """What came from stdin, called by what it begins with."""
    with path.open("rb") as source:
        begins = source.read(1024)
    ending = "parquet" if begins[:4] == b"PAR1" else "csv"
    if begins.lstrip()[:1] == b"{":
        ending = "jsonl"
    return path.rename(path.with_suffix(f".{ending}"))


def _format(path: Path, option: str) -> Format:
    endings = [each.lower() for each in path.suffixes if each.lower() not in (".gz", ".zst")]
    if endings and endings[-1] in _ENDINGS:
        return _ENDINGS[endings[-1]]
    raise UsageError(
        f"{option} {printable(str(path))}: its ending does not say what it is",
        "--format csv, jsonl or parquet" if option == "--events" else ".csv, .jsonl or .parquet",
    )


def _linked(path: Path, room: Path) -> Path:
    """A link to a file whose name means nothing; what is packed keeps the ending that says so."""
    packed = path.suffix.lower() if path.suffix.lower() in (".gz", ".zst") else ""
    link = room / f"events-{len(list(room.iterdir()))}{packed}"
    link.symlink_to(path.resolve())
    return link
