"""How many units an experiment needs, how long that takes, and what other sizes would cost.

The baseline and the traffic may come from an experiment that already runs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from abctl.core.analysis import Analysis
from abctl.core.delta import format_delta
from abctl.core.experiment import Direction, Experiment, Metric
from abctl.core.split import TOTAL_BP
from abctl.errors import SourceError, SpecError, UsageError
from abctl.stats.delta import Delta
from abctl.stats.power import sizes as sizing
from abctl.stats.summary import SummaryError

Kind = Literal["proportion", "mean"]
Test = Literal["sequential", "fixed"]
Looking = Literal["fixed", "group-sequential", "sequential"]

# Beyond it a square or its inverse is no number any more.
LARGEST = 1e100
_OTHER_SIZES = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_DURATIONS_DAYS = (7.0, 14.0, 28.0)
_DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Question:
    """What is planned.

    Attributes:
        baseline: the control's value: a share for proportions.
        size: the smallest effect worth finding, of either sign (the MDE, two-sided); or a margin.
        is_margin: whether the size is a guardrail's margin: what must be shown then is that a
            treatment that changes nothing stays within it (one-sided).
        shares: of control and treatments, in (0, 1].
        sd: standard deviation of a unit's value; for means.
        direction: which way the effect goes.
        one_sided: whether only that way counts: so the verdict decides. A margin is always so.
        comparisons: how many share alpha: treatments times primaries; of a margin, treatments.
        alpha, power: error rate of the whole experiment; probability to find the effect.
        design_effect: how much variance grows because units come in clusters.
        requests_per_user: how many units a cluster has.
        units_per_day: traffic of all variants together; None where it is not known.
    """

    kind: Kind
    baseline: float
    size: Delta
    is_margin: bool = False
    shares: tuple[float, ...] = (0.5, 0.5)
    sd: float | None = None
    direction: Direction = "increase"
    one_sided: bool = False
    comparisons: int = 1
    alpha: float = 0.05
    power: float = 0.8
    test: Test = "sequential"
    design_effect: float = 1.0
    requests_per_user: float = 1.0
    units_per_day: float | None = None

    @property
    def one_way(self) -> bool:
        """Whether the test has one side."""
        return self.one_sided or self.is_margin

    @property
    def alpha_each(self) -> float:
        """The level of one comparison."""
        return sizing.alpha_each(self.alpha, self.comparisons)


@dataclass(frozen=True)
class Row:
    """What one size of effect takes.

    Attributes:
        n: units of control and treatments that are enough: for a sequential test the most it takes.
        expected_total: what it takes on average if the effect is real; None for a fixed test.
    """

    size: Delta
    effect: float
    n: tuple[int, ...]
    expected_total: float | None
    units_per_day: float | None

    @property
    def total(self) -> int:
        """Units of all variants."""
        return sum(self.n)

    @property
    def days(self) -> float | None:
        """Until that many units came."""
        return self.total / self.units_per_day if self.units_per_day else None

    @property
    def expected_days(self) -> float | None:
        """The same, on average."""
        if self.units_per_day is None or self.expected_total is None:
            return None
        return self.expected_total / self.units_per_day


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        row: the plan.
        trade_off: the same for other sizes.
        looking: the same by when the data may be looked at.
        reach: what common durations find, in days (None: nothing).
    """

    question: Question
    row: Row
    trade_off: tuple[Row, ...]
    looking: tuple[tuple[Looking, Row], ...]
    reach: tuple[tuple[float, Delta | None], ...]


def plan(question: Question) -> Answer:
    """Answer a question.

    Raises:
        SpecError: an effect that the baseline has no room for, or numbers that are no plan.
    """
    _check(question)
    try:
        return _answered(question)
    except (SummaryError, ArithmeticError) as error:
        raise SpecError(
            f"these numbers make no plan: {error.args[-1]}",
            "usual are --baseline 5% --mde 2pp --alpha 0.05 --power 0.8",
        ) from None


def _answered(question: Question) -> Answer:
    row = _row(question, question.size, question.test)
    if row is None:
        raise SpecError(
            f"{format_delta(question.size)} from {question.baseline:.4g} leaves 0% to 100%",
            "plan a smaller effect, or the other --direction",
        )
    others = (Delta(question.size.value * f, question.size.relative) for f in _OTHER_SIZES)
    rows = tuple(found for other in others if (found := _row(question, other, question.test)))
    looking = tuple(
        (how, found) for how in get_args(Looking) if (found := _row(question, question.size, how))
    )
    return Answer(question, row, rows, looking, tuple(_reach(question)))


def metric_of(experiment: Experiment, name: str | None) -> Metric:
    """The metric that is planned for: the first primary unless named.

    Raises:
        UsageError: no such metric.
    """
    metrics = {metric.name: metric for metric in experiment.metrics}
    primaries = [metric for metric in experiment.metrics if metric.role == "primary"]
    metric = next(iter(primaries), None) if name is None else metrics.get(name)
    if metric is None:
        what = "primary metric" if name is None else f"metric {name!r}"
        raise UsageError(f"no {what} in {experiment.name}", f"--metric {'|'.join(metrics)}")
    return metric


