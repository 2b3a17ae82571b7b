"""`abctl list`: the experiments of a namespace, or of all."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, say
from abctl.cli._session import ClusterOptions
from abctl.core.split import Split
from abctl.core.time import format_moment

if TYPE_CHECKING:
    from abctl.forms.tombstone import Tombstone
    from abctl.session.listing import Listed


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, list)


def list(  # noqa: A001 - the name of the command
    *,
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")
    ] = False,
    all: Annotated[bool, typer.Option("--all", help="Also those that were deleted.")] = False,  # noqa: A002 - the name of the option
    cluster: ClusterOptions,
    output: OutputOption = Output.table,
) -> None:
    """List experiments: the split, what happened last, and by whom; --all: also those that ended.

    abctl list -n models

    abctl list -A --all -o json
    """
    from abctl.cluster.kube import ClusterClient  # noqa: PLC0415 - slow to import
    from abctl.session import listing  # noqa: PLC0415 - as above

    client = ClusterClient(kubeconfig=cluster.kubeconfig, context=cluster.context)
    namespace = "" if all_namespaces else cluster.namespace or client.namespace
    place = f"namespace {namespace}" if namespace else "all namespaces"
    say(f"in {client.words}, {place}")
    found = listing.listed(client, namespace)
    over = listing.ended(client, namespace) if all else []
    rows = [*map(_running, found), *(_ended(where, each) for where, each in over)]
    emit("List", {"experiments": rows}, output, lambda _: _table(rows))


def _running(each: "Listed") -> dict[str, Any]:
    known, last = each.ledger, each.last
    first = known.entries[0] if known else None
    return {
        "name": each.name,
        "namespace": each.namespace,
        "target": each.target or None,
        "phase": "damaged" if last is None else "shifting" if last.phase == "intent" else "running",
        "split": _shares(known.present if known else None),
        "actor": last.actor if last else None,
        "since": format_moment(last.at) if last else None,
        "started": format_moment(first.at) if first else None,
        "ended": None,
        "salt": ((known.locked.get("assignment") or {}).get("salt") if known else None) or None,
        "verdict": None,
        "digest": None,
        "damage": each.damage or None,
    }


def _ended(place: str, each: "Tombstone") -> dict[str, Any]:
    return {
        "name": each.name,
        "namespace": place,
        "target": None,
        "phase": "ended",
        "split": each.split,
        "actor": None,
        "since": format_moment(each.ended),
        "started": format_moment(each.started),
        "ended": format_moment(each.ended),
        "salt": each.salt or None,
        "verdict": each.verdict or None,
        "digest": each.digest,
        "damage": None,
    }


def _shares(split: Split | None) -> str | None:
    return None if split is None else str(split)


def _table(rows: Sequence[dict[str, Any]]) -> object:
    from abctl.report.layout import Row, table  # noqa: PLC0415 - rich is slow to import

    if not rows:
        return "no experiments"
    shown = ("name", "namespace", "phase", "split", "since", "actor", "salt", "verdict")
    made = [Row({key.upper(): str(row[key] or "-") for key in shown}) for row in rows]
    return table(made, left=[key.upper() for key in shown])
