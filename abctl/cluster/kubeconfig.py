"""Kubeconfigs: where they are, and what they say, put together as kubectl does."""

import os
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abctl.errors import UnreachableError
from abctl.files import home
from abctl.files import read as read_file
from abctl.waiting import in_pod

_HINT = "name a kubeconfig with --kubeconfig or KUBECONFIG, and a context with --context"
_DEEPEST = 50
_Document = tuple[Path, Mapping[str, Any]]


@dataclass(frozen=True)
class Entry:
    """A named part of a kubeconfig.

    Attributes:
        words: what errors call it.
        folder: where its relative paths start.
        values: what it says.
    """

    words: str
    folder: Path
    values: Mapping[str, Any]

    def text(self, key: str) -> str | None:
        """A value; None where there is none."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            raise unusable(f"{self.words}: {key} must be text")
        return value or None

    def path(self, key: str) -> Path | None:
        """A file that is named."""
        name = self.text(key)
        return self.folder / name if name else None

    def data(self, key: str) -> bytes | None:
        """What the file itself holds as `<key>-data`."""
        text = self.text(f"{key}-data")
        try:
            return b64decode(text, validate=True) if text else None
        except ValueError:
            raise unusable(f"{self.words}: {key}-data is not base64") from None


@dataclass(frozen=True)
class Context:
    """What is chosen: a cluster, and who talks to it (None: nobody in particular)."""

    name: str
    namespace: str
    cluster: Entry
    user: Entry | None


def files() -> str:
    """The files of $KUBECONFIG, or the usual one, as far as they exist; joined as given."""
    own = home()
    given = os.environ.get("KUBECONFIG") or (str(own / ".kube" / "config") if own else "")
    return os.pathsep.join(path for path in given.split(os.pathsep) if Path(path).is_file())


def configured() -> bool:
    """Whether there is a configuration of some cluster."""
    return bool(files()) or in_pod()


def read(paths: str, context: str | None) -> Context:
    """The context of that name, or the current one; of a name that is there twice the first counts.

    Args:
        paths: the files, joined.
        context: its name.

    Raises:
        UnreachableError: there is none, or something in the files is wrong.
    """
    if not paths:
        raise unusable("no kubeconfig")
    documents = [(Path(path), _document(Path(path))) for path in paths.split(os.pathsep)]
    stated = (document.get("current-context") for _, document in documents)
    name = context or next(filter(None, stated), None)
    if not name:
        raise unusable(f"{paths}: no current-context")
    chosen = _entry(documents, "context", str(name))
    if not (cluster := chosen.text("cluster")):
        raise unusable(f"{chosen.words}: no cluster")
    user = chosen.text("user")
    return Context(
        name=str(name),
        namespace=chosen.text("namespace") or "default",
        cluster=_entry(documents, "cluster", cluster),
        user=_entry(documents, "user", user) if user else None,
    )


def contexts() -> list[str]:
    """The names of all contexts.

    Raises:
        UnreachableError: something in the files is wrong.
    """
    documents = [_document(Path(path)) for path in filter(None, files().split(os.pathsep))]
    found = (item.get("name") for each in documents for item in each.get("contexts") or ())
    return list(dict.fromkeys(map(str, found)))


def unusable(reason: str) -> UnreachableError:
    """The error for a configuration that leads to no cluster."""
    return UnreachableError(f"no cluster: {reason}", _HINT)


def _document(path: Path) -> Mapping[str, Any]:
    import yaml  # noqa: PLC0415 - a pod has no file to read

    # The libyaml of PyYAML, where it has one: files of many clusters are large.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        text, depth = read_file(path), 0
        # Where it is nested too deeply libyaml ends the whole process.
        for event in yaml.parse(text, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise unusable(f"{path}: nested too deeply")
        found = yaml.load(text, Loader=loader)  # noqa: S506 - both are safe
    except FileNotFoundError:
        raise unusable(f"no kubeconfig {path}") from None
    except OSError as error:
        raise unusable(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError):  # 2026-99-99, !!int abc
        # Its words would quote the file, with the secrets in it.
        raise unusable(f"{path}: not YAML") from None
    if not isinstance(found, Mapping | None):
        raise unusable(f"{path}: not a kubeconfig")
    return found or {}


def _entry(documents: Sequence[_Document], kind: str, name: str) -> Entry:
    seen = []
    for path, document in documents:
        for item in document.get(f"{kind}s") or ():
            if not isinstance(item, Mapping) or not isinstance(item.get(kind) or {}, Mapping):
                raise unusable(f"{path}: a {kind} must be a mapping")
            if item.get("name") == name:
                words = f"{path}: {kind} {name}"
                return Entry(words, path.absolute().parent, item.get(kind) or {})
            seen.append(str(item.get("name")))
    where = os.pathsep.join(str(path) for path, _ in documents)
    known = f"; there are {', '.join(dict.fromkeys(seen))}" if seen else ""
    raise unusable(f"{where}: no {kind} {name!r}{known}")
