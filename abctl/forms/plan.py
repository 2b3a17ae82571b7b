"""The plan that is locked when an experiment starts: what the user wrote, and what that means.

    format, writtenBy   the version of this form, and of the abctl
    spec                the file's spec word for word, without what may change (see `Ledger`)
    resolved            the same with every default filled in
    meaning             of each metric: which tests, per what they count, and whose counts

The first abctl wrote what is under `resolved` and nothing else. Defaults that are newer than a plan
change nothing for its experiment: what was locked holds.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from abctl import forms
from abctl.core.change import Change
from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.locked import NOT_LOCKED, locked_words, meant
from abctl.core.split import TOTAL_BP, Split
from abctl.errors import ClusterError
from abctl.forms import experiment as form

FORMAT = 2
Meaning = Mapping[str, Mapping[str, str]]
"""By metric."""

_RESTORE = "restore it from a backup, or delete the experiment and start it anew"


class PlanForm(forms.Form):
    """A plan since format 2; that of format 1 is a `Locked`."""

    format: int
    writtenBy: str  # noqa: N815 - as it is written
    spec: Mapping[str, Any] | None
    resolved: form.Locked
    meaning: Meaning


def locked_plan(experiment: Experiment, meaning: Meaning | None = None) -> str:
    """What must stay as it is from the first request on, as JSON.

    Args:
        experiment: what starts.
        meaning: what the defaults stand for besides their values.
    """
    written = experiment.written
    plan = PlanForm(
        format=FORMAT,
        writtenBy=forms.author(),
        spec=None if written is None else locked_words(written),
        resolved=forms.like(experiment, form.Locked),
        meaning=meaning or {},
    )
    return json.dumps(forms.plain_of(plan), sort_keys=True, indent=1)


def digest_of(plan: str) -> str:
    """The SHA-256 of what the user wrote, as canonical JSON; of the whole plan in format 1."""
    document = json.loads(plan)
    if "format" in document:
        spec = document.get("spec")
        plan = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(plan.encode()).hexdigest()


def as_locked(ledger: Ledger, experiment: Experiment) -> Experiment:
    """The experiment that runs: every part that is as it was locked has the values of then.

    Raises:
        ClusterError: the plan is damaged.
    """
    try:
        if ledger.without_plan:
            return experiment
        then = _then(ledger)
    except (forms.DamagedError, ValueError, AttributeError) as error:
        raise ClusterError(
            f"the locked plan of {experiment.name} is damaged ({error})", _RESTORE
        ) from None
    kept = {each.name for each in fields(experiment)} - NOT_LOCKED
    kept -= {*ledger.changed_since(experiment)}
    found = replace(experiment, **{name: getattr(then, name) for name in kept})
    return replace(found, meaning=ledger.meaning_of(experiment))


def when_locked(ledger: Ledger) -> Experiment:
    """The experiment as it was locked, with everything to the control.

    Raises:
        ClusterError: the plan is damaged.
    """
    try:
        return _then(ledger)
    except (forms.DamagedError, ValueError, AttributeError) as error:
        raise ClusterError(f"the locked plan is damaged ({error})", _RESTORE) from None


def _then(ledger: Ledger) -> Experiment:
    """What was locked; which has no split, so that the control has everything."""
    locked = forms.form_of(ledger.locked, form.Locked)
    names = [variant.name for variant in locked.variants]
    everything = Split(tuple(names), (TOTAL_BP, *([0] * (len(names) - 1))))
    plain = forms.plain_of(locked) | {"split": forms.plain_of(everything), "source": None}
    return forms.domain_of(plain, Experiment)


def first_difference(ledger: Ledger, experiment: Experiment) -> str:
    """Where what a file means first differs from what was locked, and in what."""
    parts = ledger.changed_since(experiment)
    now = meant(json.loads(ledger.plan), experiment)
    both = (forms.plain_of(asdict(each)) for each in (_then(ledger), now))
    changed = ({part: each[part] for part in parts} for each in both)
    operations = Change(*changed).json_patch()
    first = next(each for each in operations if each["op"] != "test")
    old = next(each.get("value") for each in operations if each["path"] == first["path"])
    place: str = first["path"].strip("/").replace("/", ".")
    if isinstance(old, dict | list) or first["op"] != "replace":
        return place
    return f"{place} is {first['value']}, was {old}"
