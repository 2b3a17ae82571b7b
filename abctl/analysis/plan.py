"""How many units an experiment needs, how long that takes, and what other sizes would cost."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from abctl.analysis.plan_pairs import Pairs, pairs_of
from abctl.analysis.ramp import Shares, Step, units_through
from abctl.core.delta import format_delta
from abctl.core.experiment import Direction
from abctl.errors import SpecError, UsageError
from abctl.stats.delta import Delta
from abctl.stats.power import sizes as sizing
from abctl.stats.power import targets
from abctl.stats.power.up_to_horizon import cost_of_horizon
from abctl.stats.summary import SummaryError

Kind = Literal["proportion", "mean", "rate", "quantile", "ratio"]
Test = Literal["sequential", "horizon", "fixed"]
Looking = Literal["fixed", "group-sequential", "horizon", "sequential"]

# Beyond it a square or its inverse is no number any more.
LARGEST = 1e100
_OTHER_SIZES = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_DURATIONS_DAYS = (7.0, 14.0, 28.0)


@dataclass(frozen=True)
class Question:
    """What is planned.

    Attributes:
        baseline: the control's value: a share for proportions, events per unit for rates.
        size: the smallest effect worth finding, of either sign (the MDE, two-sided); or a margin.
        is_margin: whether the size is a guardrail's margin: shown must be that a treatment which
            changes nothing stays within it (one-sided).
        shares: of control and treatments, in (0, 1].
        sd: standard deviation of a unit's value, for means; of its logarithm, for quantiles; for
            ratios that of the numerator minus the ratio times the denominator, where it is known.
        cvs: of ratios: variation of a user's numerator and denominator, and their correlation.
        quantile: which, for quantiles.
        direction: which way the effect goes.
        one_sided: whether only that way counts: so the verdict decides. A margin is always so.
        comparisons: how many share alpha: treatments times primaries; of a margin, treatments.
        alpha, power: error rate of the whole experiment; probability to find the effect.
        design_effect: how much variance grows because units come in clusters.
        requests_per_user: how many units a cluster has.
        units_per_day: traffic of all variants together; None where it is not known.
        ramp: splits before the one of `shares`, each for a time; it needs the traffic.
        differ: the share of requests that both models would answer differently; None: no pairs.
    """

    kind: Kind
    baseline: float
    size: Delta
    is_margin: bool = False
    shares: tuple[float, ...] = (0.5, 0.5)
    sd: float | None = None
    cvs: tuple[float, float, float] | None = None
    quantile: float | None = None
    direction: Direction = "increase"
    one_sided: bool = False
    comparisons: int = 1
    alpha: float = 0.05
    power: float = 0.8
    test: Test = "horizon"
    design_effect: float = 1.0
    requests_per_user: float = 1.0
    units_per_day: float | None = None
    ramp: tuple[Step, ...] = ()
    differ: float | None = None

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
        reach: what common durations find, in days (None: nothing); not of a ramp.
        elsewhere: the control's units of one look by calculators that take its variance alone as
            that of both variants without a difference; None where they say the same.
        pairs: what would do if both models answered the same requests; None where it is not asked.
    """

    question: Question
    row: Row
    trade_off: tuple[Row, ...]
    looking: tuple[tuple[Looking, Row], ...]
    reach: tuple[tuple[float, Delta | None], ...]
    elsewhere: int | None = None
    pairs: Pairs | None = None


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
            f"{format_delta(question.size, question.kind)} from {question.baseline:.4g} leaves "
            f"{'0% to 100%' if question.kind == 'proportion' else 'nothing'}",
            "plan a smaller effect, or the other --direction",
        )
    others = (Delta(question.size.value * f, question.size.relative) for f in _OTHER_SIZES)
    rows = tuple(found for other in others if (found := _row(question, other, question.test)))
    looking = tuple(
        (how, found) for how in get_args(Looking) if (found := _row(question, question.size, how))
    )
    reach, elsewhere = tuple(_reach(question)), _elsewhere(question, row)
    return Answer(question, row, rows, looking, reach, elsewhere, _pairs(question, row.effect))


def _pairs(question: Question, effect: float) -> Pairs | None:
    if question.differ is None or (question.kind, question.is_margin) != ("proportion", False):
        return None
    asked = question.differ, question.alpha_each, question.power
    return pairs_of(effect, *asked, one_sided=question.one_way)


def _elsewhere(question: Question, row: Row) -> int | None:
    if question.kind != "proportion" or question.is_margin or question.ramp:
        return None
    variances = _target(question, row.effect).variances
    target = sizing.Target(row.effect, variances, null_variances=(variances[0], variances[0]))
    control, *treatments = question.shares
    n, _ = sizing.sample_size(
        target,
        question.alpha_each,
        question.power,
        ratio=min(treatments) / control,
        one_sided=question.one_way,
        inflation=question.design_effect,
    )
    return n


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
    if question.kind == "ratio" and question.sd is None:
        _check_ratio(question)
    _check_quantile(question)
    if question.ramp and question.units_per_day is None:
        raise UsageError("a ramp without the traffic", "add --traffic 10000/day")
    if question.kind in ("mean", "ratio") and question.size.relative and question.baseline == 0:
        raise UsageError("nothing is relative to a baseline of 0", "write 0.5abs")
    if not 0 < question.alpha < question.power < 1:
        raise UsageError(
            f"alpha {question.alpha:g} and power {question.power:g}, must be over 0 and under 1",
            "usual are --alpha 0.05 --power 0.8; the power is the higher one",
        )


