"""`abctl demo`: the whole loop on this machine, from two models to a verdict."""

import math
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from abctl.core.analysis import Analysis
from abctl.core.experiment import Experiment
from abctl.errors import ClusterError, UsageError
from abctl.evidence.evidence import Evidence
from abctl.files import read, writing
from abctl.files import replace as replace_file
from abctl.local import lifecycle, logs
from abctl.local.stack import Stack
from abctl.session import local_stack, local_world, shift
from abctl.session.analyze import judged
from abctl.session.rollback import everything_to
from abctl.session.session import Session
from abctl.session.stack_plan import Options
from abctl.simulate import Summary, Traffic, simulate
from abctl.spec.fields import VERSION, UnfitError

_SHIFT_TIMEOUT_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_VERSION = re.compile(r"version: (v[12])")


@dataclass(frozen=True)
class Schedule:
    """When what happens, in seconds since the first request; never by a number of requests.

    So the demo tells the same on every machine that carries `rate_per_second`: one slow core does.

    Attributes:
        rate_per_second: of requests, which do not wait for answers (an open loop).
        shifts: when the treatment gets which share (basis points).
        looks: when the evidence is read, until it says ship or stop and something is proven of
            every metric. Mostly that is the first time; where other work makes requests slow for
            seconds, latency takes more polls. The tests are valid at every look.
        feedback_delay_seconds: how much later than its answer it is known who was right, on
            average. Twice that is far from the outcome's maturity, for machines that are slow.
        noise: how carelessly flowers are measured, see `Traffic`.
        scrape_seconds: how often counters are read. Methods count polls of two scrapes.
        users: whose requests they are.
        seed: of the traffic.
    """

    rate_per_second: float = 120.0
    shifts: tuple[tuple[float, int], ...] = ((8.0, 3_000), (16.0, 5_000))
    looks: tuple[float, ...] = (60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0)
    feedback_delay_seconds: float = 2.0
    noise: float = 0.2
    scrape_seconds: float = 0.5
    users: int = 4_000
    seed: int = 1

    @property
    def expected(self) -> int:
        """About how many requests there are up to the first look."""
        return round(self.rate_per_second * self.looks[0])

    @property
    def traffic(self) -> Traffic:
        """The requests, as a Poisson process."""
        return Traffic(
            requests=math.ceil(2 * self.rate_per_second * self.looks[-1]),
            # Whoever looks last finds it flowing.
            duration_seconds=2 * self.looks[-1],
            users=self.users,
            rate_per_second=self.rate_per_second,
            noise=self.noise,
            feedback_delay_seconds=self.feedback_delay_seconds,
            seed=self.seed,
        )


SCHEDULE = Schedule()


class Report(Protocol):
    """Whoever wants to know how it goes."""

    def say(self, message: str) -> None:
        """Something was done."""

    def requests(self, done: int, total: int) -> None:
        """So many requests are answered, of about so many."""


@dataclass(frozen=True)
class Outcome:
    """What the demo found."""

    traffic: Summary
    analysis: Analysis
    evidence: Evidence


def write_experiment(state_dir: Path, candidate: str, control: str = "v1") -> Path:
    """Write the demo's experiment file, beside the folder of its stack.

    Args:
        state_dir: the folder, in which no stack runs.
        candidate: the version of the model that is the treatment.
        control: the version of the model in production.

    Raises:
        UsageError: no version; the folder is none of a stack; or the file cannot be written, or is
            something else's.
        ClusterError: a stack runs there.
    """
    if state_dir.name in ("", ".."):
        raise UsageError(f"--state {state_dir}: not the name of a folder", "--state .abctl/demo")
    lifecycle.require_idle(state_dir)
    path = state_dir.with_name(f"{state_dir.name}.yaml")
    text = files("abctl.demo").joinpath("demo.yaml").read_text(encoding="utf-8")
    for option, version in (("--candidate", candidate), ("--control", control)):
        try:
            VERSION.parse(version)
        except UnfitError as error:
            raise UsageError(f"{option} {error}", f"{option} v3") from None
    if path.exists() and not _is_ours(path, text):
        raise UsageError(
            f"{path} would be overwritten by the experiment of the demo", "name another --state"
        )
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    versions = {"v1": control, "v2": candidate}
    replace_file(path, _VERSION.sub(lambda found: f"version: {versions[found[1]]}", text))
    return path


def _is_ours(path: Path, text: str) -> bool:
    """Whether an earlier demo wrote a file: it begins with the same line."""
    try:
        return read(path).splitlines()[:1] == text.encode().splitlines()[:1]
    except OSError:
        return False


