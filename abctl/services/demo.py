"""`abctl demo`: the whole loop on this machine, from two models to a verdict."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from abctl.core.analysis import Analysis
from abctl.core.experiment import Experiment
from abctl.errors import ClusterError, UsageError
from abctl.files import read, replace, writing
from abctl.local.stack import Stack
from abctl.platforms import platform
from abctl.services import local, shift, world
from abctl.services._forms import VERSION
from abctl.services._part import UnfitError
from abctl.services.analyze import analyze
from abctl.services.simulate import Summary, Traffic, simulate

# When so much of the traffic has passed, the treatment gets that share (basis points).
RAMP = ((0.2, 3_000), (0.45, 5_000))
_SHIFT_TIMEOUT_SECONDS = 10.0
_LOOK_SECONDS = 0.1


class Report(Protocol):
    """Whoever wants to know how it goes."""

    def say(self, message: str) -> None:
        """Something was done."""

    def requests(self, done: int, total: int) -> None:
        """So much of the traffic has passed."""


@dataclass(frozen=True)
class Outcome:
    """What the demo found."""

    traffic: Summary
    analysis: Analysis


def write_experiment(path: Path, candidate: str) -> None:
    """Write the demo's experiment file, with that version of the model as the treatment.

    Raises:
        UsageError: no version, or the file cannot be written, or is something else's.
    """
    text = files("abctl.services").joinpath("demo.yaml").read_text(encoding="utf-8")
    try:
        VERSION.parse(candidate)
    except UnfitError as error:
        raise UsageError(f"--candidate {error}", "--candidate v3") from None
    if path.exists() and not _is_ours(path, text):
        raise UsageError(
            f"{path} would be overwritten by the experiment of the demo", "name another --state"
        )
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    replace(path, text.replace("version: v2", f"version: {candidate}"))


def _is_ours(path: Path, text: str) -> bool:
    """Whether an earlier demo wrote a file: it begins with the same line."""
    try:
        return read(path).splitlines()[:1] == text.encode().splitlines()[:1]
    except OSError:
        return False


def demo(
    experiment: Experiment,
    traffic: Traffic,
    *,
    state_dir: Path,
    models_dir: Path,
    report: Report,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Outcome:
    """Start the stack, send traffic, shift twice while it flows, analyze, stop the stack.

    Raises:
        ClusterError: something did not start, or ended in the middle; nothing is left running.
    """
    try:
        stack = local.up(
            experiment, state_dir=state_dir, models_dir=models_dir, tied=True, report=report.say
        )
        with ThreadPoolExecutor(1) as pool:
            flow = _Flow(pool, experiment, stack, traffic, report)
            try:
                for passed_ratio, share_bp in RAMP:
                    flow.wait(passed_ratio, sleep)
                    report.say(_shift(experiment, state_dir, share_bp, clock, sleep))
                summary = flow.result(sleep)
            finally:
                flow.stop.set()
        report.say("reading the evidence")
        return Outcome(summary, analyze(world.door(experiment, state_dir), experiment, state_dir))
    finally:
        local.down(state_dir)


def _shift(
    experiment: Experiment,
    state_dir: Path,
    share_bp: int,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> str:
    split = experiment.split.with_shares({experiment.split.names[1]: share_bp})
    shift.shift(
        world.door(experiment, state_dir),
        platform(experiment.platform),
        experiment,
        split,
        actor="demo",
        why="the demo's ramp",
        clock=clock,
        sleep=sleep,
        timeout_seconds=_SHIFT_TIMEOUT_SECONDS,
    )
    return f"shifted to {split}, while requests flow"


class _Flow:
    """Traffic that flows while something else is done."""

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        experiment: Experiment,
        stack: Stack,
        traffic: Traffic,
        report: Report,
    ) -> None:
        self.stop = threading.Event()
        self._state_dir, self._report = stack.state_dir, report
        self._passed_ratio = 0.0
        self._sent: Future[Summary] = pool.submit(
            simulate,
            experiment,
            stack.entrance_url,
            traffic,
            report=self._note,
            stop=self.stop,
        )

    def _note(self, done: int, total: int) -> None:
        self._passed_ratio = done / total
        self._report.requests(done, total)

    def wait(self, passed_ratio: float, sleep: Callable[[float], None]) -> None:
        """Wait until so much has passed; whatever ended in the meantime is an error."""
        while not self._sent.done() and self._passed_ratio < passed_ratio:
            if dead := local.status(self._state_dir).dead:
                raise ClusterError(
                    f"in the middle of the demo: {dead[0].name} {dead[0].ending}",
                    f"its last lines are in {dead[0].log}",
                )
            sleep(_LOOK_SECONDS)

    def result(self, sleep: Callable[[float], None]) -> Summary:
        """Wait for the last feedback."""
        self.wait(math.inf, sleep)
        return self._sent.result()
