"""`abctl status`: how an experiment stands."""

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._output import Output, OutputOption, emit, say, when
from abctl.cli._place import (
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    StateOption,
    WhatArgument,
    find_place,
)
from abctl.cli._source import PrometheusConfigOption, PrometheusOption
from abctl.cli._tree import document
from abctl.cli._tree import shown as tree_shown
from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.errors import NotFoundError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from abctl.core.change import Object
    from abctl.core.experiment import Experiment
    from abctl.services.place import Place
    from abctl.services.status import Status

_WATCH_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(status)


def status(
    what: WhatArgument,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on, and answer again when it changes.")
    ] = False,
    *,
    prometheus: PrometheusOption = None,
    prometheus_config: PrometheusConfigOption = None,
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
    from abctl.services import status as service  # noqa: PLC0415

    place = find_place(what, state, kubeconfig, context, namespace)
    # The local stack has processes instead: abctl local status shows them.
    objects = _objects(place) if place.state is None else None
    last: Status | None = None
    while True:
        counts = _counts(place, prometheus, prometheus_config)
        found = service.status(
            place.door,
            place.platform,
            place.experiment,
            clock=place.door.now,
            counts=counts,
            objects=objects,
        )
        if place.adopted:  # there is no file whose plan could have changed
            found = replace(found, plan_changed=())
        # Time alone, which makes the current epoch longer, is no news.
        if last is None or replace(found, epochs=last.epochs) != last:
            emit("Status", _document(place.experiment, found), output, partial(_table, found))
            last = found
        if not watch:
            return
        time.sleep(_WATCH_SECONDS)


def _objects(place: "Place") -> "list[Object]":
    return [] if place.adopted else place.platform.objects(place.experiment)


def _counts(place: "Place", url: str | None, config: "Path | None") -> "Mapping[str, int] | None":
    """Requests since the last change; that nobody counts them is no reason to say nothing."""
    known = url or config or place.experiment.source or place.state
    if place.adopted or not known:
        return None
    from abctl.core.epochs import ledger_of  # noqa: PLC0415
    from abctl.services import ledger  # noqa: PLC0415
    from abctl.services.analyze import source_of  # noqa: PLC0415
    from abctl.services.observed import observed  # noqa: PLC0415
    from abctl.services.telemetry import telemetry  # noqa: PLC0415

    entries = ledger_of(ledger.read(place.door, place.experiment))
    try:
        source = source_of(
            place.experiment, place.state, url, prometheus_config=config, door=place.door
        )
        asked = telemetry(place.experiment, place.door)
        return observed(place.experiment, entries, source, asked)
    except (SourceError, NotFoundError) as error:
        say(f"nothing observed: {error.message}")
        return None


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
            "at": when(intent.at),
            "actor": intent.actor,
            "from": _shares(intent.before),
            "to": _shares(intent.after),
            "why": intent.why,
        },
        "epochs": [
            {
                "start": when(epoch.start),
                "end": when(epoch.end),
                "split": _shares(epoch.split),
                "certain": epoch.certain,
            }
            for epoch in found.epochs
        ],
        "planChanged": list(found.plan_changed),
        "unseen": list(found.unseen),
        "objects": None if found.tree is None else document(found.tree),
    }


def _table(found: "Status", wide: bool) -> object:
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, pad_edge=False)
    for column in ("VARIANT", "DESIRED", "ASKED", "PROGRAMMED", "OBSERVED"):
        shown.add_column(column, justify="left" if column == "VARIANT" else "right")
    splits = (found.desired, found.asked, found.programmed)
    for name in found.asked.names:
        shares = ("-" if split is None else format_share(split[name]) for split in splits)
        observed = found.observed and found.observed.get(name)
        seen = f"{observed.share:.2%} of {observed.count}" if observed else "-"
        shown.add_row(name, *shares, seen)
    # As Text, because reasons come from elsewhere and may have brackets, which rich would read.
    lines = (*_remarks(found), *(_epochs(found) if wide else ()))
    below = ("", tree_shown(found.tree, wide)) if found.tree else ()
    return Group(shown, *map(Text, lines), *below)


def _remarks(found: "Status") -> "Iterator[str]":
    if found.intent:
        yield f"{found.intent.actor} began to shift to {found.intent.after}: not finished"
    if found.drifted:
        yield "DRIFT: somebody changed the split without abctl; the next shift enters it"
    if found.refusal:
        yield f"NOT IN EFFECT: {found.refusal}"
    for message in found.unseen:
        yield f"NOT SEEN: {message}"
    if found.plan_changed:
        parts = ", ".join(found.plan_changed)
        yield f"PLAN CHANGED: {parts} of the file differ from what was locked at the start"


def _epochs(found: "Status") -> "Iterator[str]":
    for epoch in found.epochs:
        doubt = "" if epoch.certain else " (its end is not known exactly)"
        yield f"{when(epoch.start)} .. {when(epoch.end)}  {epoch.split}{doubt}"


def _shares(split: Split | None) -> dict[str, float] | None:
    return None if split is None else {name: split[name] / TOTAL_BP for name in split.names}
