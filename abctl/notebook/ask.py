"""The questions of a notebook: the same sessions, judgements and plans as on the command line."""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

from abctl import spec
from abctl.analysis import plan_inputs
from abctl.analysis.plan import plan as planned
from abctl.core.experiment import Experiment
from abctl.errors import AbctlError, UsageError
from abctl.notebook.findings import Findings
from abctl.notebook.sizes import Sizes
from abctl.report.analysis import hint, hint_of_table
from abctl.report.asking import Asked, question
from abctl.session import analyze as service
from abctl.session.open import Where, open_session
from abctl.spec import reach

LOOKS = 48
# A command that is shown keeps its options.
_OPTION = re.compile(r"abctl [a-z].*|--([a-z][a-z-]*)")


class Place(TypedDict, total=False):
    """Which world is meant, and where its evidence is; as the options of `abctl analyze`.

    Attributes:
        state: the folder of the local stack.
        namespace, context, kubeconfig: the cluster.
        prometheus: URL of the counters, if not where the experiment or its stack says.
        prometheus_config: a file that says how to reach it.
        allow_credentials: hosts to which secrets may be sent that the experiment file names.
    """

    state: str | Path
    namespace: str
    context: str
    kubeconfig: str | Path
    prometheus: str
    prometheus_config: str | Path
    allow_credentials: Collection[str]


class Planned(Asked, total=False):
    """What may be asked of a plan: see `Asked`; and of which metric of the experiment."""

    metric: str


def load(path: str | Path) -> Experiment:
    """Read an experiment file.

    Raises:
        SpecError: whatever is wrong with it, each with its place, its value and a hint.
    """
    with _told():
        return spec.load(Path(path))


def analyze(experiment: str | Path | Experiment, **place: Unpack[Place]) -> Findings:
    """What the evidence of an experiment says, as `abctl analyze` does.

    Args:
        experiment: that was loaded, or its file.
        place: see `Place`; without it the local stack of that name, else the current cluster.

    Raises:
        SpecError: whatever is wrong with the file.
        ClusterError: the experiment was not started, or its world cannot be reached.
        SourceError: the evidence cannot be read, or contradicts itself.
    """
    with _told():
        return in_world(experiment, place)


def in_world(
    experiment: str | Path | Experiment,
    place: Place,
    say: Callable[[str], object] = lambda _: None,
) -> Findings:
    """As `analyze`; it says which world it is, and errors are those of the command line."""
    where = Where(
        state=_path(place.get("state")),
        kubeconfig=_path(place.get("kubeconfig")),
        context=place.get("context"),
        namespace=place.get("namespace"),
    )
    loaded = experiment if isinstance(experiment, Experiment) else spec.load(Path(experiment))
    word = loaded.name if isinstance(experiment, Experiment) else str(experiment)
    session = replace(
        open_session(word, where, loaded),
        prometheus_url=place.get("prometheus"),
        prometheus_config=_path(place.get("prometheus_config")),
    )
    say(session.words)
    of_file = session.prometheus_url is None and session.prometheus_config is None
    sent = reach.sending(session.experiment, counters=of_file)
    if sent is not None and sent.allowed_by(place.get("allow_credentials", ())):
        session = replace(session, experiment=reach.agreed(session.experiment))
    found, history = service.analyze_with_history(session, looks=LOOKS)
    file = None if isinstance(experiment, Experiment) else word
    local = session.state_dir is not None
    return Findings(found, history, hint_of_table(found) or hint(found, file, simulated=local))


def judge(saved: str | Path) -> Findings:
    """Judge evidence that `abctl analyze --save` wrote; needs nothing but the file.

    Raises:
        SourceError: it cannot be read, or contradicts itself.
    """
    with _told():
        return of_saved(saved)


def of_saved(saved: str | Path) -> Findings:
    """As `judge`; errors are those of the command line."""
    found, history = service.analyze_saved_with_history(Path(saved), LOOKS)
    return Findings(found, history, hint_of_table(found) or hint(found, None))


def plan(experiment: str | Path | Experiment | None = None, **asked: Unpack[Planned]) -> Sizes:
    """How many units an experiment needs, and what other effects would take.

    >>> plan(baseline="5%", mde="2pp", test="fixed").answer.row.total
    4426

    Args:
        experiment: that was loaded, or its file; what is asked goes before what it says.
        asked: see `Asked`: `baseline="5%"`, `mde="2pp"`, `traffic="10000/day"`.

    Raises:
        SpecError: whatever is wrong with the file.
        UsageError: something is missing, cannot be read or contradicts something else.
    """
    with _told():
        known: dict[str, Any] = {}
        options = set(Planned.__required_keys__ | Planned.__optional_keys__)
        for other in sorted(asked.keys() - options):
            known_ones = ", ".join(sorted(options))
            raise UsageError(f"{other} is nothing to plan with", f"must be one of {known_ones}")
        if experiment is not None:
            loaded = experiment if isinstance(experiment, Experiment) else load(experiment)
            metric = plan_inputs.metric_of(loaded, asked.get("metric"))
            known |= plan_inputs.of_experiment(loaded, metric)
        return Sizes(planned(question(asked, known)))


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


@contextmanager
def _told() -> Iterator[None]:
    """Errors with their hint below them, and with arguments where the command has options."""
    try:
        yield
    except AbctlError as error:
        if not getattr(error, "__notes__", ()):
            error.add_note(f"hint: {_OPTION.sub(_argument, error.hint)}")
        error.args = (_OPTION.sub(_argument, error.message),)
        raise


def _argument(option: re.Match[str]) -> str:
    return option[1].replace("-", "_") if option[1] else option[0]
