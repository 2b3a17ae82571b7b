"""Options of a table of events, and its analysis: no experiment file, no ledger, no cluster."""

import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._progress import questions_bar
from abctl.errors import UsageError

if TYPE_CHECKING:
    from abctl.core.analysis import Analysis

_MOST_ALPHA = 0.5  # as in an experiment file
_PANEL = "A table of events (without an experiment file)"


@dataclass(frozen=True)
class EventOptions:
    """What is asked of a table."""

    events: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            rich_help_panel=_PANEL,
            help="Judge a log of one's own: CSV, JSON lines, Parquet, a glob, or - for stdin.",
        ),
    ] = None
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="csv|jsonl|parquet",
            rich_help_panel=_PANEL,
            help="What it is, if its ending does not say so.",
        ),
    ] = None
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", rich_help_panel=_PANEL, help="The column of the variant (required)."
        ),
    ] = None
    control: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", rich_help_panel=_PANEL, help="Which of its values is the control."
        ),
    ] = None
    unit: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=_PANEL,
            help="The column of who was assigned, such as user_id; else each row is a unit.",
        ),
    ] = None
    at: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=_PANEL,
            help="The column of when a row was: retention(7d, 14d) needs it.",
        ),
    ] = None
    paired: Annotated[
        bool | None,
        typer.Option(
            "--paired",
            rich_help_panel=_PANEL,
            help="Both variants answered each unit (--unit request_id), as a shadow does.",
        ),
    ] = None
    answer: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=_PANEL,
            help="With --paired: what was answered; pairs whose answers agree need no label.",
        ),
    ] = None
    split: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            rich_help_panel=_PANEL,
            help="As it was ordered: 90/10 (the control first), or v1=90%,v2=10%; else equal.",
        ),
    ] = None
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            rich_help_panel=_PANEL,
            help="'accuracy: mean(correct)'; mean, share, sum, count, p50 to p99. The first is "
            "the primary.",
        ),
    ] = None
    guardrail: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            rich_help_panel=_PANEL,
            help="The same with a margin: 'latency: p95(latency_ms) +10%'.",
        ),
    ] = None
    segment: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            rich_help_panel=_PANEL,
            help="Results and split of each of its values besides, such as country.",
        ),
    ] = None
    primary: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=_PANEL, help="Which metric decides."),
    ] = None
    alpha: Annotated[
        float | None,
        typer.Option(metavar="ALPHA", rich_help_panel=_PANEL, help="The error rate: 0.05."),
    ] = None
    mde: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            rich_help_panel=_PANEL,
            help="The smallest effect worth finding, 2% or 1pp: says whether the log can show it.",
        ),
    ] = None

    def require_none(self) -> None:
        """That none is given where there is no table.

        Raises:
            UsageError: one is.
        """
        for field in fields(self):
            if getattr(self, field.name) not in (None, [], ()):
                option = f"--{field.name.rstrip('_')}"
                raise UsageError(
                    f"{option} works only with --events", f"--events FILE {option} ..."
                )

    def require_alone(self, *others: object) -> None:
        """That nothing else says what is to be judged.

        Raises:
            UsageError: something does.
        """
        if any(other is not None for other in others):
            hint = "leave them out: a table is judged by itself"
            if self.events is not None and others[0] is not None:
                # A shell that is given a glob without quotes makes several words of it.
                hint += "; a glob of tables needs quotes: --events 'logs/*.csv'"
            raise UsageError(
                "--events goes with no experiment file, --from, --save, --watch, --path, --dry-run",
                hint,
            )


def analyze_events(given: EventOptions) -> "Analysis":
    """Count, and judge.

    Raises:
        UsageError: an option that is missing, or cannot be read.
        SourceError: the table cannot be read.
    """
    from abctl.analysis.paired_table import judge_pairs  # noqa: PLC0415
    from abctl.analysis.table import judge_table  # noqa: PLC0415
    from abctl.core.delta import parse_delta  # noqa: PLC0415
    from abctl.tables.count import count, ordered  # noqa: PLC0415
    from abctl.tables.engine import opened  # noqa: PLC0415
    from abctl.tables.paired import count_pairs  # noqa: PLC0415
    from abctl.tables.question import Question, with_roles  # noqa: PLC0415
    from abctl.tables.running import Running  # noqa: PLC0415

    assert given.events is not None, "whoever calls knows that there is a table"
    if given.variant is None:
        raise UsageError("no --variant: which column has the variant?", "--variant model_version")
    alpha = 0.05 if given.alpha is None else given.alpha
    if not 0 < alpha < _MOST_ALPHA:
        raise UsageError(f"--alpha {alpha}, must be over 0 and under {_MOST_ALPHA}", "--alpha 0.05")
    mde = parse_delta(given.mde) if given.mde else None
    if given.answer is not None and not given.paired:
        raise UsageError("--answer works only with --paired", f"--paired --answer {given.answer}")
    asked = with_roles(given.metric or (), given.guardrail or (), given.primary, mde)
    segments = tuple(given.segment or ())
    timed = [each.metric.name for each in asked if each.aggregate == "retention"]
    if given.at is not None and not timed:
        raise UsageError(
            "--at is for retention(7d, 14d), which no metric is", f"leave out --at {given.at}"
        )
    question = Question(
        given.variant,
        given.unit,
        asked,
        given.control,
        given.split,
        alpha,
        segments,
        given.answer,
        given.at,
    )
    bar = questions_bar()
    if given.paired:
        if segments:
            hint = f"leave out --segment {segments[0]}"
            raise UsageError("--segment does not go with --paired", hint)
        if capped := [each.metric.name for each in asked if each.metric.cap]:
            raise UsageError(f"metric {capped[0]}: a cap does not go with --paired", "leave it out")
        if timed:
            raise UsageError(
                f"metric {timed[0]}: retention does not go with --paired", "leave it out"
            )
        with bar as told, opened(given.events, given.format_, Running(told)) as table:
            pairs = count_pairs(table, question)
        return judge_pairs(pairs, time.time())
    with bar as told, opened(given.events, given.format_, Running(told)) as table:
        counted = count(table, question)
    return judge_table(counted, ordered(question, counted.names), time.time())
