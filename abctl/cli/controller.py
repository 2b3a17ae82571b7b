"""`abctl controller`: drive every Experiment object of some namespaces."""

import logging
import signal
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from types import FrameType
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from abctl.cli._options import EXIT_CODES_LINE, add, duration
from abctl.cli._output import PEOPLE, Output, OutputOption, emit, put, say
from abctl.cli._session import ContextOption, KubeconfigOption, TimeoutOption
from abctl.cli._source import PrometheusConfigOption, PrometheusOption
from abctl.core.time import format_duration
from abctl.errors import UnreachableError, UsageError
from abctl.foreign import in_one_line

if TYPE_CHECKING:
    from abctl.controller.loop import Controller, Settings
    from abctl.controller.reconcile import Found
    from abctl.controller.serve import Ask, Pages
    from abctl.session.declared import Declared

_SHORTEST_WAIT_SECONDS, _ASKED_EVERY_SECONDS, _LONGEST_SILENCE_SECONDS = 1.0, 0.2, 120.0


class Askers(StrEnum):
    """Who may ask for a verdict."""

    nobody = "nobody"
    token = "token"  # noqa: S105 - the word for it, and none of them
    anyone = "anyone"


def register(app: typer.Typer) -> None:
    """Add the command."""
    add(app, controller, epilog=EXIT_CODES_LINE)


@dataclass(frozen=True)
class ControllerOptions:
    """Where it works, and how."""

    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace",
            "-n",
            help="Whose experiments; may be given again.",
            show_default="that of the context, or of the pod",
        ),
    ] = None
    all_namespaces: Annotated[
        bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.")
    ] = False
    interval: Annotated[
        float,
        typer.Option(
            parser=duration, metavar="DURATION", help="How long to wait between two looks."
        ),
    ] = 60.0
    timeout: TimeoutOption = 30.0
    prometheus: PrometheusOption = None
    prometheus_config: PrometheusConfigOption = None
    allow_source: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERVER",
            help="A server that objects may name as their source: HOST, HOST:PORT, or "
            "NAMESPACE/SERVICE; may be given again.",
        ),
    ] = None
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Where to answer /metrics and /healthz; nowhere if left out.",
            show_default=False,
        ),
    ] = None
    askers: Annotated[
        Askers,
        typer.Option(
            help="Who may ask /verdict and /gate there. token: whoever may get the Experiment, by "
            "a bearer token."
        ),
    ] = Askers.nobody
    context: ContextOption = None
    kubeconfig: KubeconfigOption = None


def controller(*, given: ControllerOptions, output: OutputOption = Output.table) -> None:
    """Drive each Experiment object of its namespaces by its ramp, and write its status.

    It needs the CRD: abctl schema crd | kubectl apply --server-side -f -

    Of several controllers one works in a namespace. SIGTERM or Ctrl-C ends it; splits stay.

    abctl controller -n models

    abctl controller -A --interval 2m --prometheus http://prometheus.monitoring:9090

    abctl controller -n models --listen 0.0.0.0:9464 --askers token
    """
    from abctl.cli import _log  # noqa: PLC0415 - what goes wrong is told while it runs
    from abctl.controller.loop import Controller  # noqa: PLC0415 - the platforms load when asked

    _log.show(logging.WARNING)
    if given.interval < _SHORTEST_WAIT_SECONDS:
        raise UsageError(
            f"--interval {format_duration(given.interval)}, must be at least "
            f"{format_duration(_SHORTEST_WAIT_SECONDS)}",
            "--interval 1m",
        )
    if given.all_namespaces and given.namespace:
        raise UsageError("-A and -n contradict each other", "leave one of them out")
    if given.askers is not Askers.nobody and given.listen is None:
        raise UsageError(
            f"--askers {given.askers.value} without --listen: nobody can ask",
            "--listen 0.0.0.0:9464",
        )
    _require_sound(given)
    made = Controller(_settings(given), lambda declared, found: _show(declared, found, output))
    where = ", ".join(made.namespaces) or "all namespaces"
    pages = _pages(made, given) if given.listen is not None else None
    say(f"drives the experiments of {where} in {made.words}; Ctrl-C ends it")
    try:
        _until_signalled(made)
    finally:
        if pages:
            pages.close()
    say("ended: splits stay as they are, and the next controller goes on")


