"""What remains of an experiment whose ledger was deleted, so that its salt is not used twice.

A ConfigMap `abctl-ended-NAME-...` with the label `abctl.dev/ended`, and one key: `tombstone.json`.
"""

import hashlib
import json
from dataclasses import dataclass

import msgspec

from abctl import forms
from abctl.core.change import Object
from abctl.core.ledger import LEDGER_PREFIX, Ledger
from abctl.core.time import format_moment, parse_moment
from abctl.forms.plan import digest_of

ENDED = "abctl.dev/ended"
_KEY = "tombstone.json"


@dataclass(frozen=True)
class Tombstone:
    """An experiment that is over.

    >>> Tombstone("iris", "user", "x-user-id", "salt-1", 0.0, 60.0, "ship", "90/10", "").salt
    'salt-1'

    Attributes:
        name: of the experiment.
        unit, key, salt: how units were assigned.
        started, ended: unix seconds.
        verdict: the last one, as far as it is known; else empty.
        split: the last one.
        digest: of the plan, as the user wrote it.
    """

    name: str
    unit: str
    key: str
    salt: str
    started: float
    ended: float
    verdict: str
    split: str
    digest: str


class TombstoneForm(forms.Form):
    """As it is written."""

    name: str
    started: str
    ended: str
    unit: str = ""
    key: str = ""
    salt: str = ""
    verdict: str = ""
    split: str = ""
    digest: str = ""


def tombstone(name: str, ledger: Ledger, ended: float, verdict: str = "") -> Tombstone:
    """Of an experiment whose ledger is about to go.

    Args:
        name: of the experiment.
        ledger: as it was at the end.
        ended: unix seconds.
        verdict: the last one, if it is known.
    """
    rules = ledger.locked.get("assignment") or {}
    unit, key, salt = (str(rules.get(part) or "") for part in ("unit", "key", "salt"))
    split = ledger.present or ledger.wanted
    digest = digest_of(ledger.plan)
    started = ledger.entries[0].at
    return Tombstone(name, unit, key, salt, started, ended, verdict, str(split), digest)


def object_of(found: Tombstone, namespace: str) -> Object:
    """The ConfigMap; its name is another one for each that ended."""
    form = TombstoneForm(
        name=found.name,
        started=format_moment(found.started),
        ended=format_moment(found.ended),
        unit=found.unit,
        key=found.key,
        salt=found.salt,
        verdict=found.verdict,
        split=found.split,
        digest=found.digest,
    )
    text = json.dumps(msgspec.to_builtins(form), indent=1)
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]
    meta = {
        "name": f"{LEDGER_PREFIX}ended-{found.name}-{mark}",
        "namespace": namespace,
        "labels": {ENDED: "true"},
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {_KEY: text}}


def tombstone_of(obj: Object) -> Tombstone | None:
    """What a ConfigMap says; None where it is damaged, as nothing depends on it alone."""
    try:
        form = msgspec.json.decode(obj["data"][_KEY], type=TombstoneForm)
        moments = parse_moment(form.started), parse_moment(form.ended)
    except (LookupError, TypeError, ValueError):
        return None
    return Tombstone(
        form.name,
        form.unit,
        form.key,
        form.salt,
        *moments,
        form.verdict,
        form.split,
        form.digest,
    )