def demo(
    experiment: Experiment,
    schedule: Schedule,
    *,
    state_dir: Path,
    models_dir: Path | None,
    report: Report,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Outcome:
    """Start the stack, send traffic, shift while it flows, analyze, stop the stack.

    A treatment that may ship is promoted before.

    Raises:
        ClusterError: something did not start, or ended in the middle; nothing is left running. Or
            a stack runs there already; it is left alone.
    """
    stack = local_stack.up(
        experiment,
        state_dir=state_dir,
        models_dir=models_dir,
        tied=True,
        options=Options(scrape_seconds=schedule.scrape_seconds),
        report=report.say,
    )
    session = replace(
        local_world.session(experiment, state_dir),
        ready=lambda _: True,  # as it was told a moment ago; requests in plenty may make it late
        actor="demo",
        timeout_seconds=_SHIFT_TIMEOUT_SECONDS,
        clock=clock,
        sleep=sleep,
    )
    try:
        with ThreadPoolExecutor(1) as pool:
            flow = _Flow(pool, experiment, stack, schedule, report)
            try:
                for at_seconds, share_bp in schedule.shifts:
                    flow.wait(at_seconds, sleep)
                    report.say(_shift(session, share_bp))
                for at_seconds in schedule.looks:
                    flow.wait(at_seconds, sleep)
                    report.say("reading the evidence")
                    analysis, evidence = judged(session)
                    missing = _open(analysis)
                    decided = analysis.verdict.kind in ("ship", "stop") and not missing
                    # A reading itself may take longer than the looks are apart.
                    if decided or flow.seconds >= schedule.looks[-1]:
                        break
                    what = ", ".join(missing) or "verdict"
                    report.say(f"{what}: not decided yet, requests flow on")
                if analysis.verdict.kind == "ship":
                    report.say(_promote(session, analysis.verdict.treatment))
            finally:
                flow.stop.set()
            assert evidence is not None, "the demo is judged by counters"
            return Outcome(flow.summary(), analysis, evidence)
    finally:
        local_stack.down(state_dir)


def _open(analysis: Analysis) -> list[str]:
    """Names of metrics of which nothing is proven."""
    return [
        metric.name
        for metric in analysis.metrics
        for each in metric.comparisons
        if not any(claim.proven for claim in each.claims)
    ]


def _shift(session: Session, share_bp: int) -> str:
    first = session.experiment.split
    split = first.with_shares({first.names[1]: share_bp})
    shift.shift(session, split, why="the demo's ramp")
    return f"shifted to {split}, while requests flow"


def _promote(session: Session, treatment: str | None) -> str:
    first = session.experiment.split
    split = everything_to(first, treatment or first.names[1])
    shift.shift(session, split, why="the demo's verdict: ship")
    return f"promoted: {split}, while requests flow"


class _Flow:
    """Traffic that flows while something else is done."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        experiment: Experiment,
        stack: Stack,
        schedule: Schedule,
        report: Report,
    ) -> None:
        self.stop = threading.Event()
        self._state_dir, self._report = stack.state_dir, report
        self._expected = schedule.expected
        self._began: float | None = None
        self._sent: Future[Summary] = pool.submit(
            simulate,
            experiment,
            stack.entrance_url,
            schedule.traffic,
            report=self._note,
            stop=self.stop,
        )

    def _note(self, done: int, _: int) -> None:
        # The first call comes as soon as requests are sent: modules are loaded before that.
        self._began = self._began or time.monotonic()
        self._report.requests(min(done, self._expected), self._expected)

    @property
    def seconds(self) -> float:
        """Since the first request."""
        return time.monotonic() - self._began if self._began else 0.0

    def wait(self, until_seconds: float, sleep: Callable[[float], None]) -> None:
        """Wait until requests flow for so long; whatever ended in the meantime is an error."""
        self._require()
        while self.seconds < until_seconds:
            sleep(_LOOK_SECONDS)
            self._require()

    def _require(self) -> None:
        """Make sure that everything runs and requests flow."""
        if dead := local_stack.status(self._state_dir).dead:
            raise ClusterError(
                f"in the middle of the demo: {dead[0].name} {dead[0].ending}",
                f"its last lines are in {dead[0].log}",
            )
        if self._sent.done():
            sent = self._sent.result()
            raise ClusterError(
                f"in the middle of the demo: no more requests after {sent.requests:,}",
                f"what the servers say is in {self._state_dir / logs.FOLDER}",
            )

    def summary(self) -> Summary:
        """What came back, once it was told to stop."""
        return self._sent.result()
