"""What may be reported after a prediction, and what servers count by themselves."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Per = Literal["outcome", "request", "user"]
OutcomeKind = Literal["binary", "number", "return"]
# Of a line of the collector's page: how long it is without the names of outcome and variant.
_LINE_BYTES = 76
_LINES = 5
# The same of how old predictions were at reports: by group of buckets, hit and edge.
_AGE_LINE_BYTES, _AGE_LINES, _GROUPS = 84, 6, 16
PAGE_BYTES = 500_000
"""How large the collector's page may be: Prometheus reads and keeps all of it at each scrape.

Of that size it is written in a third of 30 ms.
"""
# How long after a user's first request another one is a return, unless the file says otherwise.
RETURN_SECONDS = 86_400.0
# These the servers count by themselves; everything else comes as feedback.
MEASURED = frozenset(("errors", "latency", "requests", "server_errors", "server_latency"))


@dataclass(frozen=True)
class Outcome:
    """What may be reported after a prediction; a collector counts it when it is mature.

    >>> Outcome("purchase", "binary", maturity_seconds=7200.0).times
    'once'

    Attributes:
        kind: `binary` is 0 or 1, `number` any finite one. `return` nobody reports: the user was
            answered again.
        times: whether one prediction may have several of it.
        maturity_seconds: how long after its prediction it may come.
        window_seconds: how long after a user's first request it may happen, to count for the user;
            None: as long as the maturity.
        cap: what a larger number counts as: of a report, or of a user's sum where it is taken per
            user; likewise below zero.
        early_seconds: ages before the maturity at which it is counted as well.
        after_seconds: how long after the first request a return counts as one.
    """

    name: str
    kind: OutcomeKind
    times: Literal["once", "many"] = "once"
    maturity_seconds: float = 86400.0
    window_seconds: float | None = None
    cap: float | None = None
    early_seconds: tuple[float, ...] = ()
    after_seconds: float | None = None

    @property
    def counted(self) -> tuple["Outcome", ...]:
        """As the collector counts it: when it is mature, and at each earlier age by another name.

        >>> click = Outcome("click", "binary", maturity_seconds=7200.0, early_seconds=(60.0,))
        >>> [(each.name, each.maturity_seconds) for each in click.counted]
        [('click', 7200.0), ('click@60s', 60.0)]
        """
        early = (
            replace(
                self,
                name=at_age(self.name, age),
                maturity_seconds=age,
                window_seconds=min(age, self.window_seconds or age),
                early_seconds=(),
            )
            for age in self.early_seconds
        )
        return replace(self, early_seconds=()), *early


def at_age(outcome: str, seconds: float | None) -> str:
    """What the counters call an outcome at an age before its maturity; None: at its maturity.

    >>> at_age("click", 3600.0), at_age("click", None)
    ('click@3600s', 'click')
    """
    return outcome if seconds is None else f"{outcome}@{seconds:g}s"


def page_bytes(
    outcomes: Sequence[Outcome], variants: Sequence[str], buckets: int, by_users: Collection[str]
) -> int:
    """About how large the collector's page becomes; `by_users` are those that are told by user.

    >>> click = Outcome("click", "binary")
    >>> page_bytes([click], ["control", "treatment"], 64, ())
    76474
    """
    size = 0
    for outcome in outcomes:
        reported = outcome.kind != "return"
        families = reported + (not reported or outcome.name in by_users)
        for counted in outcome.counted:
            names = sum(len(variant) + len(counted.name) for variant in variants)
            lines = _LINES * (buckets + 1) * families
            size += lines * (len(variants) * _LINE_BYTES + names)
            if reported and counted.name == outcome.name:
                ages = _AGE_LINES * min(buckets, _GROUPS)
                size += ages * (len(variants) * _AGE_LINE_BYTES + names)
    return size
