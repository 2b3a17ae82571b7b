"""The ledger as the ConfigMap `abctl-<experiment>` holds it.

plan.json      the locked plan (`abctl.forms.plan`)
digest         SHA-256 of what the user wrote of it
plan.sha256    of all of it
ledger.jsonl   one entry a line; lines that are there stay as they are
format         the version of this form; 1 where it does not say, without plan.sha256
writtenBy      the abctl that began it

"""

import hashlib
import json
from collections.abc import Iterator, Mapping

import msgspec

from abctl import forms
from abctl.core.change import EXPERIMENT, Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Ledger, Phase, ledger_ref
from abctl.core.split import Split
from abctl.core.time import format_moment, parse_moment
from abctl.errors import AbctlError, ClusterError
from abctl.forms.plan import FORMAT, Meaning, digest_of, locked_plan

_PLAN, _DIGEST, _WHOLE, _LEDGER = "plan.json", "digest", "plan.sha256", "ledger.jsonl"
_FORMAT, _AUTHOR = "format", "writtenBy"
_RESTORE = "without its ledger an experiment cannot be judged: restore it from a backup"


class EntryForm(forms.Form, rename={"before": "from", "after": "to"}):
    """One line."""

    at: str
    actor: str
    before: dict[str, int] | None
    after: dict[str, int]
    why: str
    phase: Phase


def new_object(experiment: Experiment, first: Entry, meaning: Meaning | None = None) -> Object:
    """The ConfigMap of an experiment whose start is intended.

    Args:
        experiment: what starts.
        first: the first entry.
        meaning: of its metrics; see `abctl.forms.plan`.
    """
    ref = ledger_ref(experiment)
    meta = {
        "name": ref.name,
        "namespace": ref.namespace,
        "labels": {EXPERIMENT: experiment.name},
    }
    bare = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta}
    return with_ledger(bare, Ledger(locked_plan(experiment, meaning)).with_entry(first))


def with_ledger(obj: Object, ledger: Ledger) -> Object:
    """A copy of the ConfigMap with another ledger in it; whatever else is there stays."""
    before: Mapping[str, str] = obj.get("data") or {}
    data = {_PLAN: ledger.plan, _DIGEST: digest_of(ledger.plan)}
    if ledger.plan != before.get(_PLAN):
        data |= _version(ledger.plan)
    lines = "".join(f"{line}\n" for line in _lines(ledger, before.get(_LEDGER, "")))
    return {**obj, "data": {**before, **data, _LEDGER: lines}}


def _version(plan: str) -> dict[str, str]:
    document = json.loads(plan)
    if _FORMAT not in document:
        return {}
    return {
        _WHOLE: hashlib.sha256(plan.encode()).hexdigest(),
        _FORMAT: str(document[_FORMAT]),
        _AUTHOR: document[_AUTHOR],
    }


def _lines(ledger: Ledger, before: str) -> Iterator[str]:
    """A line of each entry; one that is there stays, with what it may hold besides."""
    there = before.splitlines()
    for i, entry in enumerate(ledger.entries):
        if i < len(there) and _entry(there[i]) == entry:
            yield there[i]
        else:
            yield json.dumps(msgspec.to_builtins(_to_form(entry)))


def ledger_of(obj: Object) -> Ledger:
    """The ledger in a ConfigMap.

    Raises:
        ClusterError: it is damaged, with the line; or of a newer abctl.
    """
    place, number = str(Ref.of(obj)), 0
    try:
        data, entries = obj["data"], []
        version = data.get(_FORMAT, "1")
        known = int(version) if version.isdecimal() else version
        forms.require_known(place, known, FORMAT, data.get(_AUTHOR), ClusterError)
        for number, line in enumerate(data[_LEDGER].splitlines(), 1):  # noqa: B007 - for the error
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
    return ledger


def _to_form(entry: Entry) -> EntryForm:
    return EntryForm(
        at=format_moment(entry.at),
        actor=entry.actor,
        before=None if entry.before is None else _shares(entry.before),
        after=_shares(entry.after),
        why=entry.why,
        phase=entry.phase,
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
    )


_READS = msgspec.json.Decoder(EntryForm).decode


def _shares(split: Split) -> dict[str, int]:
    return dict(zip(split.names, split.shares_bp, strict=True))


def _split(shares_bp: dict[str, int]) -> Split:
    return Split(tuple(shares_bp), tuple(shares_bp.values()))
