"""The ledger as the ConfigMap `abctl-<experiment>` holds it.

plan.json      the locked plan (`abctl.forms.plan`)
digest         SHA-256 of what the user wrote of it
plan.sha256    of all of it
ledger.jsonl   one entry a line; lines that are there stay as they are
ledger.gz      the oldest entries, compressed (binary); lines move there long before it is full
archived       how many they are
chain          the digest of those, to go on from
target         the object that carries the split: apiVersion, kind, namespace, name, uid
format         the version of this form; 1 where it does not say, without plan.sha256; 3 where
               there is what an earlier abctl would not understand: ledger.gz, an amended plan;
               4 where people said something to a ramp, or accepted a doubt
writtenBy      the abctl that began it

Each line ends with a part of the digest of all lines up to it, so a line that was rewritten is
found. Lines of an earlier abctl have none, and are held by the next one that has.
"""

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain as chained
from typing import Any

import msgspec

from abctl import forms
from abctl.core.change import EXPERIMENT, Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import SAID, Entry, Ledger, Phase, ledger_ref
from abctl.core.split import Split
from abctl.core.time import format_moment, parse_moment
from abctl.errors import AbctlError, ClusterError, NewerFormError
from abctl.forms.plan import Meaning, digest_of, locked_plan

FORMAT = 4
_WITHOUT_WORDS = 3
_PLAN, _DIGEST, _WHOLE, _LEDGER = "plan.json", "digest", "plan.sha256", "ledger.jsonl"
_FORMAT, _AUTHOR, _TARGET = "format", "writtenBy", "target"
_ARCHIVE, _ARCHIVED, _CHAIN = "ledger.gz", "archived", "chain"
_LONGEST_TAIL = 100_000  # characters of lines that are not compressed; a ConfigMap holds 1 MiB
_STAY = 10  # entries that anybody can read without a program
_LINK = 16  # hex digits of the digest that a line bears
_LINKED = ', "chain": "'
_RESTORE = "without its ledger an experiment cannot be judged: restore it from a backup"


class EntryForm(forms.Form, rename={"before": "from", "after": "to"}, omit_defaults=True):
    """One line."""

    at: str
    actor: str
    before: dict[str, int] | None
    after: dict[str, int]
    why: str
    phase: Phase
    version: str = ""
    since: str = ""
    exact: bool = False
    user: str = ""
    parts: tuple[str, ...] = ()
    chain: str = ""


def new_object(
    experiment: Experiment,
    first: Entry,
    meaning: Meaning | None = None,
    *,
    target: Ref | None = None,
    ref: Ref | None = None,
) -> Object:
    """The ConfigMap of an experiment whose start is intended.

    Args:
        experiment: what starts.
        first: the first entry.
        meaning: of its metrics; see `abctl.forms.plan`.
        target: the object that carries the split.
        ref: the address of the ConfigMap; the experiment's if None.
    """
    ref = ref or ledger_ref(experiment)
    meta = {
        "name": ref.name,
        "namespace": ref.namespace,
        "labels": {EXPERIMENT: experiment.name},
    }
    bare: Object = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta}
    if target is not None:
        bare = with_target(bare, target)
    return with_ledger(bare, Ledger(locked_plan(experiment, meaning)).with_entry(first))


def target_of(obj: Object) -> tuple[Ref, str] | None:
    """The object whose split a ledger is of, and its uid if it is known; None: it does not say."""
    try:
        found = json.loads((obj.get("data") or {})[_TARGET])
        ref = Ref(found["apiVersion"], found["kind"], found["namespace"], found["name"])
    except (LookupError, TypeError, ValueError):
        return None
    return ref, str(found.get("uid") or "")


def with_target(obj: Object, target: Ref, uid: str = "") -> Object:
    """A copy of the ConfigMap that says whose ledger it is."""
    said = {
        "apiVersion": target.api_version,
        "kind": target.kind,
        "namespace": target.namespace,
        "name": target.name,
        **({"uid": uid} if uid else {}),
    }
    return {**obj, "data": {**(obj.get("data") or {}), _TARGET: json.dumps(said)}}


def is_ledger(obj: Object) -> bool:
    """Whether a ConfigMap is a ledger at all, damaged or not."""
    return _LEDGER in (obj.get("data") or {})


def with_ledger(obj: Object, ledger: Ledger) -> Object:
    """A copy of the ConfigMap with another ledger in it; whatever else is there stays."""
    before: Mapping[str, str] = obj.get("data") or {}
    data = {_PLAN: ledger.plan, _DIGEST: digest_of(ledger.plan)}
    if ledger.plan != before.get(_PLAN):
        data |= _version(ledger.plan)
    archived = int(before.get(_ARCHIVED, "0"))
    tail = _lines(before, ledger.entries[archived:])
    after: dict[str, Any] = {**obj, "data": {**before, **data}}
    if sum(map(len, tail)) > _LONGEST_TAIL:
        packed, tail = tail[:-_STAY], tail[-_STAY:]
        archived += len(packed)
        # Members of a gzip file may just stand one after the other.
        old = base64.b64decode((obj.get("binaryData") or {}).get(_ARCHIVE, ""))
        new = gzip.compress(_text(packed).encode(), mtime=0)
        binary = {_ARCHIVE: base64.b64encode(old + new).decode()}
        after["binaryData"] = {**(obj.get("binaryData") or {}), **binary}
        head = before.get(_CHAIN, "")
        for line in packed:
            head = _digest(head, _body(line))
        after["data"] |= {_ARCHIVED: str(archived), _CHAIN: head}
    said = any(entry.phase in SAID for entry in ledger.entries)
    if archived or ledger.amendments or said:
        written = FORMAT if said else _WITHOUT_WORDS
        after["data"] |= {_FORMAT: str(written), _AUTHOR: forms.author()}
    after["data"][_LEDGER] = _text(tail)
    return after


