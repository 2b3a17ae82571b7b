"""A file with flags as a ConfigMap of a directory: the ledger is beside it, the text is the file's.

flagd watches such a file. It is replaced in one step, so nobody ever reads half of it; every other
flag of it stays, and so does the order and the space that people gave it.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from abctl import files
from abctl.cluster import Manager
from abctl.cluster.directory import DirectoryClient, Lock
from abctl.core import json_text
from abctl.core.change import Object, Ref
from abctl.errors import ClusterError, ConflictError, NotFoundError

_FLAGS = "flags"
_SHAPE = '{"flags": {...}} as flagd reads it, in JSON'


class FlagFileClient(DirectoryClient):
    """A `KubeClient` to a file with flags, and to the directory that holds its ledger.

    Args:
        root: the directory; made when the first object is created.
        path: the file.
        carrier: the ConfigMap as which it is seen.
        key: of its data, which is the text of the file.
    """

    def __init__(self, root: Path, path: Path, carrier: Ref, key: str) -> None:
        super().__init__(root, start="abctl apply makes it")
        self._path = path
        self._carrier = carrier
        self._key = key

    def managers(self, ref: Ref) -> Sequence[Manager]:
        """Somebody, and when the file was written: nobody notes who it was."""
        if ref != self._carrier:
            return super().managers(ref)
        self._text()
        return [Manager("", "Update", self._path.stat().st_mtime)]

    def apply(self, obj: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        """As of any object; of the file only the named flags are anybody's to set.

        Raises:
            ConflictError: such a flag is there with another rule, unless by `force`.
        """
        if Ref.of(obj) != self._carrier or not self._has(self._carrier):
            return super().apply(obj, dry_run=dry_run, force=force)
        self._make_root()
        with self._locked() as lock:
            stored = self._read(self._carrier)
            version = obj["metadata"].get("resourceVersion")
            if version and version != stored["metadata"]["resourceVersion"]:
                raise ConflictError(f"{self._path} was changed by somebody else", "try again")
            text = self._with_flags(stored["data"][self._key], obj["data"][self._key], force=force)
            return (
                self._object(text)
                if dry_run
                else self._update(stored, self._at(stored, text), lock)
            )

    def delete(self, ref: Ref, *, dry_run: bool = False) -> bool:
        """Delete an object; of the file only the flag of the experiment."""
        if ref != self._carrier:
            return super().delete(ref, dry_run=dry_run)
        if not self._has(ref):
            return False
        self._make_root()
        with self._locked() as lock:
            obj = self._read(ref)
            text = obj["data"][self._key]
            if ref.name not in json_text.parse(text)[_FLAGS]:
                return False
            if not dry_run:
                after = json_text.without_member(text, (_FLAGS,), ref.name)
                self._write(self._at(obj, after), lock)
        return True

    def _with_flags(self, there: str, wanted: str, *, force: bool) -> str:
        """The text that is there, with the flags that are wanted."""
        for name, flag in json_text.parse(wanted)[_FLAGS].items():
            known = json_text.parse(there)[_FLAGS].get(name)
            if known is None:
                there = json_text.with_member(there, (_FLAGS,), name, flag)
                continue
            for key, value in flag.items():
                there = self._with_key(there, (_FLAGS, name, key), known.get(key), value, force)
        return there

    def _with_key(
        self, there: str, place: tuple[str, str, str], known: Any, value: Any, force: bool
    ) -> str:
        """The text with one key of a flag; what an application gets for a variant is its own."""
        _, name, key = place
        if key == "variants" and isinstance(known, Mapping) and known.keys() >= value.keys():
            return there
        weights = _weights(known, value)
        if weights is not None:
            return json_text.replaced(there, {(*place, *at): n for at, n in weights.items()})
        if not force:
            raise ConflictError(
                f"{self._path}: flag {name} is there, with {key} other than the experiment's",
                "give the experiment a name of its own; or --force, to replace that",
            )
        return json_text.with_member(there, place[:2], key, value)

    def _at(self, obj: Object, text: str) -> Object:
        """Another text in the object as it was read."""
        return {**obj, "data": {self._key: text}}

    def _has(self, ref: Ref) -> bool:
        return self._path.exists() if ref == self._carrier else super()._has(ref)

    def _read(self, ref: Ref) -> Object:
        if ref != self._carrier:
            return super()._read(ref)
        return self._object(self._text())

    def _object(self, text: str) -> Object:
        meta = {
            "name": self._carrier.name,
            "namespace": self._carrier.namespace,
            # Of the text alone: so an edit by anybody else is another version.
            "resourceVersion": str(int(sha256(text.encode()).hexdigest()[:15], 16)),
        }
        return {
            "apiVersion": self._carrier.api_version,
            "kind": self._carrier.kind,
            "metadata": meta,
            "data": {self._key: text},
        }

    def _text(self) -> str:
        """The text of the file, which is known to hold flags.

        Raises:
            NotFoundError: there is no such file.
            ClusterError: it holds something else.
        """
        try:
            text = files.read(self._path).decode()
            found = json_text.parse(text)
        except FileNotFoundError:
            raise NotFoundError(f"no file {self._path}", "abctl apply makes it") from None
        except OSError as error:
            raise ClusterError(f"{self._path}: {error.strerror}", files.remedy(error)) from None
        except ValueError as error:
            raise ClusterError(f"{self._path}: {error}", f"it must hold {_SHAPE}") from None
        flags = found.get(_FLAGS) if isinstance(found, Mapping) else None
        if not isinstance(flags, Mapping):
            raise ClusterError(f"{self._path}: has no {_FLAGS}", f"it must hold {_SHAPE}")
        return text

    def _is_mounted(self, obj: Object) -> bool:
        return Ref.of(obj) == self._carrier or super()._is_mounted(obj)

    def _write(self, obj: Object, lock: Lock) -> Object:
        if Ref.of(obj) != self._carrier:
            return super()._write(obj, lock)
        text = obj["data"].get(self._key)
        if set(obj["data"]) != {self._key}:
            raise ClusterError(f"{self._path}: holds {self._key} alone", "leave other keys out")
        known = obj["metadata"].get("resourceVersion")
        if known and self._read(self._carrier)["metadata"]["resourceVersion"] != known:
            raise ConflictError(f"{self._path} was changed by somebody else", "try again")
        files.replace(self._path, text)
        return self._object(text)


def _weights(known: Any, wanted: Any) -> dict[tuple[str | int, ...], int] | None:
    """The whole numbers that differ, by their places; None where anything else does."""
    if type(known) is not type(wanted):
        return None
    if isinstance(known, int):
        return {(): wanted} if known != wanted else {}
    if isinstance(known, str):
        return {} if known == wanted else None
    places = list(known) if isinstance(known, Mapping) else list(range(len(known)))
    if len(known) != len(wanted) or (isinstance(known, Mapping) and known.keys() != wanted.keys()):
        return None
    found: dict[tuple[str | int, ...], int] = {}
    for place in places:
        below = _weights(known[place], wanted[place])
        if below is None:
            return None
        found |= {(place, *at): weight for at, weight in below.items()}
    return found