def of_experiment(experiment: Experiment, metric: Metric) -> dict[str, Any]:
    """What an experiment file says of a question, as its fields.

    The verdict decides one-sided, with all primaries and treatments corrected for one another.

    Raises:
        UsageError: a metric whose size no formula gives.
    """
    if metric.kind not in get_args(Kind):
        raise UsageError(
            f"metric {metric.name}: no size is known for the kind {metric.kind}",
            "plan the share of values over a threshold, as a proportion: leave the file out",
        )
    design = experiment.design
    primaries = sum(each.role == "primary" for each in experiment.metrics)
    is_margin = metric.mde is None
    found = {
        "kind": metric.kind,
        "size": metric.mde or metric.margin,
        "is_margin": is_margin,
        "shares": tuple(share / TOTAL_BP for share in experiment.split.shares_bp),
        "direction": metric.direction,
        "one_sided": True,
        "comparisons": (1 if is_margin else max(1, primaries)) * (len(experiment.variants) - 1),
        "alpha": design.alpha,
        "power": design.power,
        "test": design.test,
    }
    return {key: value for key, value in found.items() if value is not None}


def _check(question: Question) -> None:
    if question.size.value <= 0:
        raise SpecError(
            "an effect of 0 cannot be planned for", "write what would matter: 2pp or 2%"
        )
    if question.sd is not None and not 0 < question.sd <= LARGEST:
        raise UsageError(
            f"--sd {question.sd:g}, must be over 0 and at most {LARGEST:g}", "--sd 12.5"
        )
    if question.kind == "mean" and question.sd is None:
        raise UsageError("a mean needs the standard deviation of a unit", "add --sd 12.5")
    if question.kind == "mean" and question.size.relative and question.baseline == 0:
        raise UsageError("nothing is relative to a baseline of 0", "write 0.5abs")
    if not 0 < question.alpha <= question.power < 1:
        raise UsageError(
            f"alpha {question.alpha:g} and power {question.power:g}, must be over 0 and under 1",
            "usual are --alpha 0.05 --power 0.8; the power is the higher one",
        )


def _target(question: Question, effect: float) -> sizing.Target:
    if question.kind == "mean":
        return sizing.means(effect, question.sd or 0.0)
    if question.is_margin:
        return sizing.margin(question.baseline, -effect)
    return sizing.proportions(question.baseline, effect)


def _costs(question: Question, looking: Looking) -> tuple[float, float]:
    """Largest and expected number of units over those of the fixed test."""
    if looking == "fixed":
        return 1.0, 1.0
    cost = sizing.cost_of_looking if looking == "sequential" else sizing.cost_of_groups
    return cost(question.alpha_each, question.power, one_sided=question.one_way)


def _row(question: Question, size: Delta, looking: Looking) -> Row | None:
    effect = size.absolute(question.baseline) * (1 if question.direction == "increase" else -1)
    reached = question.baseline + effect
    if question.kind == "proportion" and not (question.is_margin or 0 <= reached <= 1):
        return None
    largest, expected = _costs(question, looking)
    control, *treatments = question.shares
    # The treatment with the smallest share takes longest.
    n, _ = sizing.sample_size(
        _target(question, effect),
        question.alpha_each,
        question.power,
        ratio=min(treatments) / control,
        one_sided=question.one_way,
        inflation=question.design_effect * largest,
    )
    sizes = tuple(math.ceil(n * share / control - 1e-6) for share in question.shares)
    average = None if looking == "fixed" else sum(sizes) * expected / largest
    return Row(size, effect, sizes, average, question.units_per_day)


def _reach(question: Question) -> Iterator[tuple[float, Delta | None]]:
    if question.units_per_day is None:
        return
    largest, _ = _costs(question, question.test)
    sign = 1 if question.direction == "increase" else -1
    room = question.baseline if sign < 0 else 1 - question.baseline
    most = sign * (room if question.kind == "proportion" else 1e6 * (question.sd or 0.0))
    for days in _DURATIONS_DAYS:
        total = days * question.units_per_day
        found = sizing.smallest_effect(
            lambda effect: _target(question, effect),
            most,
            (total * question.shares[0], total * min(question.shares[1:])),
            question.alpha_each,
            question.power,
            one_sided=question.one_way,
            inflation=question.design_effect * largest,
        )
        scale = abs(question.baseline) if question.size.relative else 1.0
        yield days, None if found is None else Delta(abs(found) / scale, question.size.relative)


def units_per_day(found: Analysis) -> float:
    """Requests of all variants a day, over all the time that counts.

    Raises:
        SourceError: none was counted yet.
    """
    seconds = sum(epoch.end - epoch.start for epoch in found.epochs if epoch.counted)
    requests = sum(variant.requests or 0.0 for variant in found.variants)
    if seconds <= 0 or requests <= 0:
        raise SourceError(
            f"{found.source} has counted no request of {found.experiment} yet",
            "wait, or say what you expect with --traffic 10000/day",
        )
    return requests / seconds * _DAY_SECONDS


def baseline(found: Analysis, metric: str) -> float:
    """The control's value of a metric, over all the time that counts.

    Raises:
        SourceError: it has none yet.
    """
    control = found.variants[0]
    if (value := control.values.get(metric)) is None:
        raise SourceError(
            f"{found.source} has no value of {metric} of {control.name} yet",
            "wait, or say what it is with --baseline",
        )
    return value
