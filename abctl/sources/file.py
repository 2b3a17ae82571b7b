"""Evidence that was saved: one file with everything that a judgement takes.

It is JSON, compressed with gzip: what wrote it, the evidence, and the arrays that the evidence
names by their numbers. The same evidence makes the same bytes. `zcat FILE | jq` shows it.

Its digest shows whether it was damaged. It is not a signature: an attacker who alters the file can
write another digest.
"""

import gzip
import hashlib
import json
import platform
import zlib
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn, TypeVar

from abctl import __version__
from abctl.errors import SourceError
from abctl.files import opened, replacing
from abctl.forms import DamagedError, Writer, array_of_plain, array_to_plain, value_of
from abctl.sources import Source

API_VERSION, KIND = "abctl.dev/v1", "Evidence"
# To be raised whenever files of before could not be read any more.
FORMAT = 1
# A small file can unpack to any size, and JSON takes many times its size once it is read.
_MOST = {b"": 2**28, b",": 2**24, b"[": 2**20, b"{": 2**20}
_WORDS = {b"": "bytes", b",": "values", b"[": "lists", b"{": "mappings"}
_CHUNK_BYTES = 2**20
# Digits do not get much smaller with more effort.
_LEVEL = 3
_WRITES_ONE = "to write one: abctl analyze EXPERIMENT --save FILE"
_DIGEST = b'"sha256": "'

T = TypeVar("T")


def save(path: Path, evidence: object) -> None:
    """Write evidence (a frozen dataclass), whole or not at all.

    Raises:
        UsageError: the file cannot be written.
        SourceError: it would be too large to be read again.
    """
    digest, size = hashlib.sha256(), _Size(path, "fewer metrics, or selectors of fewer series")
    with (
        replacing(path) as raw,
        gzip.GzipFile("", "wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as file,
    ):
        for line in _lines(evidence):
            digest.update(line)
            size.add(line)
            file.write(line)
        file.write(_DIGEST + digest.hexdigest().encode() + b'"}\n')


def _lines(evidence: object) -> Iterator[bytes]:
    """The document, one array a line, so that it never is in memory as a whole."""
    writer = Writer()
    plain = writer.plain(evidence, type(evidence))
    head = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "format": FORMAT,
        "writtenBy": {
            "abctl": __version__,
            "numpy": version("numpy"),
            "scipy": version("scipy"),
            "python": platform.python_version(),
        },
        "evidence": plain,
    }
    yield json.dumps(head, allow_nan=False)[:-1].encode() + b',\n"arrays": [\n'
    for i, array in enumerate(writer.arrays):
        comma = ",\n" if i else ""
        yield (comma + json.dumps(array_to_plain(array), allow_nan=False)).encode()
    yield b"\n],\n"


def load(path: Path, cls: type[T]) -> T:
    """Read evidence of the class that was saved.

    Raises:
        SourceError: no such file, damaged, cut short, or something else altogether.
    """
    if not (text := _read(path)):
        _foreign(path, "empty")
    try:
        # A hook for every mapping: lists of numbers become arrays while they are read.
        document = json.loads(text, object_hook=array_of_plain)
    except DamagedError as error:
        _damaged(path, str(error))
    except (ValueError, RecursionError) as error:
        _foreign(path, f"not JSON ({error})")
    if not isinstance(document, Mapping) or document.get("kind") != KIND:
        _foreign(path, "not of the kind Evidence")
    written = document.get("apiVersion"), document.get("format")
    if written != (API_VERSION, FORMAT):
        by = document.get("writtenBy")
        author = f"abctl {by.get('abctl')}" if isinstance(by, Mapping) else "something else"
        raise SourceError(
            f"{path}: written by {author} as {written[0]} format {written[1]}, this abctl "
            f"({__version__}) reads {API_VERSION} format {FORMAT}",
            "read it with the abctl that wrote it",
        )
    if _digest(text) != document.get("sha256"):
        _damaged(path, "its sha256 is not the one recorded")
    arrays = document.get("arrays")
    if not isinstance(arrays, list):
        _damaged(path, "it has no list of arrays")
    try:
        read: T = value_of(document.get("evidence"), cls, arrays, "evidence")
    except DamagedError as error:
        _damaged(path, str(error))
    return read


class _Size:
    """How much of everything there is so far.

    Args:
        path: of the file, for errors.
        hint: what to do where it is too much.
    """

    def __init__(self, path: Path, hint: str) -> None:
        self._path, self._hint = path, hint
        self._found = dict.fromkeys(_MOST, 0)

    def add(self, piece: bytes) -> None:
        """Count a piece.

        Raises:
            SourceError: it is too much.
        """
        for what, most in _MOST.items():
            self._found[what] += piece.count(what) if what else len(piece)
            if self._found[what] > most:
                raise SourceError(
                    f"{self._path}: over {most:,} {_WORDS[what]} when unpacked", self._hint
                )


def _read(path: Path) -> bytes:
    size, pieces = _Size(path, "abctl writes no file of that size: save the evidence again"), []
    try:
        with opened(path) as raw, gzip.GzipFile(fileobj=raw) as file:
            while piece := file.read(_CHUNK_BYTES):
                size.add(piece)
                pieces.append(piece)
    except FileNotFoundError:
        raise SourceError(f"{path}: no such file", _WRITES_ONE) from None
    except gzip.BadGzipFile:
        _foreign(path, "not compressed with gzip, or damaged")
    except EOFError:
        _damaged(path, "cut short")
    except zlib.error as error:
        _damaged(path, str(error))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", _WRITES_ONE) from None
    return b"".join(pieces)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text[: max(0, text.rfind(_DIGEST))]).hexdigest()


def _foreign(path: Path, why: str) -> NoReturn:
    raise SourceError(f"{path}: not saved evidence: {why}", _WRITES_ONE)


def _damaged(path: Path, why: str) -> NoReturn:
    raise SourceError(
        f"{path}: damaged: {why}",
        "copy it again from where it was saved, or save the evidence again",
    )


def open_source(options: Mapping[str, str]) -> Source:
    """Nothing new can be asked of a file; `load` gives all that it holds at once.

    Raises:
        SourceError: always.
    """
    raise SourceError(
        f"{options['path']} is saved evidence: it can be analyzed, but does not show the present",
        f"abctl analyze --from {options['path']}",
    )
