"""`abctl plan`: how many units an experiment needs, how long it takes, what else it could find."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, say
from abctl.cli._session import WorldOptions, file_session_of
from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.errors import UsageError
from abctl.report.plan import document, table

if TYPE_CHECKING:
    from abctl.core.experiment import Metric
    from abctl.report.asking import Asked
    from abctl.session.session import Session


class Kind(StrEnum):
    """What is compared."""

    proportion = "proportion"
    mean = "mean"
    rate = "rate"
    quantile = "quantile"
    ratio = "ratio"


class Test(StrEnum):
    """How it is decided."""

    sequential = "sequential"
    horizon = "horizon"
    fixed = "fixed"


class Direction(StrEnum):
    """Which way the effect goes."""

    increase = "increase"
    decrease = "decrease"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, plan)


@dataclass(frozen=True)
class EffectOptions:
    """Which effect of what is to be found."""

    baseline: Annotated[
        str | None, typer.Option(help="The control's value now: 5%; of other kinds a number, 12.5.")
    ] = None
    mde: Annotated[
        str | None, typer.Option(help="Smallest effect worth finding: 2pp, 2% (relative), 0.5abs.")
    ] = None
    margin: Annotated[
        str | None, typer.Option(help="Instead: show that nothing gets worse by this much.")
    ] = None
    metric: Annotated[
        str | None, typer.Option(help="Metric of the file; else its first primary.")
    ] = None


@dataclass(frozen=True)
class DesignOptions:
    """How it is compared and decided, and what comes in."""

    kind: Annotated[Kind | None, typer.Option(help="What is compared.")] = None
    sd: Annotated[
        float | None,
        typer.Option(help="Standard deviation of a unit, for means; of its log, for quantiles."),
    ] = None
    cv: Annotated[
        float | None,
        typer.Option(help="Of a user's numerator, for ratios: standard deviation / mean."),
    ] = None
    over_cv: Annotated[float, typer.Option(help="The same of the user's denominator.")] = 0.0
    over_correlation: Annotated[
        float, typer.Option(help="Of a user's numerator and denominator, -1 to 1.")
    ] = 0.0
    quantile: Annotated[
        float | None, typer.Option(help="Which, for quantiles: 0.95 is the p95.")
    ] = None
    direction: Annotated[Direction | None, typer.Option(help="Which way the effect goes.")] = None
    one_sided: Annotated[
        bool | None,
        typer.Option("--one-sided/--two-sided", help="One-sided is what the verdict does."),
    ] = None
    alpha: Annotated[float | None, typer.Option(help="Error rate of the experiment.")] = None
    power: Annotated[float | None, typer.Option(help="Probability to find the effect.")] = None
    test: Annotated[Test | None, typer.Option(help="Looked at any time, or once at the end.")] = (
        None
    )
    split: Annotated[str | None, typer.Option(help="Shares, control first: 90/10.")] = None
    answers_differ: Annotated[
        str | None,
        typer.Option(
            help="Share of requests that both models would answer differently, for pairs: 5%."
        ),
    ] = None
    ramp: Annotated[
        str | None,
        typer.Option(help="Splits before it, each for a time (with --traffic): 95/5:1d,80/20:2d."),
    ] = None
    treatments: Annotated[
        int | None, typer.Option(help="How many; they get their best shares unless --split.")
    ] = None
    traffic: Annotated[
        str | None, typer.Option(help="New units of all variants: 10000/day, 120/s.")
    ] = None


@dataclass(frozen=True)
class RepeatOptions:
    """How many requests are of one user."""

    requests_per_user: Annotated[
        float, typer.Option(help="If users are assigned and requests counted: their mean number.")
    ] = 1.0
    requests_cv: Annotated[float, typer.Option(help="Coefficient of variation of that number.")] = (
        0.0
    )
    correlation: Annotated[float, typer.Option(help="Of two requests of one user, 0 to 1.")] = 0.0


def plan(
    experiment: Annotated[
        Path | None,
        typer.Argument(
            help="An experiment file; options replace what it says.", show_default=False
        ),
    ] = None,
    *,
    effect: EffectOptions,
    design: DesignOptions,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Take traffic, and the baseline unless given, from what runs now."
        ),
    ] = False,
    repeats: RepeatOptions,
    evidence: EvidenceOptions,
    world: WorldOptions,
    output: OutputOption = Output.table,
) -> None:
    """Say how many units an experiment needs, and what other effects would take.

    abctl plan --baseline 5% --mde 2pp --traffic 10000/day

    abctl plan --baseline 5% --mde 10% --test fixed --split 90/10

    abctl plan --baseline 5% --mde 2pp --traffic 2000/day --ramp 95/5:1d,80/20:1d

    abctl plan --kind mean --baseline 20 --sd 12.5 --mde 0.5abs

    abctl plan --kind quantile --quantile 0.95 --baseline 0.2 --sd 0.5 --margin 10%

    abctl plan --kind ratio --baseline 12 --cv 1.5 --over-cv 0.8 --over-correlation 0.5 --mde 2%

    abctl plan iris.yaml --baseline 91%

    abctl plan iris.yaml --metric errors --baseline 0.4%

    abctl plan iris.yaml --baseline 93% --answers-differ 5%

    abctl plan iris.yaml --live
    """
    from abctl.analysis import plan as service  # noqa: PLC0415
    from abctl.analysis import plan_inputs  # noqa: PLC0415
    from abctl.report.asking import question  # noqa: PLC0415
    from abctl.spec import load  # noqa: PLC0415

    known: dict[str, Any] = {}
    if live and experiment is None:
        raise UsageError("--live without an experiment", "abctl plan iris.yaml --live")
    if experiment is not None:
        session = file_session_of(str(experiment), world) if live else None
        loaded = session.experiment if session else load(experiment)
        planned = plan_inputs.metric_of(loaded, effect.metric)
        known |= plan_inputs.of_experiment(loaded, planned)
        if session:
            session = with_evidence(session, evidence)
            known |= _measured(session, planned, effect, design)
        if loaded.assignment.unit != "request" and repeats.requests_per_user == 1:
            say(
                f"one request per {loaded.assignment.unit} assumed: if they send more, add "
                "--requests-per-user, --requests-cv and --correlation"
            )
    answer = service.plan(question(_asked(effect, design, repeats), known))
    emit("Plan", document(answer), output, lambda wide: table(answer, wide=wide))


def _asked(effect: EffectOptions, design: DesignOptions, repeats: RepeatOptions) -> "Asked":
    """The options as what somebody asks."""
    given = {**vars(effect), **vars(design), **vars(repeats)}
    del given["metric"]
    choices = {name: each.value for name, each in given.items() if isinstance(each, StrEnum)}
    return cast("Asked", given | choices)


def _measured(
    session: "Session", metric: "Metric", effect: EffectOptions, design: DesignOptions
) -> dict[str, float]:
    """Units a day; the control's value, and how much units vary, if nobody gave others."""
    from abctl.analysis import plan_inputs  # noqa: PLC0415
    from abctl.session.analyze import analyze  # noqa: PLC0415

    found = analyze(session)
    known = {"units_per_day": plan_inputs.units_per_day(found, metric)}
    if effect.baseline is None:
        known["baseline"] = plan_inputs.baseline(found, metric.name)
    if metric.kind in ("mean", "ratio") and design.sd is None and design.cv is None:
        known["sd"] = plan_inputs.deviation(found, metric.name)
    return known
