"""`abctl plan`: how many units an experiment needs, how long it takes, what else it could find."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from abctl.cli._output import Output, OutputOption, emit, say
from abctl.cli._place import (
    ContextOption,
    KubeconfigOption,
    NamespaceOption,
    StateOption,
    find_place,
)
from abctl.cli._source import (
    AllowCredentialsOption,
    PrometheusConfigOption,
    PrometheusOption,
    with_credentials,
)
from abctl.core.delta import parse_delta
from abctl.errors import SpecError, UsageError
from abctl.report.plan import document, table
from abctl.stats.delta import Delta

if TYPE_CHECKING:
    from abctl.session.place import Place


class Kind(StrEnum):
    """What is compared."""

    proportion = "proportion"
    mean = "mean"


class Test(StrEnum):
    """How it is decided."""

    sequential = "sequential"
    fixed = "fixed"


class Direction(StrEnum):
    """Which way the effect goes."""

    increase = "increase"
    decrease = "decrease"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(
    experiment: Annotated[
        Path | None,
        typer.Argument(
            help="An experiment file; options replace what it says.", show_default=False
        ),
    ] = None,
    *,
    baseline: Annotated[
        str | None, typer.Option(help="The control's value now: 5%, or 12.5 for means.")
    ] = None,
    mde: Annotated[
        str | None, typer.Option(help="Smallest effect worth finding: 2pp, 2% (relative), 0.5abs.")
    ] = None,
    margin: Annotated[
        str | None, typer.Option(help="Instead: show that nothing gets worse by this much.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="Metric of the file; else its first primary.")
    ] = None,
    kind: Annotated[Kind | None, typer.Option(help="What is compared.")] = None,
    sd: Annotated[
        float | None, typer.Option(help="Standard deviation of a unit, for means.")
    ] = None,
    direction: Annotated[Direction | None, typer.Option(help="Which way the effect goes.")] = None,
    one_sided: Annotated[
        bool | None,
        typer.Option("--one-sided/--two-sided", help="One-sided is what the verdict does."),
    ] = None,
    alpha: Annotated[float | None, typer.Option(help="Error rate of the experiment.")] = None,
    power: Annotated[float | None, typer.Option(help="Probability to find the effect.")] = None,
    test: Annotated[
        Test | None, typer.Option(help="Looked at any time, or once at the end.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Shares, control first: 90/10.")] = None,
    treatments: Annotated[
        int | None, typer.Option(help="How many; they get their best shares unless --split.")
    ] = None,
    traffic: Annotated[
        str | None, typer.Option(help="New units of all variants: 10000/day, 120/s.")
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Take traffic, and the baseline unless given, from what runs now."
        ),
    ] = False,
    requests_per_user: Annotated[
        float, typer.Option(help="If users are assigned and requests counted: their mean number.")
    ] = 1.0,
    requests_cv: Annotated[
        float, typer.Option(help="Coefficient of variation of that number.")
    ] = 0.0,
    correlation: Annotated[float, typer.Option(help="Of two requests of one user, 0 to 1.")] = 0.0,
    prometheus: PrometheusOption = None,
    prometheus_config: PrometheusConfigOption = None,
    allow_credentials: AllowCredentialsOption = None,
    state: StateOption = None,
    namespace: NamespaceOption = None,
    context: ContextOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.table,
) -> None:
    """Say how many units an experiment needs, and what other effects would take.

    abctl plan --baseline 5% --mde 2pp --traffic 10000/day

    abctl plan --baseline 5% --mde 10% --test fixed --split 90/10

    abctl plan --kind mean --baseline 20 --sd 12.5 --mde 0.5abs

    abctl plan iris.yaml --baseline 91%

    abctl plan iris.yaml --metric errors --baseline 0.4%

    abctl plan iris.yaml --live
    """
    from abctl.analysis import plan as service  # noqa: PLC0415
    from abctl.report import plan as numbers  # noqa: PLC0415
    from abctl.spec import load  # noqa: PLC0415

    known: dict[str, Any] = {}
    if live and experiment is None:
        raise UsageError("--live without an experiment", "abctl plan iris.yaml --live")
    if experiment is not None:
        where = (state, kubeconfig, context, namespace)
        place = find_place(str(experiment), *where) if live else None
        loaded = place.experiment if place else load(experiment)
        planned = service.metric_of(loaded, metric)
        known |= service.of_experiment(loaded, planned)
        if place:
            place = with_credentials(place, prometheus, prometheus_config, allow_credentials)
            wanted = baseline is None
            known |= _measured(place, planned.name, prometheus, prometheus_config, baseline=wanted)
        if loaded.assignment.unit != "request" and requests_per_user == 1:
            say(
                f"one request per {loaded.assignment.unit} assumed: if they send more, add "
                "--requests-per-user, --requests-cv and --correlation"
            )
    if split is not None or treatments is not None:
        shares = known["shares"] = numbers.parse_shares(split, treatments)
        known["comparisons"] = len(shares) - 1
    options = {
        "kind": kind and kind.value,
        "sd": sd,
        "direction": direction and direction.value,
        "one_sided": one_sided,
        "alpha": alpha,
        "power": power,
        "test": test and test.value,
        "units_per_day": None if traffic is None else numbers.parse_traffic_per_day(traffic),
        "design_effect": numbers.clustering(requests_per_user, requests_cv, correlation),
        "requests_per_user": requests_per_user,
    }
    known |= {name: value for name, value in options.items() if value is not None}
    if mde is not None or margin is not None:
        known |= {"size": _size(mde, margin), "is_margin": margin is not None}
    if "size" not in known:
        raise UsageError("no mde", "add --mde 2pp (percentage points) or --mde 2% (relative)")
    of_kind = known.setdefault("kind", "proportion")
    if baseline is not None:
        known["baseline"] = numbers.parse_baseline(baseline, of_kind)
    if "baseline" not in known:
        raise UsageError("no baseline", "add --baseline 5%, or --live if the experiment runs")
    answer = service.plan(service.Question(**known))
    emit("Plan", document(answer), output, lambda wide: table(answer, wide=wide))


def _measured(
    place: "Place",
    metric: str,
    prometheus_url: str | None,
    prometheus_config: Path | None,
    *,
    baseline: bool,
) -> dict[str, float]:
    """Units a day, and the control's value if nobody gave another `baseline`."""
    from abctl.analysis import plan  # noqa: PLC0415
    from abctl.session.analyze import analyze  # noqa: PLC0415

    found = analyze(
        place.door,
        place.experiment,
        place.state,
        prometheus_url=prometheus_url,
        prometheus_config=prometheus_config,
    )
    known = {"units_per_day": plan.units_per_day(found)}
    return known | ({"baseline": plan.baseline(found, metric)} if baseline else {})


def _size(mde: str | None, margin: str | None) -> Delta:
    if mde is not None and margin is not None:
        raise UsageError("both --mde and --margin", "plan one thing at a time")
    option, text = ("--mde", mde) if mde is not None else ("--margin", margin or "")
    try:
        return parse_delta(text)
    except SpecError as error:
        raise UsageError(f"{option} {error.message}", error.hint) from None