def _check_ratio(question: Question) -> None:
    example = "--cv 1.5 --over-cv 0.8 --over-correlation 0.5"
    if question.cvs is None:
        raise UsageError(
            "a ratio needs the coefficient of variation (standard deviation / mean) of a user's "
            "numerator, and of the denominator if that varies",
            f"add {example}, or --live if the experiment runs",
        )
    *cvs, correlation = question.cvs
    if not (0 < cvs[0] <= LARGEST and 0 <= cvs[1] <= LARGEST and -1 <= correlation <= 1):
        raise UsageError(
            f"--cv {cvs[0]:g} must be over 0, --over-cv {cvs[1]:g} at least 0 (both at most "
            f"{LARGEST:g}), and --over-correlation {correlation:g} from -1 to 1",
            example,
        )
    if question.baseline == 0:
        raise UsageError("nothing varies around a ratio of 0", "--baseline 12.5")


def _check_quantile(question: Question) -> None:
    if question.quantile is not None and not 0 < question.quantile < 1:
        raise UsageError(
            f"--quantile {question.quantile:g}, must be over 0 and under 1", "--quantile 0.95"
        )
    if question.kind != "quantile" and question.quantile is not None:
        raise UsageError(f"--quantile is not of a {question.kind}", "add --kind quantile")
    if question.kind == "quantile":
        if question.sd is None:
            raise UsageError(
                "a quantile needs the standard deviation of the logarithm of a value",
                "add --sd 0.5, as of many latencies",
            )
        if question.quantile is None:
            raise UsageError("which quantile?", "--quantile 0.95")


def _target(question: Question, effect: float) -> sizing.Target:
    if question.kind == "ratio" and question.sd is None:
        cv, over_cv, correlation = question.cvs or (0.0, 0.0, 0.0)
        ratio = abs(question.baseline)
        return sizing.ratios(effect, ratio, cv * ratio, (1.0, over_cv), correlation)
    if question.kind in ("mean", "ratio"):
        return sizing.means(effect, question.sd or 0.0)
    size = (question.baseline, -effect if question.is_margin else effect)
    if question.kind == "rate":
        return (targets.rate_margin if question.is_margin else targets.rates)(*size)
    if question.kind == "quantile":
        of = targets.quantile_margin if question.is_margin else targets.quantiles
        return of(*size, question.quantile or 0.5, question.sd or 0.0)
    return (sizing.margin if question.is_margin else sizing.proportions)(*size)


def _costs(question: Question, looking: Looking | Test) -> tuple[float, float]:
    """Largest and expected number of units over those of the fixed test."""
    if looking == "fixed":
        return 1.0, 1.0
    cost = {
        "horizon": cost_of_horizon,
        "sequential": sizing.cost_of_looking,
        "group-sequential": sizing.cost_of_groups,
    }
    return cost[looking](question.alpha_each, question.power, one_sided=question.one_way)


def _row(question: Question, size: Delta, looking: Looking | Test) -> Row | None:
    effect = size.absolute(question.baseline) * (1 if question.direction == "increase" else -1)
    reached = question.baseline + effect
    if question.kind == "proportion" and not (question.is_margin or 0 <= reached <= 1):
        return None
    if question.kind in ("rate", "quantile") and not (question.is_margin or reached > 0):
        return None
    largest, expected = _costs(question, looking)

    def total(shares: Shares) -> float:
        # The treatment with the smallest share takes longest.
        n, _ = sizing.sample_size(
            _target(question, effect),
            question.alpha_each,
            question.power,
            ratio=min(shares[1:]) / shares[0],
            one_sided=question.one_way,
            inflation=question.design_effect * largest,
        )
        return n / shares[0]

    def units(worth: float) -> tuple[float, ...]:
        per_day = question.units_per_day or 0.0
        return units_through(question.ramp, question.shares, per_day, total, worth)

    sizes = tuple(math.ceil(n - 1e-6) for n in units(1.0))
    average = None
    if looking != "fixed":
        # What is found on average is found early: in the ramp, where units are worth less.
        early = sum(units(expected / largest))
        average = early if question.ramp else sum(sizes) * expected / largest
    return Row(size, effect, sizes, average, question.units_per_day)


def _reach(question: Question) -> Iterator[tuple[float, Delta | None]]:
    if question.units_per_day is None or question.ramp:
        return
    largest, _ = _costs(question, question.test)
    sign = 1 if question.direction == "increase" else -1
    most = sign * _room(question, sign)
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


def _room(question: Question, sign: int) -> float:
    """The largest effect that makes sense."""
    if question.kind in ("mean", "ratio"):
        return 1e6 * (question.sd or abs(question.baseline))
    # What gets worse by a margin goes the other way than what is better.
    down = (sign < 0) != question.is_margin
    if question.kind == "proportion":
        return question.baseline if down else 1 - question.baseline
    return question.baseline * (1 - 1e-6 if down else 1e6)