def _version(plan: str) -> dict[str, str]:
    document = json.loads(plan)
    if _FORMAT not in document:
        return {}
    return {
        _WHOLE: hashlib.sha256(plan.encode()).hexdigest(),
        _FORMAT: str(document[_FORMAT]),
        _AUTHOR: document[_AUTHOR],
    }


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _lines(data: Mapping[str, str], entries: Sequence[Entry]) -> list[str]:
    """A line of each entry that is not archived; one that is there stays, whatever else it says."""
    there, head = data.get(_LEDGER, "").splitlines(), data.get(_CHAIN, "")
    kept = 0
    while kept < min(len(there), len(entries)) and _entry(there[kept]) == entries[kept]:
        head = _digest(head, _body(there[kept]))
        kept += 1
    lines = there[:kept]
    for entry in entries[kept:]:
        body = json.dumps(msgspec.to_builtins(_to_form(entry)))
        head = _digest(head, body)
        lines.append(f'{body[:-1]}{_LINKED}{head[:_LINK]}"}}')
    return lines


def _digest(head: str, body: str) -> str:
    return hashlib.sha256(f"{head}{body}".encode()).hexdigest()


def _body(line: str) -> str:
    """A line without the digest that it ends with."""
    body, linked, _ = line.rpartition(_LINKED)
    return f"{body}}}" if linked else line


def _archive(obj: Object) -> list[str]:
    packed = base64.b64decode((obj.get("binaryData") or {}).get(_ARCHIVE, ""))
    return gzip.decompress(packed).decode().splitlines() if packed else []


def rewritten(obj: Object) -> int | None:
    """The first line from which on a ledger is not as it was written; None if all of it is."""
    head, data = "", obj.get("data") or {}
    lines = chained(_archive(obj), data.get(_LEDGER, "").splitlines())
    for number, line in enumerate(lines, 1):
        body = _body(line)
        head = _digest(head, body)
        if body != line and line != f'{body[:-1]}{_LINKED}{head[:_LINK]}"}}':
            return number
    return None


def ledger_of(obj: Object) -> Ledger:
    """The ledger in a ConfigMap.

    Raises:
        NewerFormError: it is of a newer abctl.
        ClusterError: it is damaged, with the line.
    """
    place, number = str(Ref.of(obj)), 0
    if not is_ledger(obj):
        raise ClusterError(
            f"{place} is no ledger: it has no {_LEDGER}",
            "somebody else made it, or emptied it: restore it from a backup, or give the name free",
        )
    try:
        data, entries = obj["data"], []
        version = data.get(_FORMAT, "1")
        known = int(version) if version.isdecimal() else version
        forms.require_known(place, known, FORMAT, data.get(_AUTHOR), NewerFormError)
        lines = (*_archive(obj), *data[_LEDGER].splitlines())
        for number, line in enumerate(lines, 1):  # noqa: B007 - for the error
            entries.append(_entry(line))
        ledger = Ledger(data[_PLAN], tuple(entries))
        whole, digest = _WHOLE in data, digest_of(ledger.plan)
        altered = data[_DIGEST] != digest or (
            whole and data[_WHOLE] != hashlib.sha256(ledger.plan.encode()).hexdigest()
        )
    except ClusterError:
        raise
    except (
        AbctlError,
        EOFError,
        OSError,
        zlib.error,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        raise ClusterError(
            f"{place}: {_LEDGER} line {number} is damaged ({type(error).__name__}: {error})",
            _RESTORE,
        ) from error
    if not entries:
        raise ClusterError(f"{place}: {_LEDGER} is empty", _RESTORE)
    if altered:
        raise ClusterError(
            f"{place}: the locked plan was altered after the start",
            "a plan that changes with the data proves nothing: restore it, or start anew",
        )
    if (line := rewritten(obj)) is not None:
        raise ClusterError(
            f"{place}: {_LEDGER} was rewritten: line {line} is not what was written after the "
            "lines before it",
            _RESTORE,
        )
    return ledger


def _to_form(entry: Entry) -> EntryForm:
    return EntryForm(
        at=format_moment(entry.at),
        actor=entry.actor,
        before=None if entry.before is None else _shares(entry.before),
        after=_shares(entry.after),
        why=entry.why,
        phase=entry.phase,
        version=entry.version,
        since="" if entry.since is None else format_moment(entry.since),
        exact=entry.exact,
        user=entry.user,
        parts=entry.parts,
    )


def _entry(line: str) -> Entry:
    form = _READS(line)
    return Entry(
        at=round(parse_moment(form.at), 3),
        actor=form.actor,
        before=None if form.before is None else _split(form.before),
        after=_split(form.after),
        why=form.why,
        phase=form.phase,
        version=form.version,
        since=round(parse_moment(form.since), 3) if form.since else None,
        exact=form.exact,
        user=form.user,
        parts=form.parts,
    )


_READS = msgspec.json.Decoder(EntryForm).decode


def _shares(split: Split) -> dict[str, int]:
    return dict(zip(split.names, split.shares_bp, strict=True))


def _split(shares_bp: dict[str, int]) -> Split:
    return Split(tuple(shares_bp), tuple(shares_bp.values()))
