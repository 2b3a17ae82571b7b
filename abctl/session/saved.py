"""Saves what a judgement takes, of counters, of tables or of both, and reads it again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from abctl import forms
from abctl.analysis.judge_units import OfUnits
from abctl.evidence import saved
from abctl.evidence.evidence import Evidence
from abctl.forms import units as units_form
from abctl.forms.evidence import Arrays
from abctl.forms.plan import as_locked
from abctl.sources import file
from abctl.tables import saved as saved_units


def save(path: Path, counters: Evidence | None, units: OfUnits | None) -> None:
    """Write evidence, whole or not at all.

    Args:
        path: of the file.
        counters: what they say; None for an experiment of tables alone.
        units: what tables say.

    Raises:
        UsageError: the file cannot be written.
        SourceError: it would be too large to be read again.
    """
    if units is None:
        assert counters is not None, "an experiment takes its metrics from somewhere"
        saved.save(path, counters)
        return
    document: dict[str, Any] = {}
    arrays, alone = Arrays(), None
    if counters is None:
        alone = replace(units.experiment, source=None, written=None), units.ledger
    else:
        document, arrays = saved.document_of(counters)
    document["units"] = saved_units.plain_of(units.evidence, arrays, alone)
    file.save(path, document, arrays.found, units_form.FORMAT)


def load(path: Path) -> tuple[Evidence | None, OfUnits | None]:
    """Read what was saved.

    Raises:
        SourceError: no such file, damaged, cut short, of a newer abctl, or something else.
    """
    document, arrays = file.load(path)
    if "units" not in document:
        return saved.load(path), None
    try:
        counters, buckets = None, None
        if "evidence" in document:
            counters = saved.evidence_of(document, arrays)
            buckets = counters.experiment.assignment.buckets
        evidence, experiment, ledger = saved_units.evidence_of(document["units"], arrays, buckets)
    except forms.DamagedError as error:
        file.damaged(path, str(error))
    if counters is not None:
        experiment, ledger = counters.experiment, counters.ledger
    assert experiment is not None, "else it is damaged"
    locked = experiment if ledger is None else as_locked(ledger, experiment)
    return counters, OfUnits(locked, evidence, ledger)
