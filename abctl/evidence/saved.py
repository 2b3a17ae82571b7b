"""Saves evidence to a file and reads it again, so that it can be judged elsewhere and later."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from abctl import forms
from abctl.core.answers import Silence
from abctl.core.experiment import Experiment
from abctl.core.ledger import Ledger
from abctl.core.polls import Window
from abctl.evidence.evidence import Evidence, Unread
from abctl.evidence.increments import Samples
from abctl.forms import evidence as form
from abctl.forms.experiment import Experiment as ExperimentForm
from abctl.metrics.presets import Preset
from abctl.metrics.queries import MetricQueries
from abctl.sources import Series, file

# What tables say beside it, which others read.
_UNITS = "units"


def save(path: Path, evidence: Evidence) -> None:
    """Write evidence, whole or not at all.

    Raises:
        UsageError: the file cannot be written.
        SourceError: it would be too large to be read again.
    """
    document, arrays = document_of(evidence)
    file.save(path, document, arrays.found)


def document_of(evidence: Evidence) -> tuple[dict[str, Any], form.Arrays]:
    """Plain data, and the arrays that it names by number."""
    kept = evidence.unread
    arrays = form.Arrays(kept.arrays)
    plain = forms.plain_of(_form(evidence), hook=arrays.number)
    found: dict[str, Any] = forms.with_unknown({"evidence": plain}, kept.fields)
    return found, arrays


def load(path: Path) -> Evidence:
    """Read evidence that was saved.

    Raises:
        SourceError: no such file, damaged, cut short, of a newer abctl, or something else.
    """
    document, arrays = file.load(path)
    try:
        return evidence_of(document, arrays)
    except forms.DamagedError as error:
        file.damaged(path, str(error))


def evidence_of(document: Mapping[str, Any], arrays: Sequence[form.Array]) -> Evidence:
    """What plain data stand for.

    Raises:
        DamagedError: they are not what their form says.
    """
    hook = form.array_at(arrays)
    found = forms.form_of(document.get("evidence"), form.Evidence, "evidence", dec_hook=hook)
    numbers = {id(array): i for i, array in enumerate(arrays)}
    plain = forms.plain_of(found, hook=lambda array: numbers[id(array)])
    unknown = forms.unknown({k: v for k, v in document.items() if k != _UNITS}, {"evidence": plain})
    return _domain(found, Unread(unknown, tuple(arrays) if unknown else ()))


def _form(evidence: Evidence) -> form.Evidence:
    return form.Evidence(
        experiment=forms.like(evidence.experiment, ExperimentForm),
        ledger=forms.like(evidence.ledger, form.Ledger),
        telemetry=_telemetry_form(evidence.telemetry),
        place=evidence.place,
        now=evidence.now,
        samples=None if evidence.samples is None else _samples_form(evidence.samples),
        ahead_seconds=evidence.ahead_seconds,
        silences=tuple(forms.like(each, form.Silence) for each in evidence.silences),
        recent=None if evidence.recent is None else tuple(map(_samples_form, evidence.recent)),
    )


def _telemetry_form(asked: MetricQueries) -> form.MetricQueries:
    plain = asdict(asked.preset)
    plain["by_per"] = {name: tuple(of.items()) for name, of in asked.preset.by_per.items()}
    plain["named"] = {name: tuple(of.items()) for name, of in asked.preset.named.items()}
    plain["outcome"] = tuple(asked.preset.outcome.items())
    plain["by_unit"] = tuple(asked.preset.by_unit.items())
    preset = forms.form_of(plain, form.Preset)
    names = {v: {n: tuple(each) for n, each in of.items()} for v, of in asked.names.items()}
    clients = None if asked.clients is None else _telemetry_form(asked.clients)
    return form.MetricQueries(name=asked.name, preset=preset, names=names, clients=clients)


def _samples_form(samples: Samples) -> form.Samples:
    return form.Samples(
        place=samples.place,
        windows=tuple(
            form.Window(epoch=w.epoch, start=w.start, end=w.end) for w in samples.windows
        ),
        now=samples.now,
        interval_seconds=samples.interval_seconds,
        found={s: tuple(map(_series_form, found)) for s, found in samples.found.items()},
        starts=tuple((target, _series_form(each)) for target, each in samples.starts.items()),
        scraped=tuple(samples.scraped.items()),
        unreadable=samples.unreadable,
        absent=samples.absent,
    )


def _series_form(series: Series) -> form.Series:
    return form.Series(labels=series.labels, times=series.times, values=series.values)


def _domain(found: form.Evidence, unread: Unread) -> Evidence:
    return Evidence(
        experiment=forms.domain_of(found.experiment, Experiment, "evidence.experiment"),
        ledger=forms.domain_of(found.ledger, Ledger, "evidence.ledger"),
        telemetry=_telemetry(found.telemetry),
        place=found.place,
        now=found.now,
        samples=None if found.samples is None else _samples(found.samples),
        ahead_seconds=found.ahead_seconds,
        silences=tuple(forms.domain_of(each, Silence) for each in found.silences),
        recent=None if found.recent is None else tuple(map(_samples, found.recent)),
        unread=unread,
    )


def _telemetry(found: form.MetricQueries) -> MetricQueries:
    fields = forms.plain_of(found.preset)
    fields["by_per"] = {name: dict(of) for name, of in found.preset.by_per.items()}
    fields["named"] = {name: dict(of) for name, of in found.preset.named.items()}
    fields["outcome"] = dict(found.preset.outcome)
    fields["by_unit"] = dict(found.preset.by_unit)
    preset = forms.domain_of(fields, Preset, "evidence.telemetry.preset")
    clients = None if found.clients is None else _telemetry(found.clients)
    return MetricQueries(found.name, preset, found.names, clients)


def _samples(found: form.Samples) -> Samples:
    return Samples(
        place=found.place,
        windows=tuple(Window(w.epoch, w.start, w.end) for w in found.windows),
        now=found.now,
        interval_seconds=found.interval_seconds,
        found={
            selector: tuple(_series(each, f"samples.found[{selector!r}]") for each in series)
            for selector, series in found.found.items()
        },
        starts={target: _series(each, "samples.starts") for target, each in found.starts},
        scraped=dict(found.scraped),
        unreadable=found.unreadable,
        absent=found.absent,
    )


def _series(found: form.Series, place: str) -> Series:
    try:
        return Series(found.labels, found.times, found.values)
    except ValueError as error:
        raise forms.DamagedError(f"evidence.{place}: {error}") from None
