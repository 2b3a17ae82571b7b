"""The numbers of a plan, as people write them."""

import math
import re

from abctl.core.number import parse_number
from abctl.core.split import TOTAL_BP, format_share, parse_shares_bp
from abctl.errors import UsageError
from abctl.services.plan import LARGEST, Kind
from abctl.stats import power as sizing
from abctl.stats.summary import SummaryError

_PER_DAY = {"s": 86_400.0, "min": 1440.0, "h": 24.0, "day": 1.0, "week": 1 / 7}
_TRAFFIC = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*/\s*(s|min|h|day|week)\s*$", re.ASCII)
_PERCENT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*%\s*$", re.ASCII)
_MOST_REQUESTS = 1_000_000  # of a user
_MOST_TREATMENTS = 1_000  # more would hardly have a share


def parse_baseline(text: str, kind: Kind) -> float:
    """The control's value: `5%` for proportions, any number for means.

    Raises:
        UsageError: a proportion that is not between 0% and 100% or has no unit, or no number.
    """
    hint = "write 5% for a proportion, 12.5 for a mean (--kind mean)"
    percent = _PERCENT.match(text)
    try:
        value = float(percent[1]) / 100 if percent else parse_number(text)
    except ValueError:
        value = math.nan
    wrong = not 0 < value < 1 if kind == "proportion" else bool(percent)
    if wrong or not abs(value) <= LARGEST:
        raise UsageError(f"baseline {text!r} is no {kind}", hint)
    if kind == "proportion" and not percent:
        raise UsageError(f"baseline {text!r} has no unit, must say which", hint)
    return value


def parse_traffic_per_day(text: str) -> float:
    """`10000/day` or `120/s` as units per day.

    Raises:
        UsageError: no number over a time, or none.
    """
    match = _TRAFFIC.match(text)
    if match is None or not 0 < float(match[1]) <= LARGEST:
        raise UsageError(
            f"traffic {text!r} is no rate",
            "write 10000/day; also /s, /min, /h, /week",
        )
    return float(match[1]) * _PER_DAY[match[2]]


def parse_shares(split: str | None, treatments: int | None) -> tuple[float, ...]:
    """`90/10` as shares; without a split, the shares that are best for so many treatments.

    Raises:
        UsageError: not one share above 0 for each variant, or a sum that is not 100%.
    """
    if split is None:
        wanted = 1 if treatments is None else treatments
        if not 1 <= wanted <= _MOST_TREATMENTS:
            bounds = f"must be from 1 to {_MOST_TREATMENTS:,}"
            raise UsageError(f"--treatments {wanted}, {bounds}", "2 with A/B/C")
        return sizing.best_shares(wanted)
    if "/" not in split:
        raise UsageError(
            f"split {split!r} names one share, must have one for each variant",
            "shares, the control's first: 90/10",
        )
    shares = parse_shares_bp(split)
    if len(shares) != (treatments or max(1, len(shares) - 1)) + 1 or min(shares) == 0:
        raise UsageError(f"split {split!r}", "one share above 0 for control and each treatment")
    if sum(shares) != TOTAL_BP:
        raise UsageError(
            f"split {split!r} sums to {format_share(sum(shares))}, must be 100%", "write 90/10"
        )
    return tuple(share / TOTAL_BP for share in shares)


def clustering(per_user: float, cv: float, correlation: float) -> float:
    """The design effect of users with several requests each.

    Raises:
        UsageError: numbers that describe no users.
    """
    hint = "--requests-per-user 8 --requests-cv 1.2 --correlation 0.05"
    given = {"requests-per-user": per_user, "requests-cv": cv, "correlation": correlation}
    for option, value in given.items():
        if not abs(value) <= _MOST_REQUESTS:
            raise UsageError(f"--{option} {value:g}, must be at most {_MOST_REQUESTS:,}", hint)
    try:
        return sizing.design_effect(per_user, cv, correlation)
    except SummaryError as error:
        raise UsageError(str(error), hint) from None