def _require_sound(given: ControllerOptions) -> None:
    """Tell at once what no look could use.

    Raises:
        UsageError: the address of the Prometheus is none.
        SpecError: the file that says how to reach it is wrong.
    """
    from abctl.spec import reach  # noqa: PLC0415 - with the platforms

    if given.prometheus_config is not None:
        reach.read(given.prometheus_config, given.prometheus)
    if given.prometheus is None:
        return
    try:
        parts = urlsplit(given.prometheus)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        sound = False
    if not sound or "@" in given.prometheus:
        shown = given.prometheus.rpartition("@")[2]  # before it may be a password
        hint = "--prometheus http://prometheus.monitoring:9090; --prometheus-config has the rest"
        raise UsageError(f"--prometheus {shown!r}, must be an address without a password", hint)


def _settings(given: ControllerOptions) -> "Settings":
    from abctl.controller.loop import Settings  # noqa: PLC0415 - the platforms load when asked
    from abctl.controller.permitted import Allowed  # noqa: PLC0415 - as above

    return Settings(
        kubeconfig=given.kubeconfig,
        context=given.context,
        namespaces=tuple(given.namespace or ()),
        everywhere=given.all_namespaces,
        interval_seconds=given.interval,
        timeout_seconds=given.timeout,
        allowed=Allowed(frozenset(given.allow_source or ())),
        prometheus=given.prometheus,
        prometheus_config=given.prometheus_config,
    )


def _pages(made: "Controller", given: ControllerOptions) -> "Pages":
    from http import HTTPStatus  # noqa: PLC0415 - only where pages are asked for

    from abctl.controller.metrics import page  # noqa: PLC0415 - as above
    from abctl.controller.serve import Pages  # noqa: PLC0415 - as above

    def metrics() -> tuple[HTTPStatus, str, bytes]:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return HTTPStatus.OK, kind, page(made.seen, lambda: made.leases.held)

    def health() -> tuple[HTTPStatus, str, bytes]:
        well = made.silent_seconds < _LONGEST_SILENCE_SECONDS
        code = HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE
        return code, "text/plain", b"ok\n" if well else b"its loop hangs\n"

    return Pages(given.listen or "", {"/metrics": metrics, "/healthz": health}, _ask(made, given))


def _ask(made: "Controller", given: ControllerOptions) -> "Ask | None":
    """What answers whoever asks for a verdict; nobody waits while the API server is away."""
    if given.askers is Askers.nobody:
        return None
    from abctl.controller.asked import Asked  # noqa: PLC0415 - only where it is asked for

    def impatient(seconds: float) -> None:
        raise UnreachableError("the API server does not answer", f"try again in {seconds:.3g} s")

    tokens = given.askers is Askers.token
    return Asked(made.reader(impatient), made.namespaces, given.interval, tokens=tokens)


def _until_signalled(made: "Controller") -> None:
    """Run until SIGTERM or Ctrl-C; what a handler does must not wait for a lock."""
    asked = list[int]()

    def note(signum: int, _: FrameType | None) -> None:
        asked.append(signum)
        signal.signal(signum, signal.SIG_DFL)  # who asks again does not wait

    before = {each: signal.signal(each, note) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="controller") as one:
            running = one.submit(made.run)
            while not asked and not running.done():
                wait([running], _ASKED_EVERY_SECONDS)
            made.stop()
            running.result()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _show(declared: "Declared", found: "Found", output: Output) -> None:
    """Each look for programs; for people a line where something is new."""
    from abctl.controller.status import status_of  # noqa: PLC0415 - with the report

    status = status_of(declared, found)
    ref = declared.ref
    if output not in PEOPLE:
        emit("Look", {"experiment": ref.name, "namespace": ref.namespace, **status}, output, str)
        return
    shown = ("phase", "verdict", "split", "reason")
    if any(status.get(key) != declared.status.get(key) for key in shown):
        told = " ".join(str(status[key]) for key in shown[:3] if status.get(key))
        words = f"{status['lastLookAt']}  {ref.namespace}/{ref.name}  {told}: {status['reason']}"
        put(in_one_line(words))
