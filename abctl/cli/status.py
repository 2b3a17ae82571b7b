"""`abctl status`: how an experiment stands."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit
from abctl.cli._session import WhatArgument, WorldOptions, session_of
from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.cli._until import UntilOptions, Waiting
from abctl.core.split import Split, format_share
from abctl.core.time import format_moment
from abctl.report.tree import document
from abctl.report.tree import shown as tree_shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from abctl.core.experiment import Experiment
    from abctl.session.status import Status
    from abctl.session.views import View


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, status)


def status(
    what: WhatArgument,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Go on until Ctrl-C, and show what changes.")
    ] = False,
    *,
    waiting: UntilOptions,
    evidence: EvidenceOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Say which split is wanted, and which one is in effect.

    DESIRED is what the ledger says, ASKED what the object in the cluster asks for, PROGRAMMED what
    the platform reports to be in effect, OBSERVED what the variants really got. Below stands who
    counts each metric (the proxy's access log, its counters, the servers, the collector), and who
    stands beside; then the objects that carry the split, and the pods that are not ready.
    `-o wide` shows every condition, every pod and the epochs: which split there was since when.

    abctl status iris.yaml -w

    abctl status isvc/iris -n models -o wide

    abctl status iris.yaml --until completed --timeout 2h
    """
    waiting.require_fit(watch=watch)
    from abctl.session.status import StatusReader  # noqa: PLC0415 - numpy is slow to import

    session = with_evidence(session_of(what, world), evidence, ask=False)
    read = StatusReader(session)

    def answer(found: "Status") -> None:
        emit("Status", _document(session.experiment, found), output, partial(_table, found))

    if not watch and waiting.until is None:
        answer(read())
        return
    from abctl.cli._watch import Watch  # noqa: PLC0415

    wide, wait = output is Output.wide, Waiting(waiting)
    over = (lambda _: False) if watch else wait.over
    looking = Watch(read, answer, lambda found: _table(found, wide), _same, over=over)
    found = looking.follow(output)
    if not watch:
        wait.leave(found)


def _same(one: "Status", two: "Status") -> bool:
    """Time alone, which makes the current epoch longer, is no news."""
    return one == replace(two, epochs=one.epochs)


def _document(experiment: "Experiment", found: "Status") -> dict[str, Any]:
    intent = found.intent
    return {
        "experiment": experiment.name,
        "platform": experiment.platform,
        "desired": found.desired and found.desired.ratios,
        "asked": found.asked.ratios,
        "programmed": found.programmed and found.programmed.ratios,
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
            "from": intent.before and intent.before.ratios,
            "to": intent.after.ratios,
            "why": intent.why,
        },
        "epochs": [
            {
                "start": format_moment(epoch.start),
                "end": format_moment(epoch.end),
                "split": epoch.split.ratios,
                "certain": epoch.certain,
            }
            for epoch in found.epochs
        ],
        "countsFrom": None if found.counts_from is None else format_moment(found.counts_from),
        "leftOut": found.left_out and dict(found.left_out),
        "planChanged": list(found.plan_changed),
        "unseen": list(found.unseen),
        "otherVariants": found.other_variants,
        "notReady": dict(found.unable),
        "views": [
            {
                "metric": each.metric,
                "by": _view(each.by),
                "beside": [_view(other) for other in each.beside],
            }
            for each in found.views
        ],
        "silent": [reason.document() for reason in found.silent],
        "objects": None if found.tree is None else document(found.tree),
    }


def _view(view: "View") -> dict[str, Any]:
    return {"who": view.who, "preset": view.preset, "counts": view.counts}


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
    views = [
        Row(
            {
                "METRIC": each.metric,
                "COUNTED BY": each.by.text,
                "BESIDE": ", ".join(other.text for other in each.beside) or "-",
            }
        )
        for each in found.views
    ]
    return Group(table(rows), *lines, *(("", table(views)) if views else ()), *below)


def _remarks(found: "Status") -> "Iterator[str]":
    if found.intent:
        yield f"{found.intent.actor} began to shift to {found.intent.after}: not finished"
    if found.other_variants:
        yield f"OTHER VARIANTS: {found.other_variants}"
    elif found.drifted:
        yield "DRIFT: the split was changed without abctl; the next shift enters it"
    if found.refusal:
        yield f"NOT IN EFFECT: {found.refusal}"
    for name, why in found.unable.items():
        yield f"NOT READY: {name}: {why}"
    for reason in found.silent:
        yield f"NO GOOD ANSWER: {reason.text}"
    for message in found.unseen:
        yield f"NOT SEEN: {message}"
    if found.left_out and any(found.left_out.values()):
        counts = ", ".join(f"{name} {count:,}" for name, count in found.left_out.items())
        when = "" if found.counts_from is None else format_moment(found.counts_from, "seconds")
        until = f"; they count from {when} on" if when else ""
        yield f"LEFT OUT: requests around the last change of the split: {counts}{until}"
    if found.plan_changed:
        parts = ", ".join(found.plan_changed)
        differ = "differs" if len(found.plan_changed) == 1 else "differ"
        yield f"PLAN CHANGED: {parts} of the file {differ} from what was locked at the start"


def _share(split: Split | None, name: str) -> str:
    share = None if split is None else split.get(name)
    return "-" if share is None else format_share(share)


def _epochs(found: "Status") -> "Iterator[str]":
    for epoch in found.epochs:
        doubt = "" if epoch.certain else " (its end is not known exactly)"
        period = f"{format_moment(epoch.start)} .. {format_moment(epoch.end)}"
        yield f"{period}  {epoch.split}{doubt}"
    last = found.epochs[-1].split if found.epochs else None
    if found.counts_from is not None and found.desired not in (None, last):
        yield f"{format_moment(found.counts_from)} ..  {found.desired}: counts from then on"
