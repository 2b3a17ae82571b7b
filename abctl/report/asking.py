"""A question of `abctl plan`, from what somebody wrote: on the command line, or in a notebook."""

from collections.abc import Mapping
from typing import Any, TypedDict, get_args

from abctl.analysis.plan import Kind, Question, Test
from abctl.core.delta import parse_delta
from abctl.core.experiment import Direction
from abctl.errors import SpecError, UsageError
from abctl.report import plan as numbers
from abctl.stats.delta import Delta


class Asked(TypedDict, total=False):
    """What may be asked; what is missing is as in the experiment, or as usual.

    Attributes:
        baseline: the control's value now: "5%"; of other kinds a number, "12.5".
        mde: smallest effect worth finding: "2pp", "2%" (relative), "0.5abs".
        margin: instead: show that nothing gets worse by this much.
        kind: proportion, mean, rate, quantile or ratio.
        sd: standard deviation of a unit, for means; of its log, for quantiles.
        cv, over_cv, over_correlation: coefficients of variation of a user's numerator and
            denominator, for ratios, and the correlation of both.
        quantile: which, for quantiles: 0.95 is the p95.
        direction: increase or decrease.
        one_sided: what the verdict does.
        alpha, power: error rate of the experiment; probability to find the effect.
        test: sequential, horizon or fixed.
        split: shares, the control first: "90/10".
        answers_differ: share of requests that both models would answer differently: "5%".
        ramp: splits before it, each for a time: "95/5:1d,80/20:2d".
        treatments: how many; they get their best shares unless there is a split.
        traffic: new units of all variants: "10000/day", "120/s".
        requests_per_user, requests_cv, correlation: if users are assigned and requests counted.
    """

    baseline: str | None
    mde: str | None
    margin: str | None
    kind: str | None
    sd: float | None
    cv: float | None
    over_cv: float
    over_correlation: float
    quantile: float | None
    direction: str | None
    one_sided: bool | None
    alpha: float | None
    power: float | None
    test: str | None
    split: str | None
    answers_differ: str | None
    ramp: str | None
    treatments: int | None
    traffic: str | None
    requests_per_user: float
    requests_cv: float
    correlation: float


_CHOICES = {"kind": get_args(Kind), "test": get_args(Test), "direction": get_args(Direction)}
_AS_THEY_ARE = ("kind", "sd", "quantile", "direction", "one_sided", "alpha", "power", "test")


def question(asked: Asked, known: Mapping[str, Any]) -> Question:
    """What is planned.

    Args:
        asked: by whom is there; goes before what is known.
        known: fields of the question that a file says, or what was measured.

    Raises:
        UsageError: something is missing, cannot be read or contradicts something else.
    """
    found = dict(known)
    for name, choices in _CHOICES.items():
        if (given := asked.get(name)) not in (None, *choices):
            raise UsageError(f"--{name} {given}", f"must be one of {', '.join(choices)}")
    if asked.get("kind") not in (None, "quantile"):
        found.pop("quantile", None)  # it is of the file's metric
    found |= _split(asked, found)
    per_user = asked.get("requests_per_user", 1.0)
    clustered = (asked.get("requests_cv", 0.0), asked.get("correlation", 0.0))
    options = {name: asked.get(name) for name in _AS_THEY_ARE} | {
        "cvs": _variation(asked),
        "units_per_day": _read(numbers.parse_traffic_per_day, asked.get("traffic")),
        "design_effect": numbers.clustering(per_user, *clustered),
        "requests_per_user": per_user,
    }
    found |= {name: value for name, value in options.items() if value is not None}
    if (size := _size(asked)) is not None:
        found |= {"size": size, "is_margin": asked.get("margin") is not None}
    if "size" not in found:
        raise UsageError("no mde", "add --mde 2pp (percentage points) or --mde 2% (relative)")
    kind = found.setdefault("kind", "proportion")
    if "cvs" in found and kind != "ratio":
        raise UsageError(f"--cv is of a ratio, not of a {kind}", "--kind ratio; else leave it out")
    found |= _pairs(asked, found)
    if (baseline := asked.get("baseline")) is not None:
        found["baseline"] = numbers.parse_baseline(baseline, kind)
    if "baseline" not in found:
        raise UsageError("no baseline", "add --baseline 5%, or --live if the experiment runs")
    return Question(**found)


def _read(reader: Any, text: str | None) -> Any:
    return None if text is None else reader(text)


def _variation(asked: Asked) -> tuple[float, float, float] | None:
    """How the parts of a ratio vary, and how they vary together; None where nobody said it."""
    over = asked.get("over_cv", 0.0), asked.get("over_correlation", 0.0)
    if (cv := asked.get("cv")) is not None:
        return (cv, *over)
    if any(over):
        raise UsageError(
            "--over-cv and --over-correlation are nothing without --cv",
            "--cv 1.5 --over-cv 0.8 --over-correlation 0.5",
        )
    return None


def _pairs(asked: Asked, known: Mapping[str, Any]) -> dict[str, Any]:
    """The share of requests that both models answer differently."""
    if (share := asked.get("answers_differ")) is None:
        return {}
    if known["kind"] != "proportion" or known.get("is_margin"):
        raise UsageError(
            "--answers-differ is of an effect on a proportion, such as accuracy", "leave it out"
        )
    return {"differ": numbers.parse_answers_differ(share)}


def _split(asked: Asked, known: Mapping[str, Any]) -> dict[str, Any]:
    """Shares, and what follows from how many there are; with a ramp before them."""
    found: dict[str, Any] = {}
    before = shares = known.get("shares", (0.5, 0.5))
    split, treatments = asked.get("split"), asked.get("treatments")
    if split is not None or treatments is not None:
        # Other treatments share alpha with as many primaries as before.
        primaries = known.get("comparisons", 1) // (len(before) - 1)
        shares = found["shares"] = numbers.parse_shares(split, treatments)
        found["comparisons"] = primaries * (len(shares) - 1)
    if (ramp := asked.get("ramp")) is not None:
        found["ramp"] = numbers.parse_ramp(ramp, len(shares))
    return found


def _size(asked: Asked) -> Delta | None:
    mde, margin = asked.get("mde"), asked.get("margin")
    if mde is not None and margin is not None:
        raise UsageError("both --mde and --margin", "plan one thing at a time")
    option, text = ("--mde", mde) if mde is not None else ("--margin", margin)
    if text is None:
        return None
    try:
        return parse_delta(text)
    except SpecError as error:
        raise UsageError(f"{option} {error.message}", error.hint) from None
