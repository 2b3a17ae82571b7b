"""Options that say where the evidence is, each defined once; and whose secrets lead there."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._consent import require_consent
from abctl.cli._output import say

if TYPE_CHECKING:
    from abctl.session.session import Session

PrometheusOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="ABCTL_PROMETHEUS_URL",
        help="Where the counters are, if not where the experiment or its stack says.",
    ),
]
PrometheusConfigOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        envvar="ABCTL_PROMETHEUS_CONFIG",
        help="How to reach it: a file with what source.prometheus may hold (see abctl schema).",
    ),
]
AllowCredentialsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-credentials",
        metavar="HOST",
        envvar="ABCTL_ALLOW_CREDENTIALS",
        help="Where the secrets may be sent that the experiment file names; may be given again.",
    ),
]


@dataclass(frozen=True)
class EvidenceOptions:
    """Where the evidence is."""

    prometheus: PrometheusOption = None
    prometheus_config: PrometheusConfigOption = None
    allow_credentials: AllowCredentialsOption = None


def with_evidence(session: "Session", given: EvidenceOptions, *, ask: bool = True) -> "Session":
    """The session with where its evidence is, and whether the secrets of its file may be sent.

    Where somebody is there they are asked, unless they have named the host. What the user names
    by --prometheus-config is theirs to send.

    Raises:
        Interrupted: there was no answer.
        typer.Exit: the answer was no.
    """
    from abctl.spec import reach  # noqa: PLC0415 - only where there is an experiment

    session = replace(
        session,
        prometheus_url=given.prometheus,
        prometheus_config=given.prometheus_config,
    )
    of_the_file = not (given.prometheus or given.prometheus_config)
    found = reach.sending(session.experiment, counters=of_the_file)
    if found is None:
        return session
    if not found.allowed_by(given.allow_credentials or ()):
        if not (ask and sys.stdin.isatty()):
            return session  # whoever reads the evidence says what to do
        require_consent(
            f"The experiment file wants to send {found}. Send it?",
            yes=False,
            unasked="--allow-credentials HOST",
        )
    say(f"sending {found}")
    return replace(session, experiment=reach.agreed(session.experiment))
