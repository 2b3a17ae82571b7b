"""What comes in is taken for what it says, or refused with its place, its value and a hint.

Columns may be numpy arrays, lists, or columns of pandas, polars or pyarrow: whatever numpy reads.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from numbers import Real
from typing import Any, TypedDict, TypeGuard, Unpack

import numpy as np

from abctl.stats.delta import UNITS, Delta, delta_of
from abctl.stats.estimate import Plan
from abctl.stats.power.up_to_horizon import planned_information
from abctl.stats.summary import Array

# Of the planned information of tests that may be looked at at any time.
_POWER = 0.8
# Variances are squared: beyond that they would be infinite, or 0.
_LEAST, _MOST = 1e-70, 1e70


class Sides(TypedDict, total=False):
    """An error rate and the side that is tested.

    >>> plan_of(alternative="larger").alternative  # as statsmodels says it
    'greater'

    Keys: `alpha`, the error rate; `alternative`, `two-sided`, `greater` or `less` (`two_sided`,
    `larger` and `smaller` are understood) of treatment minus control.
    """

    alpha: float
    alternative: str


class Options(Sides, total=False):
    """What each comparison takes beside its data.

    >>> plan_of(alpha=0.01, alternative="larger", mde="2%").mde
    Delta(value=0.02, relative=True)

    Keys: those of `Sides`; `null`, the effect under the null hypothesis, such as `"2%"` or
    `Delta(-0.02, relative=True)`; `mde`, the smallest effect worth finding, such as `"2pp"`: with
    it a sequential test needs hardly more than one look.
    """

    null: str | Delta
    mde: str | Delta


def plan_of(quantile: float | None = None, **options: Unpack[Options]) -> Plan:
    """The plan that these options say.

    Raises:
        TypeError: an option that there is none of.
        ValueError: one that says nothing that can be tested.
    """
    given: dict[str, Any] = dict(options)
    if unknown := sorted(given.keys() - Options.__annotations__.keys()):
        known = ", ".join(Options.__annotations__)
        raise TypeError(f"{unknown[0]}={given[unknown[0]]!r}: no such option (there are: {known})")
    for name in ("null", "mde"):
        if name in given:
            given[name] = size_of(name, given[name])
    for name, value in (("alpha", given.get("alpha", 0.05)), ("quantile", quantile)):
        if value is not None and not is_number(value):
            raise TypeError(f"{name}={value!r}: must be a number in (0, 1)")
    plan = Plan(quantile=quantile, **given)
    if plan.mde is None:
        return plan
    one_sided = plan.alternative != "two-sided"
    return replace(plan, horizon=planned_information(plan.alpha, _POWER, one_sided=one_sided))


def size_of(name: str, value: object) -> Delta:
    """A size of effect; a bare number could be points or percent, so it is none.

    >>> size_of("mde", "2pp")
    Delta(value=0.02, relative=False)
    """
    if isinstance(value, Delta):
        return value
    if not isinstance(value, str):
        raise TypeError(f"{name}: {value!r} is not a size of effect; {UNITS}")
    try:
        return delta_of(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}; {UNITS}") from None


def is_number(value: object) -> TypeGuard[Real]:
    """Whether it is a real number; True and False are none."""
    return isinstance(value, Real | Decimal) and not isinstance(value, bool | np.bool_)


def number(name: str, value: object, *, least: float = -math.inf) -> float:
    """A finite number.

    >>> number("sd", 2)
    2.0
    """
    if not is_number(value):
        raise TypeError(f"{name}={value!r}: must be a number")
    try:
        found = float(value)
    except OverflowError:  # of a whole number of over 308 digits
        found = math.inf
    if not math.isfinite(found) or found < least:
        more = f" from {least:g}" if math.isfinite(least) else ""
        raise ValueError(f"{name}={found:g}: must be a finite number{more}")
    return found


def column(name: str, values: object) -> "np.ndarray[Any, np.dtype[Any]]":
    """One column of any type, as an array of one axis with at least one row.

    >>> column("control", [1, 2, 3])
    array([1, 2, 3])
    """
    if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
        raise TypeError(f"{name}: must be a column of values, is {type(values).__name__}")
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"{name}: has masked values; take them out with .compressed()")
    read = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    found = np.asarray(read)
    if found.ndim != 1:
        raise ValueError(f"{name}: must have one axis, has shape {found.shape}")
    if not found.size:
        raise ValueError(f"{name}: is empty")
    return found


def numbers(name: str, values: object) -> Array:
    """A column of finite numbers.

    >>> numbers("control", [True, False])
    array([1., 0.])
    >>> numbers("control", [1.0, float("nan")])
    Traceback (most recent call last):
        ...
    ValueError: control: 1 of 2 values is not finite, the first in row 1: nan; drop such rows, or...
    """
    found = column(name, values)
    if found.dtype.kind == "O":
        for row, value in enumerate(found):
            if not is_number(value) and not isinstance(value, bool | np.bool_):
                raise TypeError(f"{name}: row {row} is {value!r}, which is no number")
    elif found.dtype.kind not in "biuf":
        raise TypeError(f"{name}: must be numbers, is {found.dtype}")
    result = np.asarray(found, dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(result))
    if bad.size:
        verb = "is" if bad.size == 1 else "are"
        raise ValueError(
            f"{name}: {bad.size} of {result.size} values {verb} not finite, the first in row "
            f"{bad[0]}: {result[bad[0]]:g}; drop such rows, or say what they count as"
        )
    largest = float(np.abs(result).max())
    if largest and not _LEAST <= largest <= _MOST:
        raise ValueError(
            f"{name}: the largest value is {largest:g}, must be {_LEAST:g} to {_MOST:g} or 0; "
            "take another unit"
        )
    return result


def same_length(columns: Sequence[tuple[str, Array]]) -> None:
    """Refuses columns of different lengths, which are not of the same rows."""
    (first, one), *others = columns
    for name, other in others:
        if other.size != one.size:
            raise ValueError(f"{name} has {other.size} rows, {first} has {one.size}")
