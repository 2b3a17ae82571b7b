"""What was counted in tables as plain data, and back, so that it can be judged elsewhere.

Of the tables it says what rows are taken, and not where they are: no addresses, no connection.
"""

from collections.abc import Sequence
from typing import Any, cast

from abctl import forms
from abctl.core.experiment import Experiment, Metric
from abctl.core.ledger import Ledger
from abctl.core.split import Split
from abctl.core.tables import Engine, Rows, Tables
from abctl.forms import evidence as evidence_form
from abctl.forms import experiment as experiment_form
from abctl.forms import units as form
from abctl.forms.evidence import Array, Arrays, array_at
from abctl.tables import summed
from abctl.tables.unit_sql import Grid, Period
from abctl.tables.units import Changed, Checked, UnitEvidence
from abctl.tables.warehouse_sql import Asked


def plain_of(
    evidence: UnitEvidence, arrays: Arrays, alone: tuple[Experiment, Ledger | None] | None = None
) -> Any:
    """Plain data.

    Args:
        evidence: what was counted.
        arrays: of the document, to which its sums are added.
        alone: the experiment without its source, and its ledger, where nothing else says them.
    """
    asked, grid = evidence.asked, evidence.grid
    found = form.Units(
        place=evidence.place,
        asked=forms.like(asked, form.Asked),
        periods=tuple(forms.like(each, form.Period) for each in grid.periods),
        first=grid.first,
        hashed=grid.hashed,
        splits=tuple(forms.like(each, experiment_form.Split) for each in evidence.splits),
        exposures=tuple((k, forms.like(v, form.Checked)) for k, v in evidence.exposures.items()),
        events=tuple((k, forms.like(v, form.Checked)) for k, v in evidence.events.items()),
        caps=tuple(evidence.caps.items()),
        cells=summed.form_of(evidence.cells, asked),
        through=evidence.through,
        changed=tuple(forms.like(each, form.Changed) for each in evidence.changed),
        segments=summed.segment_forms(evidence.segments, asked),
    )
    if alone is not None:
        experiment, ledger = alone
        found.experiment = forms.like(experiment, experiment_form.Experiment)
        found.ledger = None if ledger is None else forms.like(ledger, evidence_form.Ledger)
    return forms.plain_of(found, hook=arrays.number)


def evidence_of(
    plain: Any, arrays: Sequence[Array], buckets: int | None = None
) -> tuple[UnitEvidence, Experiment | None, Ledger | None]:
    """What was counted, and the experiment and its ledger as far as they were saved with it.

    Args:
        plain: as it was read.
        arrays: of the document.
        buckets: of the experiment; None where it is saved with it.

    Raises:
        DamagedError: it is not what its form says.
    """
    found = forms.form_of(plain, form.Units, "units", dec_hook=array_at(arrays))
    experiment = ledger = None
    if found.experiment is not None:
        experiment = forms.domain_of(found.experiment, Experiment, "units.experiment")
        buckets = experiment.assignment.buckets
    if found.ledger is not None:
        ledger = forms.domain_of(found.ledger, Ledger, "units.ledger")
    if buckets is None:
        raise forms.DamagedError("units.experiment: there is none")
    asked = _asked(found.asked)
    periods = tuple(forms.domain_of(each, Period, "units.periods") for each in found.periods)
    counted = UnitEvidence(
        place=found.place,
        asked=asked,
        grid=Grid(periods, found.first, asked.tables.zone, found.hashed),
        splits=tuple(forms.domain_of(each, Split, "units.splits") for each in found.splits),
        exposures={k: forms.domain_of(v, Checked) for k, v in found.exposures},
        events={k: forms.domain_of(v, Checked) for k, v in found.events},
        caps=dict(found.caps),
        cells=summed.cells_in(found.cells, asked, buckets),
        through=found.through,
        changed=tuple(forms.domain_of(each, Changed) for each in found.changed),
        segments=summed.segments_in(found.segments, asked, buckets),
    )
    return counted, experiment, ledger


def _asked(found: form.Asked) -> Asked:
    exposures, events = (
        forms.domain_of(each, Rows) for each in (found.tables.exposures, found.tables.events)
    )
    return Asked(
        Tables(
            cast("Engine", found.tables.engine),
            exposures,
            events,
            timezone=found.tables.timezone,
            late_seconds=found.tables.late_seconds,
        ),
        found.names,
        tuple(forms.domain_of(each, Metric, "units.asked.metrics") for each in found.metrics),
        found.since,
        found.until,
    )
