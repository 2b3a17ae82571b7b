"""How many units an experiment needs: one line a kind of metric.

Sizes are of one control and one treatment; `abctl.stats.power.sizes` has what they are made of.
"""

from dataclasses import dataclass
from typing import Any, Literal, Unpack, get_args

from abctl.stats.delta import Delta
from abctl.stats.estimate import Plan
from abctl.stats.library.arguments import Sides, number, plan_of
from abctl.stats.power import sizes
from abctl.stats.power.sizes import Target
from abctl.stats.power.up_to_horizon import cost_of_horizon

Test = Literal["fixed", "horizon", "sequential"]


@dataclass(frozen=True)
class SampleSize:
    """Units of control and treatment.

    >>> from abctl.stats import sample_size_proportions
    >>> print(sample_size_proportions(0.05, "2pp"))
    2,213 control and 2,213 treatment find an effect of +0.02 with power 0.8
    (fixed, two-sided at alpha 0.05)

    Attributes:
        effect: absolute, in the metric's unit.
    """

    control: int
    treatment: int
    effect: float
    power: float
    plan: Plan
    test: Test

    @property
    def total(self) -> int:
        """Of both."""
        return self.control + self.treatment

    def to_dict(self) -> dict[str, Any]:
        """One value a key.

        >>> from abctl.stats import sample_size_means
        >>> sample_size_means("0.5abs", sd=2.0).to_dict()["control"]
        252
        """
        return {
            "control": self.control,
            "treatment": self.treatment,
            "effect": self.effect,
            "power": self.power,
            "alpha": self.plan.alpha,
            "alternative": self.plan.alternative,
            "test": self.test,
        }

    def __str__(self) -> str:
        return (
            f"{self.control:,} control and {self.treatment:,} treatment find an effect of "
            f"{self.effect:+.4g} with power {self.power:g}\n"
            f"({self.test}, {self.plan.alternative} at alpha {self.plan.alpha:g})"
        )


def sample_size_proportions(
    baseline: float,
    mde: str | Delta,
    *,
    power: float = 0.8,
    ratio: float = 1.0,
    test: Test = "fixed",
    **options: Unpack[Sides],
) -> SampleSize:
    """Units that find a difference of two shares.

    >>> sample_size_proportions(0.05, "10%", test="horizon").control > 31_234  # that of one look
    True

    Args:
        baseline: the control's share, in (0, 1).
        mde: the smallest effect worth finding, such as "2pp" or "10%".
        power: the probability to find it.
        ratio: treatment units per control unit.
        test: `fixed` is looked at once; `horizon` and `sequential` at any time.
        options: `alpha` and `alternative`, see `Sides`. With `less` the effect is a decrease.

    Raises:
        TypeError, ValueError: arguments that cannot be.
    """
    level = number("baseline", baseline)
    if not 0.0 < level < 1.0:
        raise ValueError(f"baseline={level:g}: must be a share in (0, 1)")
    plan = plan_of(mde=mde, **options)
    effect = _effect(plan, level)
    if not 0.0 <= level + effect <= 1.0:
        raise ValueError(f"mde={mde!r}: takes a baseline of {level:g} out of [0, 1]")
    return _size(sizes.proportions(level, effect), plan, power, ratio, test)


def sample_size_means(
    mde: str | Delta,
    *,
    sd: float,
    baseline: float | None = None,
    power: float = 0.8,
    ratio: float = 1.0,
    test: Test = "fixed",
    **options: Unpack[Sides],
) -> SampleSize:
    """Units that find a difference of two means.

    >>> sample_size_means("0.5abs", sd=2.0).control  # 2 * 4 * (1.96 + 0.84)^2 / 0.5^2
    252
    >>> sample_size_means("5%", sd=2.0, baseline=10.0).effect
    0.5

    Args:
        mde: the smallest effect worth finding; a relative one needs the baseline.
        sd: standard deviation of a unit's value. With a covariate from before, that of what is left
            of it: sd * sqrt(1 - correlation^2).
        baseline: the control's mean.
        power: the probability to find it.
        ratio: treatment units per control unit.
        test: as of shares.
        options: `alpha` and `alternative`, see `Sides`.
    """
    spread, plan = number("sd", sd, least=0.0), plan_of(mde=mde, **options)
    assert plan.mde is not None, "it was given"
    if baseline is None and plan.mde.relative:
        raise ValueError(f"mde={mde!r}: is relative, so the baseline is needed")
    effect = _effect(plan, number("baseline", 0.0 if baseline is None else baseline))
    return _size(sizes.means(effect, spread), plan, power, ratio, test)


def _effect(plan: Plan, baseline: float) -> float:
    assert plan.mde is not None, "it was given"
    size = plan.mde.absolute(baseline)
    return -size if plan.alternative == "less" else size


def _size(target: Target, plan: Plan, power: float, ratio: float, test: Test) -> SampleSize:
    require_power(power, plan)
    power, ratio = number("power", power), number("ratio", ratio)
    if ratio <= 0.0:
        raise ValueError(f"ratio={ratio:g}: must be over 0")
    one_sided, inflation = plan.alternative != "two-sided", cost_of(test, plan, power)
    control, treatment = sizes.sample_size(
        target, plan.alpha, power, ratio=ratio, one_sided=one_sided, inflation=inflation
    )
    return SampleSize(control, treatment, target.effect, power, plan, test)


def require_power(power: object, plan: Plan) -> None:
    """That it is a probability above that of an error.

    Raises:
        TypeError, ValueError: it is not.
    """
    if not plan.alpha < (found := number("power", power)) < 1.0:
        raise ValueError(f"power={found:g}: must be over alpha, and under 1")


def cost_of(test: Test, plan: Plan, power: float) -> float:
    """What looking costs: units over those of one look.

    >>> round(cost_of("horizon", plan_of(), 0.8), 2)
    1.09

    Raises:
        ValueError: no such test.
    """
    if test not in get_args(Test):
        raise ValueError(f"test={test!r}: must be one of {', '.join(get_args(Test))}")
    one_sided = plan.alternative != "two-sided"
    if test == "horizon":
        return cost_of_horizon(plan.alpha, power, one_sided=one_sided)[0]
    if test == "sequential":
        return sizes.cost_of_looking(plan.alpha, power, one_sided=one_sided)[0]
    return 1.0
