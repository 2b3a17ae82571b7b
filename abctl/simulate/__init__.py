"""`abctl simulate`: users who ask an experiment's entrance and then say whether it was right."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

from abctl import installation
from abctl.core.address import Entrance
from abctl.core.experiment import PROTOCOL, Experiment
from abctl.errors import SpecError, UnreachableError, UsageError
from abctl.simulate._examples import Examples, beside, from_file, made_up, takes_of
from abctl.simulate._tally import LatencyMs, Summary, VariantSummary
from abctl.simulate._traffic import Effect, Outcome, Rows, Traffic, outcomes, plan

__all__ = [
    "Effect",
    "Entrance",
    "Examples",
    "LatencyMs",
    "Summary",
    "Traffic",
    "VariantSummary",
    "examples",
    "simulate",
    "truths",
]
FLOWERS = "iris"


def simulate(
    experiment: Experiment,
    entrance_url: str,
    traffic: Traffic,
    *,
    rows: Examples | None = None,
    report: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> Summary:
    """Send the traffic through the entrance, with feedback, and say what came back.

    The model is asked by the V2 protocol, about `rows`, or about Iris flowers with noise. Blocks
    until it is over; it may run in a thread while another one shifts the split. Feedback that is
    due after the last request is still sent.

    Args:
        experiment: names the model, the header with the user, the outcomes.
        entrance_url: where requests go in, as `http://127.0.0.1:8080`.
        traffic: how much, from whom.
        rows: what it is asked about.
        report: told about ten times a second how many requests are done, of how many.
        stop: set it to end at once; the summary of what was done is still given.

    Raises:
        UsageError: not a URL, an effect on something the experiment does not have, or the extra
            `local` is not installed.
        SpecError: variants that serve models of different names.
        UnreachableError: nothing listens at the entrance.
    """
    entrance = Entrance.parse(entrance_url)
    told = outcomes(experiment)
    effects = _effects(experiment, traffic, told)
    path = f"/v2/models/{model_name(experiment)}/infer"
    try:
        import uvloop  # noqa: PLC0415 - these are of the extra `local`
        from sklearn.datasets import load_iris  # noqa: PLC0415

        from abctl.simulate._run import RequestTemplate, Run  # noqa: PLC0415
    except ImportError as error:
        raise installation.lacks(f"what simulate needs ({error.name})", "local") from None
    asked = RequestTemplate(path, experiment.assignment.key, experiment.split.names, told, effects)
    asked_about = rows or Rows(*load_iris(return_X_y=True))
    requests = plan(traffic, asked_about, len(told))

    async def send() -> Summary:
        run = Run(entrance, asked, traffic, requests)
        try:
            await run.open()
        except OSError as error:
            raise UnreachableError(
                f"no answer from {entrance_url}: {error.strerror or str(error) or 'timed out'}",
                "`abctl local status` shows the local stack, `abctl local up` starts one",
            ) from None
        return await run.all(report, stop or threading.Event())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(send())


def examples(
    experiment: Experiment,
    entrance_url: str,
    *,
    data: Path | None,
    label: str | None,
    folder: Path | None,
    seed: int,
) -> Examples | None:
    """What an experiment's model can be asked about; None for flowers.

    It is the given file; or an example in the model's folder; or random values of the shapes that
    the model says it takes. Only a model called iris may say nothing.

    Args:
        experiment: names the model.
        entrance_url: where it is asked what it takes.
        data: the file with rows.
        label: its column with the truth.
        folder: of the model, where that is known.
        seed: of random values.

    Raises:
        UsageError: something is wrong with the file, or nothing says what the model takes.
    """
    Entrance.parse(entrance_url)
    name = model_name(experiment)
    takes = takes_of(entrance_url, name)
    if data is None and folder is not None:
        data = beside(folder)
    if data is not None:
        return from_file(data, label, takes)
    if label is not None:
        raise UsageError(f"--label {label}: of which data?", "--data FILE has the rows")
    if takes:
        return made_up(takes, seed, name)
    if name == FLOWERS:
        return None
    raise UsageError(
        f"nothing says what model {name} takes",
        "--data FILE has rows to send; or `inputs` in its model-settings.json say it",
    )


def truths(experiment: Experiment) -> tuple[str, ...]:
    """The outcomes of an experiment for which the truth must be known.

    Raises:
        SpecError: one outcome of two kinds.
    """
    return tuple(each.name for each in outcomes(experiment) if each.needs_truth)


def model_name(experiment: Experiment) -> str:
    """The name under which all variants serve their models.

    Raises:
        SpecError: they have several, or speak another protocol than is simulated.
    """
    others = {v.model.protocol for v in experiment.variants} - {PROTOCOL}
    if others:
        raise SpecError(
            f"variants: models that speak {', '.join(others)}; simulated users speak {PROTOCOL}",
            "a runtime that speaks it, with protocol: v2",
        )
    names = sorted({variant.model.name for variant in experiment.variants})
    if len(names) != 1:
        raise SpecError(
            f"variants: models named {', '.join(names)}, must have one name to be simulated",
            "a request names the model before anything decides on the variant",
        )
    return names[0]


def _effects(
    experiment: Experiment, traffic: Traffic, told: tuple[Outcome, ...]
) -> dict[tuple[str, str], float]:
    names = [outcome.name for outcome in told]
    for each in traffic.effects:
        if each.variant not in experiment.split.names:
            raise UsageError(
                f"effect on {each.variant!r}: no such variant",
                f"variants: {', '.join(experiment.split.names)}",
            )
        if each.outcome not in names:
            raise UsageError(
                f"effect on {each.outcome!r}: no metric is made of it",
                f"outcomes of the feedback: {', '.join(names) or 'none'}",
            )
    return {(each.variant, each.outcome): each.size for each in traffic.effects}
