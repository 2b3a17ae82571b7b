"""Two models on the same requests: what they got right, or their errors."""

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from abctl.stats.delta import Delta
from abctl.stats.library import arguments
from abctl.stats.library.arguments import Options, Sides, number, plan_of
from abctl.stats.library.result import Result
from abctl.stats.library.sizes import Test, cost_of, require_power
from abctl.stats.methods import mcnemar, paired_mean, paired_proportion
from abctl.stats.power import sizes, targets
from abctl.stats.summaries.paired import PairedCounts, paired
from abctl.stats.summaries.paired_means import paired_moments
from abctl.stats.summary import Stream, SummaryError


def compare_paired(
    control: object,
    treatment: object,
    *,
    pairs: int | None = None,
    both: int | None = None,
    name: str = "pairs",
    **options: Unpack[Options],
) -> Result:
    """Two models that answered the same requests, at one look.

    >>> right_v1 = [True] * 930 + [False] * 70
    >>> right_v2 = [True] * 915 + [False] * 15 + [True] * 30 + [False] * 40
    >>> print(compare_paired(right_v1, right_v2, name="accuracy"))
    accuracy: 0.93 in control, 0.945 in treatment
    effect +0.015 (+0.001932 to +0.02909), lift +1.6% (+0.2% to +3.2%)
    p = 0.0357, mcnemar, two-sided at alpha 0.05, n 1,000 and 1,000
    >>> compare_paired(15, 30, pairs=1000).p == compare_paired(15, 30, pairs=1000, both=915).p
    True

    Values of 0 and 1 (or False and True) are shares, by McNemar's exact test, and with a margin by
    Tango's. Other numbers, such as errors, are means, by Student's t of their differences.

    Args:
        control: a value of each request; or with `pairs` the number of requests in which the
            control alone is right.
        treatment: the same of the same requests, in the same order.
        pairs: how many requests there are, where the others are numbers of them.
        both: in how many of them both are right; None: nobody knows, as answers that agree need no
            label. Then values of control and treatment are shares in which it alone is right.
        name: stands in the result.
        options: see `Options`.

    Raises:
        TypeError: values that are no numbers, or columns together with `pairs`.
        ValueError: unlike lengths, values that are not finite, counts that cannot be, bad options.
    """
    plan = plan_of(**options)
    if pairs is not None or arguments.is_number(control) or arguments.is_number(treatment):
        shares = _of_counts(pairs, both, control, treatment)
    else:
        if both is not None:
            raise TypeError(f"both={both!r}: is of counts, which come with pairs=")
        sides = arguments.numbers("control", control), arguments.numbers("treatment", treatment)
        arguments.same_length([("control", sides[0]), ("treatment", sides[1])])
        a, b = sides
        if not np.all((a == 0.0) | (a == 1.0)) or not np.all((b == 0.0) | (b == 1.0)):
            shift = float(np.concatenate(sides).mean())
            return Result.of(name, paired_mean.estimate(paired_moments(a, b, shift), plan), plan)
        shares = paired(a.size, a @ b, a @ (1.0 - b), b @ (1.0 - a))
    method = paired_proportion if plan.null.value else mcnemar
    return Result.of(name, method.estimate(shares, plan), plan)


def _of_counts(
    pairs: object, both: object, control: object, treatment: object
) -> Stream[PairedCounts]:
    if pairs is None:
        raise TypeError("counts of control and treatment need pairs=, the number of all requests")
    given = {"pairs": pairs, "control": control, "treatment": treatment}
    if both is not None:
        given["both"] = both
    counts = {each: number(each, value, least=0.0) for each, value in given.items()}
    for each, count in counts.items():
        if count != int(count):
            raise ValueError(f"{each}={count:g}: must be a whole number of requests")
    try:
        return paired(
            counts["pairs"],
            counts.get("both", 0.0),
            counts["control"],
            counts["treatment"],
            labelled=both is not None,
        )
    except SummaryError as error:
        raise ValueError(f"{error}: {', '.join(f'{k}={v:g}' for k, v in counts.items())}") from None


@dataclass(frozen=True)
class PairedSize:
    """Pairs of answers, and how many of them need a label.

    >>> print(sample_size_paired("1pp", differ="3%"))
    2,353 pairs find an effect of +0.01 with power 0.8; about 71 differ and need a label
    (fixed, two-sided at alpha 0.05)

    Attributes:
        pairs: requests that both models answer.
        labels: of them, about so many have different answers.
        effect: treatment minus control.
    """

    pairs: int
    labels: int
    effect: float
    power: float
    alpha: float
    alternative: str
    test: Test

    def to_dict(self) -> dict[str, Any]:
        """One value a key."""
        return dict(vars(self))

    def __str__(self) -> str:
        return (
            f"{self.pairs:,} pairs find an effect of {self.effect:+.4g} with power {self.power:g}; "
            f"about {self.labels:,} differ and need a label\n"
            f"({self.test}, {self.alternative} at alpha {self.alpha:g})"
        )


def sample_size_paired(
    mde: str | Delta,
    *,
    differ: float | str,
    answers_differ: float | str | None = None,
    power: float = 0.8,
    test: Test = "fixed",
    **options: Unpack[Sides],
) -> PairedSize:
    """Requests that both models must answer to find a difference of accuracies.

    >>> sample_size_paired("1pp", differ=0.03, answers_differ=0.05).labels
    118

    Args:
        mde: the smallest difference worth finding, in percentage points: "1pp".
        differ: the share of requests that one model alone gets right, such as "3%" or 0.03.
        answers_differ: the share of requests whose answers differ, which is larger where both may
            be wrong in their own ways; None: as `differ`.
        power: the probability to find it.
        test: `fixed` is looked at once; `horizon` and `sequential` at any time.
        options: `alpha` and `alternative`, see `Sides`.

    Raises:
        TypeError, ValueError: arguments that cannot be.
    """
    plan = plan_of(mde=mde, **options)
    assert plan.mde is not None, "it was given"
    if plan.mde.relative:
        raise ValueError(f"mde={mde!r}: of pairs it is in percentage points, such as 1pp")
    alone = _share("differ", differ)
    all_differ = alone if answers_differ is None else _share("answers_differ", answers_differ)
    effect = -plan.mde.value if plan.alternative == "less" else plan.mde.value
    if abs(effect) > alone:
        raise ValueError(f"mde={mde!r}: is more than differ={alone:g}, which bounds the effect")
    if all_differ < alone:
        raise ValueError(f"answers_differ={all_differ:g}: is at least differ={alone:g}")
    require_power(power, plan)
    pairs, _ = sizes.sample_size(
        targets.pairs(effect, alone),
        plan.alpha,
        power,
        one_sided=plan.alternative != "two-sided",
        inflation=cost_of(test, plan, power),
    )
    labels = int(np.ceil(pairs * all_differ))
    return PairedSize(pairs, labels, effect, power, plan.alpha, plan.alternative, test)


def _share(name: str, value: float | str) -> float:
    text = value.strip() if isinstance(value, str) else ""
    try:
        found = float(text[:-1]) / 100.0 if text.endswith("%") else number(name, value)
    except (TypeError, ValueError):
        raise ValueError(f'{name}={value!r}: must be a share, such as 0.03 or "3%"') from None
    if not 0.0 < found <= 1.0:
        raise ValueError(f"{name}={value!r}: must be over 0 and at most 1")
    return found
