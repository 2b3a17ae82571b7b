"""A result for people and programs: text, dict, frame, and HTML in a notebook."""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from typing import Any

from abctl.stats.estimate import Alternative, Estimate, NotEstimable, Plan, Remark
from abctl.stats.looks import Looks, looks
from abctl.stats.methods import Method
from abctl.stats.summary import Stream

Interval = tuple[float, float]
_EVERYTHING = (-math.inf, math.inf)


@dataclass(frozen=True)
class Result:
    """What a comparison found; effects are treatment minus control.

    >>> from abctl.stats import compare_proportions
    >>> found = compare_proportions(control=(100, 1000), treatment=(130, 1000))
    >>> print(found)
    proportion: 0.1 in control, 0.13 in treatment
    effect +0.03 (+0.002049 to +0.05817), lift +30.0% (+1.8% to +66.1%)
    p = 0.0355, proportion, two-sided at alpha 0.05, n 1,000 and 1,000

    Where there is no estimate yet, `why` says why not, numbers are NaN and nothing is rejected, so
    that a loop over many comparisons goes on.

    Attributes:
        name: what was compared.
        method: which method of `abctl.stats.methods` answered.
        sequential: whether it may be looked at at any time.
        control, treatment: the value of each.
        effect, interval: the difference, and its confidence interval (sequence) at 1 - alpha.
        lift, lift_interval: relative to the control; None where it is too near to 0.
        p: of the null hypothesis; valid at any time if sequential.
        se: standard error of the effect; None where the method has none.
        statistic: distance from the null in standard errors under the null.
        df: degrees of freedom of the statistic, infinite for a normal one.
        n: units of control and treatment.
        notes: what a reader should know, as codes with facts.
        why: the reason if there is no estimate.
        replay: gives the path; None for one look.
    """

    name: str
    method: str
    sequential: bool
    control: float
    treatment: float
    effect: float
    interval: Interval
    lift: float | None
    lift_interval: Interval | None
    p: float
    se: float | None
    statistic: float | None
    df: float | None
    alpha: float
    alternative: Alternative
    rejects: bool
    n: Interval
    assumptions: tuple[str, ...] = ()
    notes: tuple[Remark, ...] = ()
    why: Remark | None = None
    replay: Callable[[int], Looks] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, name: str, found: Estimate | NotEstimable, plan: Plan) -> "Result":
        """From what a method answered."""
        if isinstance(found, NotEstimable):
            return cls(
                name=name,
                method=found.method,
                sequential=False,
                control=math.nan,
                treatment=math.nan,
                effect=math.nan,
                interval=_EVERYTHING,
                lift=None,
                lift_interval=None,
                p=math.nan,
                se=None,
                statistic=None,
                df=None,
                alpha=plan.alpha,
                alternative=plan.alternative,
                rejects=False,
                n=found.n,
                why=found.why,
            )
        return cls(
            name=name,
            method=found.method,
            sequential=found.log_e is not None,
            control=found.control,
            treatment=found.treatment,
            effect=found.effect,
            interval=found.interval,
            lift=found.lift,
            lift_interval=found.lift_interval,
            p=found.p,
            se=found.se,
            statistic=found.statistic,
            df=found.df,
            alpha=found.alpha,
            alternative=found.alternative,
            rejects=found.rejects,
            n=found.n,
            assumptions=found.assumptions,
            notes=found.notes,
        )

    @classmethod
    def by(cls, method: Method, name: str, stream: Stream[Any], plan: Plan) -> "Result":
        """What a method of `abctl.stats.methods` answers."""
        found = cls.of(name, method.estimate(stream, plan), plan)
        return replace(found, replay=partial(looks, method.estimate, stream, plan))

    def path(self, at_most: int = 200) -> Looks:
        """What was said at every look, for a picture: effect, interval and p.

        Args:
            at_most: as many points, evenly spread over the polls.

        Raises:
            ValueError: it is of one look.
        """
        if self.replay is None:
            raise ValueError(f"{self.name}: is of one look; a Comparison with time has a path")
        return self.replay(at_most)

    def to_dict(self) -> dict[str, Any]:
        """One value a key: ends of intervals apart, codes of the notes as texts.

        >>> from abctl.stats import compare_proportions
        >>> found = compare_proportions(control=(100, 1000), treatment=(130, 1000)).to_dict()
        >>> found["name"], round(found["effect_low"], 4), found["notes"]
        ('proportion', 0.002, [])
        """
        lift = self.lift_interval or (None, None)
        return {
            "name": self.name,
            "control": self.control,
            "treatment": self.treatment,
            "effect": self.effect,
            "effect_low": self.interval[0],
            "effect_high": self.interval[1],
            "lift": self.lift,
            "lift_low": lift[0],
            "lift_high": lift[1],
            "p": self.p,
            "se": self.se,
            "statistic": self.statistic,
            "df": self.df,
            "alpha": self.alpha,
            "alternative": self.alternative,
            "rejects": self.rejects,
            "n_control": self.n[0],
            "n_treatment": self.n[1],
            "method": self.method,
            "sequential": self.sequential,
            "notes": [note.code for note in self.notes],
            "why": self.why.code if self.why else None,
        }

    def to_frame(self, library: str = "pandas") -> Any:
        """A data frame of one row, of `pandas` or `polars`.

        >>> from abctl.stats import compare_proportions
        >>> found = compare_proportions(control=(100, 1000), treatment=(130, 1000))
        >>> found.to_frame()[["name", "effect", "p"]].round(4).values.tolist()
        [['proportion', 0.03, 0.0355]]
        """
        return frame_of([self], library)

    def __str__(self) -> str:
        if self.why is not None:
            return f"{self.name}: no estimate yet, {_said(self.why)}"
        lift = f", lift {self.lift:+.1%}" if self.lift is not None else ""
        if self.lift_interval is not None:
            lift += " ({:+.1%} to {:+.1%})".format(*self.lift_interval)
        looks = "looked at at any time, " if self.sequential else ""
        n = f"n {self.n[0]:,.0f} and {self.n[1]:,.0f}"
        lines = [
            f"{self.name}: {self.control:.4g} in control, {self.treatment:.4g} in treatment",
            f"effect {self.effect:+.4g} ({self.interval[0]:+.4g} to {self.interval[1]:+.4g}){lift}",
            f"{_p(self.p)}, {self.method}, {looks}{self.alternative} at alpha {self.alpha:g}, {n}",
            *(f"note: {_said(note)}" for note in self.notes),
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_of([self])


def frame_of(results: list[Result], library: str) -> Any:
    """A data frame with a row for each result.

    Raises:
        ValueError: not `pandas` or `polars`.
        ImportError: it is not installed.
    """
    if library not in ("pandas", "polars"):
        raise ValueError(f"library={library!r}: must be 'pandas' or 'polars'")
    return importlib.import_module(library).DataFrame([each.to_dict() for each in results])


_HEAD = ("", "control", "treatment", "effect", "interval", "lift", "p", "method")


def html_of(results: list[Result]) -> str:
    """A table; names are of users and are escaped."""
    rows = "".join(_row(map(escape, _cells(each)), "td") for each in results)
    return f"<table><thead>{_row(_HEAD, 'th')}</thead><tbody>{rows}</tbody></table>"


def _row(cells: Any, tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"


def _cells(result: Result) -> tuple[str, ...]:
    if result.why is not None:
        return (result.name, *[""] * 6, f"{result.method}: {_said(result.why)}")
    low, high = result.interval
    return (
        result.name,
        f"{result.control:.4g}",
        f"{result.treatment:.4g}",
        f"{result.effect:+.4g}",
        f"{low:+.4g} to {high:+.4g}",
        "" if result.lift is None else f"{result.lift:+.1%}",
        _p(result.p).removeprefix("p = "),
        result.method,
    )


def _p(p: float) -> str:
    return f"p = {p:.3g}" if p >= 0.0001 else "p < 0.0001"


def _said(remark: Remark) -> str:
    """A code with its facts; `abctl why CODE` has the words."""
    facts = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in remark.facts.items()
    )
    return f"{remark.code} ({facts})" if facts else remark.code
