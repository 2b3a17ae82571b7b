"""`abctl simulate`: traffic with known answers, for trying out an experiment."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import randbelow
from typing import TYPE_CHECKING, Annotated

import typer

from abctl.cli._consent import require_consent
from abctl.cli._options import add, share
from abctl.cli._options import duration as DURATION  # noqa: N812 - an option is called so
from abctl.cli._output import Output, OutputOption, emit, say, tell
from abctl.cli._progress import requests_bar
from abctl.cli._session import ExperimentArgument, StateOption, YesOption
from abctl.cli._simulation import document, table
from abctl.core.delta import parse_delta
from abctl.errors import ClusterError, SpecError, UnreachableError, UsageError

if TYPE_CHECKING:
    from abctl.core.experiment import Experiment
    from abctl.simulate import Effect, Examples

_INTERRUPTED = 130
_SEEDS = 1_000_000
_NOISE = 0.3


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, simulate)


@dataclass(frozen=True)
class TrafficOptions:
    """The traffic, and what is made up about it."""

    requests: Annotated[int, typer.Option("--requests", help="How many at most.")] = 10_000
    duration: Annotated[
        float,
        typer.Option(parser=DURATION, metavar="DURATION", help="How long at most: 90s, 10m."),
    ] = 60.0
    users: Annotated[int, typer.Option(help="How many users there are.")] = 2_000
    concurrency: Annotated[int, typer.Option(help="How many connections.")] = 8
    rate: Annotated[
        float | None,
        typer.Option(help="Requests a second, at random moments; else one follows another."),
    ] = None
    noise: Annotated[
        float | None,
        typer.Option(help="Standard deviation added to flowers.", show_default="0.3"),
    ] = None
    drift: Annotated[
        float | None,
        typer.Option(help="How much more noise by the end: 0.5 is +50%.", show_default="0"),
    ] = None
    effect: Annotated[
        list[str] | None,
        typer.Option(help="Make up an effect: treatment=+3pp, treatment/revenue=-0.2abs."),
    ] = None
    feedback_delay: Annotated[
        float,
        typer.Option(parser=DURATION, metavar="DURATION", help="Mean time until feedback."),
    ] = 0.0
    anonymous: Annotated[
        float,
        typer.Option(parser=share, metavar="SHARE", help="Share of requests without user: 5%."),
    ] = 0.0
    seed: Annotated[
        int | None,
        typer.Option(help="Same seed, same users and requests.", show_default="others every time"),
    ] = None


def simulate(
    experiment: ExperimentArgument,
    *,
    url: Annotated[
        str | None, typer.Option(envvar="ABCTL_URL", help="The entrance; else the local stack's.")
    ] = None,
    state: StateOption = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="FILE",
            help="Rows to send: .csv, .parquet, .npz, or .jsonl with a V2 request a line.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The column with the truth, for feedback."),
    ] = None,
    flow: TrafficOptions,
    yes: YesOption = False,
    output: OutputOption = Output.table,
) -> None:
    """Send requests of simulated users, and feedback whether the answers were right.

    It ends after --requests or --duration, whichever is first. What is asked about are the rows
    of --data; without it an example.csv (.jsonl, .npz, .parquet) in the model's folder, or random
    values of the shapes that the model says it takes. Of the example models it is Iris flowers,
    which --noise makes hard to tell apart.

    abctl simulate iris.yaml --users 5000 --requests 20000

    abctl simulate digits.yaml --data digits.csv --label digit

    abctl simulate iris.yaml --rate 200 --duration 5m --effect treatment=+3pp
    """
    from abctl import simulate as service  # noqa: PLC0415
    from abctl.session.local_stack import (  # noqa: PLC0415
        default_state,
        entrance_url,
        model_place,
    )
    from abctl.spec import load  # noqa: PLC0415

    loaded = load(experiment)
    traffic = service.Traffic(
        requests=flow.requests,
        duration_seconds=flow.duration,
        users=flow.users,
        concurrency=flow.concurrency,
        rate_per_second=flow.rate,
        seed=randbelow(_SEEDS) if flow.seed is None else flow.seed,
        noise=_NOISE if flow.noise is None else flow.noise,
        drift=flow.drift or 0.0,
        feedback_delay_seconds=flow.feedback_delay,
        anonymous_ratio=flow.anonymous,
        effects=tuple(map(_effect, flow.effect or ())),
    )
    folder = None
    if url is None:
        folder = state or default_state(loaded.name)
        url = entrance_url(loaded, folder)
        _tell_what_counts(loaded, folder)
    rows = service.examples(
        loaded,
        url,
        data=data,
        label=label,
        folder=model_place(loaded, folder),
        seed=traffic.seed,
    )
    _tell_what_is_asked(rows, loaded, flow)
    if not service.Entrance.parse(url).loopback:
        _require_consent(url, traffic.planned, yes=yes)
    with _stop_on_interrupt() as stop, _progress(traffic.planned) as report:
        summary = service.simulate(loaded, url, traffic, rows=rows, report=report, stop=stop)
    answer = {"seed": traffic.seed, **document(summary)}
    emit("Simulation", answer, output, lambda _: table(summary))
    if flow.seed is None:
        say(f"to send the same once more: --seed {traffic.seed}")
    if summary.interrupted:
        say("interrupted: the summary is of what was done; feedback that was still due is lost")
        raise typer.Exit(_INTERRUPTED)
    if summary.errors == summary.requests:
        said = next((words for v in summary.variants for words in v.said.values()), None)
        message = f"no good answer from {url} to any of {summary.requests:,} requests"
        raise UnreachableError(
            message if said is None else f"{message}, first: {said}",
            "is it the entrance of this experiment? are its models ready? abctl local status"
            if said is None
            else "--data FILE has rows as the model takes them",
        )


def _tell_what_counts(experiment: "Experiment", folder: Path) -> None:
    """Say from when on requests count, if they do not yet."""
    from abctl.core.time import format_duration, format_moment  # noqa: PLC0415
    from abctl.session import ledger, local_world  # noqa: PLC0415

    session, settle = local_world.session(experiment, folder), experiment.design.settle_seconds
    try:
        since = ledger.read(session.world, experiment).ledger.counts_from(settle)
    except ClusterError:
        return  # whoever analyzes is told; requests can be sent all the same
    if since is None:
        say("requests do not count yet: a change of the split is not finished (abctl status)")
    elif (left := since - session.clock()) > 0:
        say(
            f"requests count from {format_moment(since, 'seconds')} on, in {left:.0f} s; earlier "
            f"ones are left out (design.settle: {format_duration(settle)} after a change of the "
            "split)"
        )


def _tell_what_is_asked(
    rows: "Examples | None", experiment: "Experiment", flow: TrafficOptions
) -> None:
    """Say what the model is asked about, and what nobody will know.

    Raises:
        UsageError: noise, where nothing takes it.
    """
    from abctl.simulate import truths  # noqa: PLC0415

    if rows is None:
        return
    if flow.noise is not None or flow.drift is not None:
        raise UsageError(
            f"--{'drift' if flow.noise is None else 'noise'}: rows are sent as they are",
            "leave it out: noise is for the flowers of the example models",
        )
    asked, known = truths(experiment), rows.labels is not None
    say(f"asking about {rows.words}")
    if asked and not known:
        tell(f"no feedback about {', '.join(asked)}: --data and --label would tell the truth")
    if known and not asked:
        tell(
            "the labels are not used: no metric is of accuracy, correct, absolute_error or "
            "squared_error"
        )


def _effect(text: str) -> "Effect":
    from abctl.simulate import Effect  # noqa: PLC0415

    what, equals, size = text.partition("=")
    variant, slash, outcome = what.partition("/")
    sign = -1 if size.startswith("-") else 1
    try:
        delta = parse_delta(size.removeprefix("-").removeprefix("+"))
    except SpecError:
        delta = None
    if not (equals and variant and bool(slash) == bool(outcome) and delta) or delta.relative:
        raise UsageError(
            f"effect {text!r}, must be VARIANT[/OUTCOME]=SIZE",
            "treatment=+3pp (percentage points), treatment/revenue=-0.2abs (in the outcome's unit)",
        )
    number = sign * delta.value
    return Effect(variant, number, outcome) if outcome else Effect(variant, number)


def _require_consent(url: str, requests: int, *, yes: bool) -> None:
    if not (yes or sys.stdin.isatty()):
        raise UsageError(f"url {url}: not on this machine", "send the load all the same with --yes")
    require_consent(f"{url} is not on this machine. Send it up to {requests:,} requests?", yes=yes)


@contextmanager
def _stop_on_interrupt() -> Iterator[threading.Event]:
    """Ctrl-C ends the traffic, not abctl: there is a summary to print."""
    stop = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    with requests_bar() as bar:
        task = bar.add_task("requests", total=total)
        yield lambda done, _: bar.update(task, completed=done)
