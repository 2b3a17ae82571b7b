"""The collector's metrics page: every series from the start, whole numbers where there are such."""

from collections.abc import Callable, Iterator
from itertools import accumulate, product
from operator import attrgetter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ab_runtime.collector.outcome import AGE_PARTS, GROUPS
from ab_runtime.collector.settings import Settings
from ab_runtime.collector.store import Count, Store
from ab_runtime.table import pair
from ab_runtime.variant import NO_BUCKET

_Family = CounterMetricFamily | GaugeMetricFamily
_AGE = "ab_outcome_age_seconds"
_CELLS = len(AGE_PARTS) + 1
REFUSED = ("token", "value", "outcome")
_PER = {
    "outcome": ("ab_outcome", "Feedback values"),
    "user": ("ab_user_outcome", "Users by the sum of their values"),
}
# By part: what it says, its sign, and the number. The two signs of a sum follow each other.
_PARTS: dict[str, tuple[str, str, Callable[[Count], float]]] = {
    "count": ("how many", "", attrgetter("n")),
    "hits": ("above zero", "", attrgetter("hits")),
    "sumsq": ("squares", "", attrgetter("sumsq")),
    "sum +": ("sizes, by their sign", "positive", attrgetter("positive")),
    "sum -": ("sizes, by their sign", "negative", attrgetter("negative")),
}
_TOLD = ("counted", "duplicate", "early", "late", "lost", "lateExposure")


class Page:
    """Everything that the collector says, as it stands at one moment.

    `process_start_time_seconds` is when the memory began, not the process: the counts go on after
    a restart, and begin at zero with a new memory.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        buckets = (*map(str, range(settings.buckets)), NO_BUCKET)
        self._keys = {
            per: {
                key: ",".join(map(pair, ("outcome", "variant", "bucket"), key))
                for key in product(
                    [each.name for each in settings.outcomes if per in each.per],
                    settings.variants,
                    buckets,
                )
            }
            for per in _PER
        }

        groups = range(min(settings.buckets, GROUPS))
        self._ages = {
            (each.name, *key): _age_heads(each.name, key, each.outcome.ages_ms)
            for each in settings.outcomes
            if each.outcome.is_reported
            for key in product(settings.variants, groups, (True, False))
        }
        self._registry = CollectorRegistry()
        self._registry.register(_Bare(self._rest))

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self._registry) + (self._counts() + self._reports()).encode()

    def _rest(self) -> Iterator[_Family]:
        yield _gauge("process_start_time_seconds", "When the memory began", self._store.created_ms)
        yield _gauge(
            "ab_collector_released_through_seconds",
            "Up to when everything that is due is counted",
            self._store.released_ms,
        )
        yield from self._told()

    def _counts(self) -> str:
        """What was counted; prometheus_client would take tens of milliseconds for it."""
        found = {(c.per, c.outcome, c.variant, c.bucket): c for c in self._store.counts()}
        parts = []
        for per, (name, meaning) in _PER.items():
            keys = self._keys[per]
            zero = Count(per, "", "", "", 0, 0, 0.0, 0.0, 0.0)
            counts = [found.get((per, *key), zero) for key in keys]
            for part, (said, sign, value) in _PARTS.items():
                if sign in ("", "positive"):
                    full = f"{name}_{part.partition(' ')[0]}_total"
                    parts.append(f"# HELP {full} {meaning}: {said}\n# TYPE {full} counter\n")
                end = f',sign="{sign}"}} ' if sign else "} "
                parts += [
                    f"{full}{{{head}{end}{float(value(count))!r}\n"
                    for head, count in zip(keys.values(), counts, strict=True)
                ]
        return "".join(parts)

    def _reports(self) -> str:
        """How fast reports came, by group of buckets: a histogram of ages, without their sum."""
        found, nothing = self._store.ages(), (0,) * _CELLS
        parts = [f"# HELP {_AGE} Age of predictions at reports\n# TYPE {_AGE} histogram\n"]
        for key, heads in self._ages.items():
            upto = accumulate(found.get(key, nothing))
            parts += [f"{head} {float(n)!r}\n" for head, n in zip(heads, upto, strict=True)]
        return "".join(parts)

    def _told(self) -> Iterator[_Family]:
        told = self._store.told()
        reports = CounterMetricFamily(
            "ab_feedback", "What became of reports with a token", labels=("variant", "what")
        )
        for variant, what in product(self._settings.variants, _TOLD):
            reports.add_metric((variant, what), told.get((what, variant), 0))
        refused = CounterMetricFamily(
            "ab_feedback_refused", "Reports that were refused, by what was wrong", labels=("what",)
        )
        for what in REFUSED:
            refused.add_metric((what,), told.get((what, ""), 0))
        waiting = GaugeMetricFamily(
            "ab_outcome_waiting", "Reports that wait", labels=("outcome", "variant")
        )
        waits = self._store.waiting()
        names = [each.name for each in self._settings.outcomes]
        for key in product(names, self._settings.variants):
            waiting.add_metric(key, waits.get(key, 0))
        yield from (reports, refused, waiting)


def _age_heads(outcome: str, key: tuple[str, int, bool], ages_ms: tuple[int, ...]) -> list[str]:
    """How the lines of one group of users begin."""
    variant, group, hit = key
    labels = ("outcome", "variant", "group", "hit")
    values = (outcome, variant, str(group), "yes" if hit else "no")
    head = ",".join(map(pair, labels, values))
    edges = [*(f"{ms / 1000:g}" for ms in ages_ms), "+Inf"]
    return [f'{_AGE}_bucket{{{head},le="{edge}"}}' for edge in edges]


def _gauge(name: str, meaning: str, at_ms: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, value=at_ms / 1000)


class _Bare:
    """Families as a registry takes them, without being asked for their names at once."""

    def __init__(self, collect: Callable[[], Iterator[_Family]]) -> None:
        self.collect = collect

    def describe(self) -> list[_Family]:
        return []
