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
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from abctl.errors import SourceError
from abctl.files import opened, replacing
from abctl.forms import DamagedError, refuse_newer, require_known
from abctl.forms.evidence import FORMAT, Array, array_of, line_of
from abctl.forms.units import FORMAT as NEWEST
from abctl.sources import Source
from abctl.version import __version__

API_VERSION, KIND = "abctl.dev/v1", "Evidence"
_HEAD = ("apiVersion", "kind", "format", "writtenBy", "sha256")
# A small file can unpack to any size, and JSON takes many times its size once it is read.
_MOST = {b"": 2**28, b",": 2**24, b"[": 2**20, b"{": 2**20}
_WORDS = {b"": "bytes", b",": "values", b"[": "lists", b"{": "mappings"}
_CHUNK_BYTES = 2**20
# Digits do not get much smaller with more effort.
_LEVEL = 3
_WRITES_ONE = "to write one: abctl analyze EXPERIMENT --save FILE"
_DIGEST = b'"sha256": "'


def save(
    path: Path, document: Mapping[str, Any], arrays: Sequence[Array], format_: int = FORMAT
) -> None:
    """Write evidence, whole or not at all.

    Args:
        path: of the file.
        document: `evidence` as plain data, and whatever else belongs beside it.
        arrays: those that it names by number.
        format_: which an abctl must know to read it.

    Raises:
        UsageError: the file cannot be written.
        SourceError: it would be too large to be read again.
    """
    digest, size = hashlib.sha256(), _Size(path, "fewer metrics, or selectors of fewer series")
    with (
        replacing(path) as raw,
        gzip.GzipFile("", "wb", compresslevel=_LEVEL, fileobj=raw, mtime=0) as file,
    ):
        for line in _lines(document, arrays, format_):
            digest.update(line)
            size.add(line)
            file.write(line)
        file.write(_DIGEST + digest.hexdigest().encode() + b'"}\n')


def _lines(document: Mapping[str, Any], arrays: Sequence[Array], format_: int) -> Iterator[bytes]:
    """The document, one array a line, so that it never is in memory as a whole."""
    head = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "format": format_,
        "writtenBy": {
            "abctl": __version__,
            "numpy": version("numpy"),
            "scipy": version("scipy"),
            "python": platform.python_version(),
        },
        **document,
    }
    yield json.dumps(head, allow_nan=False)[:-1].encode() + b',\n"arrays": [\n'
    for i, array in enumerate(arrays):
        yield (b",\n" if i else b"") + line_of(array)
    yield b"\n],\n"


def load(path: Path) -> tuple[dict[str, Any], list[Array]]:
    """Read what was saved: the document as plain data, and its arrays.

    Raises:
        SourceError: no such file, damaged, cut short, newer, or something else altogether.
    """
    if not (text := _read(path)):
        _foreign(path, "empty")
    try:
        # What is inside is read piece by piece: lists of numbers take many times their text.
        raw = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        document = {k: msgspec.json.decode(v) for k, v in raw.items() if k != "arrays"}
    except msgspec.ValidationError:
        _foreign(path, "not of the kind Evidence")
    except (ValueError, RecursionError) as error:
        _foreign(path, f"not JSON ({error})")
    if document.get("kind") != KIND:
        _foreign(path, "not of the kind Evidence")
    _require_known(path, document)
    if _digest(text) != document.get("sha256"):
        damaged(path, "its sha256 is not the one recorded")
    try:
        listed = msgspec.json.decode(raw.get("arrays", b"null"), type=list[msgspec.Raw])
    except ValueError:
        damaged(path, "it has no list of arrays")
    try:
        arrays = [array_of(each) for each in listed]
    except DamagedError as error:
        damaged(path, str(error))
    return {k: v for k, v in document.items() if k not in _HEAD}, arrays


def _require_known(path: Path, document: Mapping[str, Any]) -> None:
    by, format_ = document.get("writtenBy"), document.get("format")
    author = f"abctl {by.get('abctl')}" if isinstance(by, Mapping) else None
    if document.get("apiVersion") != API_VERSION:
        written = f"{document.get('apiVersion')} format {format_}"
        refuse_newer(str(path), written, f"{API_VERSION} format {NEWEST}", author, SourceError)
    require_known(str(path), format_, NEWEST, author, SourceError)


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
        damaged(path, "cut short")
    except zlib.error as error:
        damaged(path, str(error))
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}", _WRITES_ONE) from None
    return b"".join(pieces)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text[: max(0, text.rfind(_DIGEST))]).hexdigest()


def _foreign(path: Path, why: str) -> NoReturn:
    raise SourceError(f"{path}: not saved evidence: {why}", _WRITES_ONE)


def damaged(path: Path, why: str) -> NoReturn:
    """Say that a file is not as it was saved.

    Raises:
        SourceError: always.
    """
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
