"""Two variants as arrays, one look: one function a question.

Each takes the options of `Options` (alpha, alternative, null, mde) as keywords. Unlike scipy's
`ttest_ind(a, b)`, whose statistic is a minus b, effects are treatment minus control.
"""

from typing import Any, Unpack

import numpy as np

from abctl.stats.library import arguments, once, summed
from abctl.stats.library.arguments import Options, plan_of
from abctl.stats.library.result import Result
from abctl.stats.summaries.linear import linearized
from abctl.stats.summary import Array, Counts

Two = tuple[object, object]
_MOST_TRIALS = 1e70


def compare_means(
    control: object,
    treatment: object,
    *,
    before: Two | None = None,
    equal_var: bool = False,
    name: str = "mean",
    **options: Unpack[Options],
) -> Result:
    """Two means by Welch's t-test, with the lift; with values from before, by CUPED.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> control, treatment = rng.normal(10.0, 2.0, 500), rng.normal(10.5, 2.0, 500)
    >>> print(compare_means(control, treatment))
    mean: 9.929 in control, 10.35 in treatment
    effect +0.4259 (+0.1809 to +0.671), lift +4.3% (+1.8% to +6.8%)
    p = 0.000673, welch, two-sided at alpha 0.05, n 500 and 500

    Args:
        control: the value of each unit; units are independent of each other.
        treatment: the same.
        before: a covariate of the same units of control and of treatment, in the same order, fixed
            before the experiment began (the same metric in the weeks before, as a rule).
        equal_var: False, as variances need not be equal here; for scipy's users.
        name: stands in the result.
        options: see `Options`.

    Raises:
        TypeError: values that are no numbers.
        ValueError: empty columns, values that are not finite, unlike lengths, bad options.
    """
    if equal_var is not False:
        raise ValueError(
            f"equal_var={equal_var!r}: Student's test errs where variances differ, only Welch's is "
            "offered; leave equal_var out"
        )
    plan = plan_of(**options)
    sides = _numbers(control, treatment)
    if before is not None:
        covariates = _pair("before", before)
        for side, x, which in zip(sides, covariates, ("control", "treatment"), strict=True):
            arguments.same_length([(which, side), (f"before, {which}", x)])
        return Result.of(name, once.by_cuped(sides, covariates, plan), plan)
    return Result.of(name, once.by_welch(sides, plan), plan)


def compare_proportions(
    *,
    control: object,
    treatment: object,
    name: str = "proportion",
    **options: Unpack[Options],
) -> Result:
    """Two shares by the score test, from counts or from values of 0 and 1.

    >>> found = compare_proportions(control=(100, 1000), treatment=(130, 1000))
    >>> round(found.effect, 4), round(found.p, 4)
    (0.03, 0.0355)
    >>> compare_proportions(control=[False] * 40 + [True] * 60, treatment=[True] * 100).control
    0.6

    Both are named, so that nobody takes them for the successes and trials of other libraries.

    Args:
        control: a tuple (successes, trials), or a column of 0 and 1.
        treatment: the same.
        name: stands in the result.
        options: see `Options`.
    """
    plan = plan_of(**options)
    sides = _counts("control", control), _counts("treatment", treatment)
    return Result.of(name, once.by_score(*sides, plan), plan)


def compare_ratios(
    control: Two, treatment: Two, *, name: str = "ratio", **options: Unpack[Options]
) -> Result:
    """Two ratios of sums, such as clicks per view, where users are assigned (delta method).

    >>> views = [4, 2, 6, 3] * 25  # of 100 users
    >>> clicks, more = [1, 0, 2, 1] * 25, [1, 1, 3, 1] * 25
    >>> found = compare_ratios((clicks, views), (more, views))
    >>> round(found.control, 4), round(found.treatment, 4), found.rejects
    (0.2667, 0.4, True)

    Args:
        control: numerators and denominators of each user.
        treatment: the same; numbers of users may differ.
        name: stands in the result.
        options: see `Options`.

    Raises:
        ValueError: also where a denominator is negative.
    """
    plan = plan_of(**options)
    values, below = [], []
    for which, side in (("control", control), ("treatment", treatment)):
        numerator, denominator = _pair(which, side)
        arguments.same_length(
            [(f"numerator of {which}", numerator), (f"denominator of {which}", denominator)]
        )
        if np.any(denominator < 0):
            raise ValueError(f"denominator of {which}: {denominator.min():g} is negative")
        each = linearized(numerator, denominator)
        if each is None:
            raise ValueError(f"denominator of {which}: sums to 0, so there is no ratio")
        values.append(each)
        below.append(denominator)
    found = once.by_linearization((values[0], values[1]), (below[0], below[1]), plan)
    return Result.of(name, found, plan)


def compare_quantiles(
    control: object,
    treatment: object,
    q: float,
    *,
    name: str | None = None,
    **options: Unpack[Options],
) -> Result:
    """A quantile of raw values, such as the 95th percentile of latency.

    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> found = compare_quantiles(rng.exponential(1.0, 2000), rng.exponential(1.2, 2000), 0.95)
    >>> round(found.control, 2), round(found.treatment, 2), found.rejects
    (2.88, 3.56, True)

    Args:
        control: values, independent of each other.
        treatment: the same.
        q: which quantile, in (0, 1): 0.95 for the 95th percentile.
        name: stands in the result.
        options: see `Options`.
    """
    plan = plan_of(quantile=q, **options)
    found = once.by_woodruff(_numbers(control, treatment), plan)
    return Result.of(name or f"quantile {q:g}", found, plan)


def _numbers(control: object, treatment: object) -> tuple[Array, Array]:
    return arguments.numbers("control", control), arguments.numbers("treatment", treatment)


def _pair(name: str, two: object) -> tuple[Array, Array]:
    if not isinstance(two, tuple | list) or len(two) != 2:
        raise TypeError(f"{name}: must be two columns, is {type(two).__name__}")
    return arguments.numbers(f"{name}[0]", two[0]), arguments.numbers(f"{name}[1]", two[1])


def _counts(name: str, side: object) -> Counts:
    if isinstance(side, tuple):
        return _of_pair(name, side)
    values = arguments.numbers(name, side)
    if not np.all((values == 0.0) | (values == 1.0)):
        strange = values[(values != 0.0) & (values != 1.0)][0]
        raise ValueError(
            f"{name}: {strange:g} is neither 0 nor 1; counts are a tuple (successes, trials)"
        )
    return summed.counts_of(values, summed.once(values))


def _of_pair(name: str, pair: tuple[Any, ...]) -> Counts:
    if len(pair) != 2:
        raise ValueError(f"{name}={pair!r}: must be (successes, trials)")
    successes, n = (arguments.number(name, each, least=0.0) for each in pair)
    if successes != int(successes) or n != int(n):
        raise ValueError(f"{name}={pair!r}: successes and trials must be whole numbers")
    if n > _MOST_TRIALS:
        raise ValueError(f"{name}: {n:g} trials, must be at most {_MOST_TRIALS:g}")
    if successes > n or n == 0:
        raise ValueError(f"{name}={pair!r}: must be (successes, trials), with a trial at least")
    return Counts(np.array([n]), np.array([successes]))
