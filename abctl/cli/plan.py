"""`abctl plan`: how many units an experiment needs, how long it takes, what else it could find."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._options import add
from abctl.cli._output import Output, OutputOption, emit, say
from abctl.cli._session import WorldOptions, file_session_of
from abctl.cli._source import EvidenceOptions, with_evidence
from abctl.core.delta import parse_delta
from abctl.errors import SpecError, UsageError
from abctl.report.plan import document, table
from abctl.stats.delta import Delta

if TYPE_CHECKING:
    from abctl.core.experiment import Metric
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

    abctl plan iris.yaml --live
    """
    from abctl.analysis import plan as service  # noqa: PLC0415
    from abctl.analysis import plan_inputs  # noqa: PLC0415
    from abctl.report import plan as numbers  # noqa: PLC0415
    from abctl.spec import load  # noqa: PLC0415

    known: dict[str, Any] = {}
    if live and experiment is None:
        raise UsageError("--live without an experiment", "abctl plan iris.yaml --live")
    if experiment is not None:
        session = file_session_of(str(experiment), world) if live else None
        loaded = session.experiment if session else load(experiment)
        planned = plan_inputs.metric_of(loaded, effect.metric)
        known |= _as_asked(plan_inputs.of_experiment(loaded, planned), design.kind)
        if session:
            session = with_evidence(session, evidence)
            known |= _measured(session, planned, effect, design)
        if loaded.assignment.unit != "request" and repeats.requests_per_user == 1:
            say(
                f"one request per {loaded.assignment.unit} assumed: if they send more, add "
                "--requests-per-user, --requests-cv and --correlation"
            )
    known |= _split(design, known)
    per_day = None if design.traffic is None else numbers.parse_traffic_per_day(design.traffic)
    options = {
        "kind": design.kind and design.kind.value,
        "sd": design.sd,
        "cvs": _variation(design),
        "quantile": design.quantile,
        "direction": design.direction and design.direction.value,
        "one_sided": design.one_sided,
        "alpha": design.alpha,
        "power": design.power,
        "test": design.test and design.test.value,
        "units_per_day": per_day,
        "design_effect": numbers.clustering(
            repeats.requests_per_user, repeats.requests_cv, repeats.correlation
        ),
        "requests_per_user": repeats.requests_per_user,
    }
    known |= {name: value for name, value in options.items() if value is not None}
    if effect.mde is not None or effect.margin is not None:
        known |= {"size": _size(effect), "is_margin": effect.margin is not None}
    if "size" not in known:
        raise UsageError("no mde", "add --mde 2pp (percentage points) or --mde 2% (relative)")
    of_kind = known.setdefault("kind", "proportion")
    if "cvs" in known and of_kind != "ratio":
        raise UsageError(
            f"--cv is of a ratio, not of a {of_kind}", "--kind ratio; else leave it out"
        )
    if effect.baseline is not None:
        known["baseline"] = numbers.parse_baseline(effect.baseline, of_kind)
    if "baseline" not in known:
        raise UsageError("no baseline", "add --baseline 5%, or --live if the experiment runs")
    answer = service.plan(service.Question(**known))
    emit("Plan", document(answer), output, lambda wide: table(answer, wide=wide))


def _as_asked(of_file: dict[str, Any], kind: Kind | None) -> dict[str, Any]:
    """What the file says of its metric; without its quantile where another kind is planned."""
    kept = kind is None or kind is Kind.quantile
    return of_file if kept else {k: v for k, v in of_file.items() if k != "quantile"}


def _variation(design: DesignOptions) -> tuple[float, float, float] | None:
    """How the parts of a ratio vary, and how they vary together; None where nobody said it."""
    if design.cv is not None:
        return design.cv, design.over_cv, design.over_correlation
    if design.over_cv or design.over_correlation:
        raise UsageError(
            "--over-cv and --over-correlation are nothing without --cv",
            "--cv 1.5 --over-cv 0.8 --over-correlation 0.5",
        )
    return None


def _split(design: DesignOptions, known: dict[str, Any]) -> dict[str, Any]:
    """Shares, and what follows from how many there are; with a ramp before them."""
    from abctl.report import plan as numbers  # noqa: PLC0415

    found: dict[str, Any] = {}
    before = shares = known.get("shares", (0.5, 0.5))
    if design.split is not None or design.treatments is not None:
        # Other treatments share alpha with as many primaries as before.
        primaries = known.get("comparisons", 1) // (len(before) - 1)
        shares = found["shares"] = numbers.parse_shares(design.split, design.treatments)
        found["comparisons"] = primaries * (len(shares) - 1)
    if design.ramp is not None:
        found["ramp"] = numbers.parse_ramp(design.ramp, len(shares))
    return found


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


def _size(effect: EffectOptions) -> Delta:
    if effect.mde is not None and effect.margin is not None:
        raise UsageError("both --mde and --margin", "plan one thing at a time")
    option, text = ("--mde", effect.mde) if effect.mde is not None else ("--margin", effect.margin)
    try:
        return parse_delta(text or "")
    except SpecError as error:
        raise UsageError(f"{option} {error.message}", error.hint) from None
