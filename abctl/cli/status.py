"""`abctl status`: how an experiment stands."""

import time
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._place import (
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    StateOption,
    WhatArgument,
    find_place,
)
from abctl.cli._source import (
    AllowCredentialsOption,
    PrometheusConfigOption,
    PrometheusOption,
    with_credentials,
)
from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.core.time import format_duration, format_moment
from abctl.errors import NotFoundError, SourceError
from abctl.report.tree import document
from abctl.report.tree import shown as tree_shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from abctl.core.change import Object
    from abctl.core.experiment import Experiment
    from abctl.session.place import Place
    from abctl.session.status import Status

_COUNT_SECONDS = 15.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    what: WhatArgument,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C, and show what changes.")
    ] = False,
    *,
    prometheus: PrometheusOption = None,
    prometheus_config: PrometheusConfigOption = None,
    allow_credentials: AllowCredentialsOption = None,
    state: StateOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Say which split is wanted, and which one is in effect.

    DESIRED is what the ledger says, ASKED what the object in the cluster asks for, PROGRAMMED what
    the platform reports to be in effect, OBSERVED what the variants really got. Below are the
    objects that carry it, and the pods that are not ready. `-o wide` shows every condition, every
    pod and the epochs: which split there was since when.

    abctl status iris.yaml -w

    abctl status isvc/iris -n models -o wide
    """
    place = find_place(what, state, kubeconfig, context, namespace)
    place = with_credentials(place, prometheus, prometheus_config, allow_credentials, ask=False)
    looks = _Looks(place, prometheus, prometheus_config)

    def answer(found: "Status") -> None:
        emit("Status", _document(place.experiment, found), output, partial(_table, found))

    if watch:
        from abctl.cli._watch import Watch  # noqa: PLC0415

        wide = output is Output.wide
        Watch(looks, answer, lambda found: _table(found, wide), _same).follow(output)
    else:
        answer(looks())


class _Looks:
    """Looks at an experiment, as often as it is called."""

    def __init__(self, place: "Place", url: str | None, config: "Path | None") -> None:
        self._place, self._url, self._config = place, url, config
        # The local stack has processes instead: abctl local status shows them.
        self._objects = _objects(place) if place.state is None else None
        self._counted_at = -inf
        self._counted_of: object = None
        self._counts: Mapping[str, int] | None = None
        self._uncounted = ""

    def __call__(self) -> "Status":
        # Counters are scraped every so often.
        if time.monotonic() - self._counted_at >= _COUNT_SECONDS:
            self._count()
        found = self._status()
        # What was counted of another split says nothing of this one.
        split = found.desired, found.asked, found.intent
        if self._counted_of not in (None, split):
            self._count()
            found = self._status()
        self._counted_of = split
        unseen = (*found.unseen, *filter(None, [self._uncounted]))
        # Without a file there is no plan that could have changed.
        changed = () if self._place.adopted else found.plan_changed
        return replace(found, unseen=unseen, plan_changed=changed)

    def _count(self) -> None:
        self._counts, self._uncounted = _counts(self._place, self._url, self._config)
        self._counted_at = time.monotonic()

    def _status(self) -> "Status":
        from abctl.session import status as service  # noqa: PLC0415

        place = self._place
        return service.status(
            place.door,
            place.platform,
            place.experiment,
            clock=place.door.now,
            counts=self._counts,
            objects=self._objects,
            ready=place.ready if place.state else None,
        )


def _same(one: "Status", two: "Status") -> bool:
    """Time alone, which makes the current epoch longer, is no news."""
    return one == replace(two, epochs=one.epochs)


def _objects(place: "Place") -> "list[Object]":
    return [] if place.adopted else place.platform.objects(place.experiment)


def _counts(
    place: "Place", url: str | None, config: "Path | None"
) -> "tuple[Mapping[str, int] | None, str]":
    """Requests since the last change, or why nobody can tell: no reason to say nothing else."""
    known = url or config or place.experiment.source or place.state
    if place.adopted or not known:
        return None, ""
    from abctl.forms.ledger import ledger_of  # noqa: PLC0415
    from abctl.session import analyze, ledger  # noqa: PLC0415
    from abctl.session.status import observed  # noqa: PLC0415

    entries = ledger_of(ledger.read(place.door, place.experiment))
    try:
        source = analyze.source_of(
            place.experiment, place.state, url, prometheus_config=config, door=place.door
        )
        asked = analyze.telemetry(place.experiment, place.door)
        counts = observed(place.experiment, entries, source, asked)
    except (SourceError, NotFoundError) as error:
        return None, f"requests: {error.message}"
    if counts and any(counts.values()):
        return counts, ""
    settle = format_duration(place.experiment.design.settle_seconds)
    return None, (
        f"requests: none counts yet; what comes in the first {settle} after a change of the split "
        "is left out (design.settle)"
    )


def _document(experiment: "Experiment", found: "Status") -> dict[str, Any]:
    intent = found.intent
    return {
        "experiment": experiment.name,
        "platform": experiment.platform,
        "desired": _shares(found.desired),
        "asked": _shares(found.asked),
        "programmed": _shares(found.programmed),
        "refusal": found.refusal,
        "observed": found.observed
        and {
            name: {"count": o.count, "share": o.share, "interval": list(o.interval)}
            for name, o in found.observed.items()
        },
        "drifted": found.drifted,
        "intent": intent
        and {
            "at": format_moment(intent.at),
            "actor": intent.actor,
            "from": _shares(intent.before),
            "to": _shares(intent.after),
            "why": intent.why,
        },
        "epochs": [
            {
                "start": format_moment(epoch.start),
                "end": format_moment(epoch.end),
                "split": _shares(epoch.split),
                "certain": epoch.certain,
            }
            for epoch in found.epochs
        ],
        "planChanged": list(found.plan_changed),
        "unseen": list(found.unseen),
        "otherVariants": found.other_variants,
        "notReady": dict(found.unable),
        "objects": None if found.tree is None else document(found.tree),
    }


def _table(found: "Status", wide: bool) -> object:
    from rich.console import Group  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from abctl.report.layout import Row, table  # noqa: PLC0415
    from abctl.report.prose import prose  # noqa: PLC0415

    splits = {"DESIRED": found.desired, "ASKED": found.asked, "PROGRAMMED": found.programmed}
    rows = []
    for name in found.asked.names:
        shares = {what: _share(split, name) for what, split in splits.items()}
        observed = found.observed and found.observed.get(name)
        seen = f"{observed.share:.2%} ({observed.count:,})" if observed else "-"
        rows.append(Row({"VARIANT": name, **shares, "OBSERVED": seen}))
    # As Text, because reasons come from elsewhere and may have brackets, which rich would read.
    lines = [Text(prose(each)) for each in (*_remarks(found), *(_epochs(found) if wide else ()))]
    below = ("", tree_shown(found.tree, wide)) if found.tree else ()
    return Group(table(rows), *lines, *below)


def _remarks(found: "Status") -> "Iterator[str]":
    if found.intent:
        yield f"{found.intent.actor} began to shift to {found.intent.after}: not finished"
    if found.other_variants:
        yield f"OTHER VARIANTS: {found.other_variants}"
    elif found.drifted:
        yield "DRIFT: somebody changed the split without abctl; the next shift enters it"
    if found.refusal:
        yield f"NOT IN EFFECT: {found.refusal}"
    for name, why in found.unable.items():
        yield f"NOT READY: {name}: {why}"
    for message in found.unseen:
        yield f"NOT SEEN: {message}"
    if found.plan_changed:
        parts = ", ".join(found.plan_changed)
        yield f"PLAN CHANGED: {parts} of the file differ from what was locked at the start"


def _share(split: Split | None, name: str) -> str:
    share = None if split is None else split.get(name)
    return "-" if share is None else format_share(share)


def _epochs(found: "Status") -> "Iterator[str]":
    for epoch in found.epochs:
        doubt = "" if epoch.certain else " (its end is not known exactly)"
        period = f"{format_moment(epoch.start)} .. {format_moment(epoch.end)}"
        yield f"{period}  {epoch.split}{doubt}"


def _shares(split: Split | None) -> dict[str, float] | None:
    return None if split is None else {name: split[name] / TOTAL_BP for name in split.names}
