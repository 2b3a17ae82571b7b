"""The directory twin of the Kubernetes API: objects as files, with the API's own rules.

    <root>/version                                  counter of resourceVersions, and the lock
    <root>/objects/<namespace>/<kind>/<name>.json   one object
    <root>/objects/.../<name>.applied               what was last applied to it
    <root>/mounts/<name>/<key>                      a ConfigMap's data, as kubelet would mount it

Whoever is killed in the middle leaves each object as it was or as it was meant to be; a mount that
was left behind is brought up to date by the next one who reads its ConfigMap.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from abctl.cluster import Manager, Operations
from abctl.core.change import Object, Ref, merged, patched
from abctl.errors import ClusterError, ConflictError, NotFoundError
from abctl.files import read as read_file
from abctl.files import remedy

_APPLIED = ".applied"
_MADE_MEANWHILE = "somebody else has just made it: try again"
_START = "abctl local up EXPERIMENT makes it; --state names another folder"
_NEXT_STEP = "restore the file, or remove the directory and start anew"


class DirectoryClient:
    """A `KubeClient` to a directory.

    Args:
        root: the directory; made when the first object is created.
        live: gives an object's status, or None; asked whenever an object is read.
        start: the hint for an object that is not there.
    """

    def __init__(
        self,
        root: Path,
        live: Callable[[Object], Mapping[str, Any] | None] | None = None,
        start: str = _START,
    ) -> None:
        self._root = root
        self._start = start
        self._live = live

    def now(self) -> float:
        """The clock of this machine."""
        return time.time()

    def get(self, ref: Ref) -> Object:
        """Read an object with its status."""
        obj = self._read(ref)
        if not self._is_mounted(obj):
            with self._locked():
                obj = self._read(ref)
                self._mount(obj)
        status = self._live(obj) if self._live else None
        return obj if status is None else {**obj, "status": status}

    def managers(self, ref: Ref) -> Sequence[Manager]:
        """Somebody, and when the file was written: nobody notes who it was."""
        self._read(ref)
        with _files(path := self._file(ref)):
            return [Manager("", "Update", path.stat().st_mtime)]

    def create(self, obj: Object) -> Object:
        """Create an object."""
        ref = Ref.of(obj)
        self._make_root()
        with self._locked() as lock:
            if self._has(ref):
                raise ConflictError(f"{ref} exists already", _MADE_MEANWHILE)
            return self._write(obj, lock)

    def replace(self, obj: Object) -> Object:
        """Replace it whole, if nobody changed it since it was read."""
        ref = Ref.of(obj)
        with self._locked() as lock:
            stored = self._read(ref)
            if obj["metadata"].get("resourceVersion") != stored["metadata"]["resourceVersion"]:
                raise ConflictError(f"{ref} was changed by somebody else", "read it again")
            return self._update(stored, obj, lock)

    def patch(self, ref: Ref, operations: Operations, *, dry_run: bool = False) -> Object:
        """Apply a JSON Patch, all of it or nothing."""
        with self._locked() as lock:
            stored = self._read(ref)
            try:
                after = patched(stored, operations)
            except ClusterError as error:
                raise type(error)(f"{ref}: {error.message}", error.hint) from error
            if _identity(after) != _identity(stored):
                raise ClusterError(
                    f"{ref}: its address and resourceVersion cannot be patched",
                    "make another object, and delete this one",
                )
            return after if dry_run else self._update(stored, after, lock)

    def apply(self, obj: Object, *, dry_run: bool = False, force: bool = False) -> Object:  # noqa: ARG002 - nobody else manages fields here
        """Make what is named so; what an earlier apply named and this one does not goes."""
        meta = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
        ref, applied = Ref.of(obj), {**_stored_part(obj), "metadata": meta}
        version = obj["metadata"].get("resourceVersion")
        self._make_root()
        with self._locked() as lock:
            stored, earlier = (self._read(ref), self._applied(ref)) if self._has(ref) else ({}, {})
            if version and version != stored.get("metadata", {}).get("resourceVersion"):
                raise ConflictError(f"{ref} was changed by somebody else", "read it again")
            after = merged(stored, earlier, applied)
            if dry_run:
                return after
            written = self._update(stored, after, lock)
            _store(self._file(ref).with_suffix(_APPLIED), json.dumps(applied))
            return written

    def delete(self, ref: Ref, *, dry_run: bool = False) -> bool:
        """Delete it; gives whether it was there, which is no error if not."""
        path = self._file(ref)
        if dry_run or not path.exists():
            return path.exists()
        with self._locked(), _files(path):
            path.with_suffix(_APPLIED).unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            if ref.kind == "ConfigMap":
                shutil.rmtree(self._mount_of(ref.name), ignore_errors=True)
        return True

    def list(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Object]:
        """The objects of a kind that have all of the labels; none where nobody ever made one."""
        folder = self._file(Ref(api_version, kind, namespace, "any")).parent
        names = sorted(path.stem for path in folder.glob("*.json"))
        found = []
        for name in names:
            try:
                obj = self.get(Ref(api_version, kind, namespace, name))
            except NotFoundError:
                continue  # deleted meanwhile
            if labels.items() <= (obj["metadata"].get("labels") or {}).items():
                found.append(obj)
        return found

    def may(self, verb: str, ref: Ref) -> bool:  # noqa: ARG002 - the same for all
        """Whether the directory can be read, or written to."""
        there = next(path for path in (self._root, *self._root.parents) if path.exists())
        return os.access(there, os.R_OK if verb in ("get", "list", "watch") else os.W_OK)

    def _make_root(self) -> None:
        with _files(self._root):
            self._root.mkdir(parents=True, exist_ok=True)

    def _file(self, ref: Ref) -> Path:
        group = ref.api_version.rpartition("/")[0]
        parts = (ref.namespace, f"{ref.kind}.{group}" if group else ref.kind, f"{ref.name}.json")
        if any("/" in part or part.startswith(".") for part in parts):
            raise ClusterError(
                f"{ref} in {ref.namespace!r}: not the name of an object",
                "names have no / and do not begin with a dot",
            )
        return self._root.joinpath("objects", *parts)

    def _has(self, ref: Ref) -> bool:
        return self._file(ref).exists()

    def _applied(self, ref: Ref) -> Object:
        path = self._file(ref).with_suffix(_APPLIED)
        applied: Object = json.loads(read_file(path)) if path.exists() else {}
        return applied

    def _read(self, ref: Ref) -> Object:
        path = self._file(ref)
        try:
            with _files(path):
                obj: Object = json.loads(read_file(path))
            found, version = Ref.of(obj), obj["metadata"]["resourceVersion"]
        except FileNotFoundError as error:
            there = self._root.exists()
            missing = f"no {ref} in {self._root}" if there else f"no folder {self._root}"
            raise NotFoundError(missing, self._start) from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise ClusterError(f"{path}: not an object of abctl ({reason})", _NEXT_STEP) from error
        if found != ref or not str(version).isdecimal():
            raise ClusterError(f"{path}: not {ref}, or without a resourceVersion", _NEXT_STEP)
        return obj

    def _update(self, stored: Object, obj: Object, lock: "Lock") -> Object:
        if _stored_part(obj) == stored:
            self._mount(stored)
            return stored
        return self._write(obj, lock)

    def _write(self, obj: Object, lock: "Lock") -> Object:
        _check_keys(obj)
        version = lock.next_version(int(obj["metadata"].get("resourceVersion") or 0))
        meta = {**obj["metadata"], "resourceVersion": str(version)}
        written = {**_stored_part(obj), "metadata": meta}
        _store(self._file(Ref.of(written)), json.dumps(written, indent=1), durable=True)
        self._mount(written)
        return written

    def _mount_of(self, name: str) -> Path:
        return self._root / "mounts" / name

    def _is_mounted(self, obj: Object) -> bool:
        return obj["kind"] != "ConfigMap" or self._mounted(obj) == dict(obj.get("data", {}))

    def _mounted(self, obj: Object) -> dict[str, str] | None:
        """What is mounted; None while somebody is at it, or before."""
        mount = self._mount_of(obj["metadata"]["name"])
        try:
            visible = [path for path in mount.iterdir() if not path.name.startswith(".")]
            return {path.name: read_file(path).decode() for path in visible}
        except (OSError, ValueError):
            return None

    def _mount(self, obj: Object) -> None:
        if self._is_mounted(obj):
            return
        mount, wanted = self._mount_of(obj["metadata"]["name"]), obj.get("data", {})
        mounted = self._mounted(obj) or {}
        with _files(mount):
            mount.mkdir(parents=True, exist_ok=True)
            for key in mounted.keys() - wanted.keys():
                (mount / key).unlink()
        for key, text in wanted.items():
            if mounted.get(key) != text:
                _store(mount / key, text)

    @contextmanager
    def _locked(self) -> Iterator["Lock"]:
        path = self._root / "version"
        try:
            with _files(path):
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except FileNotFoundError as error:
            raise NotFoundError(f"no directory {self._root}", self._start) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Lock(path, descriptor)
        finally:
            os.close(descriptor)


class Lock:
    """The one writer at a time, and its counter."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def next_version(self, known: int) -> int:
        """A version that no object had before, also not one that was deleted."""
        try:
            version = max(int(os.pread(self._descriptor, 40, 0) or b"0"), known) + 1
        except ValueError as error:
            raise ClusterError(f"{self._path}: not a counter of versions", _NEXT_STEP) from error
        # Always the same width: a write in place never leaves a mixture of old and new lengths.
        os.pwrite(self._descriptor, b"%020d" % version, 0)
        return version


def _check_keys(obj: Object) -> None:
    """Keys of a ConfigMap become names of files."""
    for key in obj.get("data", {}) if obj["kind"] == "ConfigMap" else ():
        if "/" in key or key.startswith("."):
            raise ClusterError(
                f"{Ref.of(obj)}: {key!r} cannot be a key of its data",
                "it becomes the name of a file: without / and no dot at its begin",
            )


def _stored_part(obj: Object) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key != "status"}


def _identity(obj: Object) -> tuple[Any, ...]:
    meta = obj.get("metadata", {})
    names = (meta.get(key) for key in ("namespace", "name", "resourceVersion"))
    return (obj.get("apiVersion"), obj.get("kind"), *names)


def _store(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace a file in one step; the temporary one is hidden and its name always the same."""
    temporary = path.with_name(f".{path.name}.new")
    with _files(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.rename(path)
        if durable:
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)


@contextmanager
def _files(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ClusterError(f"{path}: {error.strerror}", remedy(error)) from error
