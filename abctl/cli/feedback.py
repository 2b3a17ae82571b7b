"""`abctl feedback`: what happened after predictions, from a file."""

from pathlib import Path
from typing import Annotated

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, tell
from abctl.cli._progress import requests_bar
from abctl.cli._session import ExperimentArgument, StateOption

_SOME_REFUSED = 3


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, feedback)


def feedback(
    experiment: ExperimentArgument,
    labels: Annotated[
        Path, typer.Argument(help="CSV or JSON lines: token, value, and maybe outcome, id and at.")
    ],
    *,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="ABCTL_FEEDBACK_URL", help="The entrance; left out, that of the local stack."
        ),
    ] = None,
    state: StateOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Report what happened after predictions: labels that come a day later, from a file.

    Each answer of a model server carries a token, in the header x-ab-token and in its parameters.
    A row has the token and the value. The whole file may be sent again: nothing counts twice.

    abctl feedback iris.yaml labels.csv

    abctl feedback iris.yaml labels.jsonl --url https://models.example.com
    """
    from abctl.session import reports as service  # noqa: PLC0415
    from abctl.session.local_stack import default_state, entrance_url  # noqa: PLC0415
    from abctl.spec import load  # noqa: PLC0415

    loaded = load(experiment)
    found = service.rows(labels, loaded)
    if url is None:
        url = entrance_url(loaded, state or default_state(loaded.name))
    with requests_bar("reports") as bar:
        task = bar.add_task("", total=len(found))
        sent = service.send(url, loaded, found, lambda done, _all: bar.update(task, completed=done))
    refused = sum(sent.refused.values())
    answer = {
        "counted": sent.counted,
        "duplicates": sent.duplicates,
        "refused": [
            {"reason": why, "count": n, "first": sent.first[why]} for why, n in sent.refused.items()
        ],
    }
    words = f"{sent.counted:,} counted, {sent.duplicates:,} reported before, {refused:,} refused"
    emit("Feedback", answer, output, lambda _: words)
    for why, n in sent.refused.most_common():
        tell(f"refused {n:,}: {why} (first: {sent.first[why][0]})")
    if refused:
        raise typer.Exit(_SOME_REFUSED)
