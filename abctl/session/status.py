"""How an experiment stands: the split as wanted, as programmed and as it was really seen.

What was really seen is counted in requests since the last change of the split.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf, sqrt
from statistics import NormalDist

from abctl.core.experiment import Experiment
from abctl.core.ledger import Entry, Epoch, Ledger
from abctl.core.polls import Window
from abctl.core.reasons import Reason
from abctl.core.split import Split
from abctl.core.time import format_duration, format_moment
from abctl.errors import NotFoundError, SourceError
from abctl.evidence.absence import silences
from abctl.evidence.cache import cache_of
from abctl.evidence.collected import doubts_lately
from abctl.evidence.read import read
from abctl.metrics.queries import MetricQueries
from abctl.session import lacking
from abctl.session.analyze import source_of
from abctl.session.session import Session, State
from abctl.session.sight import as_seen
from abctl.session.tree import Tree, of_servers, of_tree, tree
from abctl.session.views import Views, views
from abctl.sources import Source
from abctl.spec.measurement import measured

_CONFIDENCE = 0.95
_COUNT_SECONDS = 5.0


@dataclass(frozen=True)
class Observed:
    """What a variant really got: requests, their share, and its 95% interval."""

    count: int
    share: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Status:
    """The state of an experiment; nothing in it is merely configured.

    Attributes:
        desired: the split of the ledger; None until the first is in effect, or where it cannot be
            read, which `unseen` says.
        asked: the split that the platform's object asks for.
        programmed: the split that the platform reports to be in effect; None where it cannot.
        refusal: why the platform has not taken what is asked for.
        observed: what each variant got, where it was counted.
        drifted: somebody else set the split that is asked for.
        intent: a shift that is not finished.
        counts_from: from when on requests count for the present split (unix seconds); None while
            a change of it is not finished.
        left_out: requests of each variant since the last change of the split began that came
            before they counted; None if not known.
        epochs: periods of a constant split, without what settles after a change.
        plan_changed: the parts of the experiment that are not as they were locked at the start.
        unseen: what could not be looked at, and why.
        other_variants: that file, ledger and object are not of the same variants, and what to do.
        tree: the objects that carry it, down to the pods; None where nobody asked for them.
        unable: variants that cannot answer, and why.
        views: who counts each metric; empty where nobody was asked.
    """

    desired: Split | None
    asked: Split
    programmed: Split | None
    refusal: str | None
    observed: Mapping[str, Observed] | None
    drifted: bool
    intent: Entry | None
    epochs: tuple[Epoch, ...]
    plan_changed: tuple[str, ...]
    unseen: tuple[str, ...] = ()
    other_variants: str | None = None
    tree: Tree | None = None
    unable: Mapping[str, str] = field(default_factory=dict)
    counts_from: float | None = None
    left_out: Mapping[str, int] | None = None
    silent: tuple[Reason, ...] = ()
    views: tuple[Views, ...] = ()


@dataclass(frozen=True)
class Requests:
    """What was counted since the last change of the split began.

    Attributes:
        counts: requests of each variant that count; None where there are none.
        why: why there are none; empty if no source was asked.
        left_out: requests that came before they counted; None if not known.
        silent: variants that gave no good answer lately, and what a collector lost or nobody read.
        views: who counts each metric.
    """

    counts: Mapping[str, int] | None = None
    why: str = ""
    left_out: Mapping[str, int] | None = None
    silent: tuple[Reason, ...] = ()
    views: tuple[Views, ...] = ()


class StatusReader:
    """Looks at an experiment as often as it is called; what was counted is kept for a while."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._counted_at = -inf
        self._counted_of: object = None
        self._requests = Requests()

    def __call__(self) -> Status:
        """Look, and change nothing.

        Raises:
            NotFoundError: the experiment was not started.
            ClusterError: its object cannot be read.
        """
        state = lacking.observe(self._session)
        if state.unrecorded:
            return status(self._session, state)
        ledger = as_seen(self._session, state)
        split = state.ledger.desired, state.asked, state.ledger.intent
        # Counters are scraped every so often; what was counted of another split says nothing.
        if split != self._counted_of or time.monotonic() - self._counted_at >= _COUNT_SECONDS:
            self._requests = counted(self._session, state, ledger)
            self._counted_at, self._counted_of = time.monotonic(), split
        found = status(self._session, state, self._requests.counts, ledger)
        unseen = (*found.unseen, *filter(None, [self._requests.why]))
        return replace(
            found,
            unseen=unseen,
            left_out=self._requests.left_out,
            silent=self._requests.silent,
            views=self._requests.views,
        )


def status(
    session: Session,
    state: State | None = None,
    counts: Mapping[str, int] | None = None,
    ledger: Ledger | None = None,
) -> Status:
    """How an experiment stands.

    Args:
        session: the experiment in its world.
        state: what was seen of it; it is looked at if None.
        counts: requests by variant since the last change, if anybody counted.
        ledger: what it says with what was seen (`as_seen`), where that was asked already.

    Raises:
        NotFoundError: the experiment was not started.
        ClusterError: its object cannot be read; or its ledger, where no state is given.
    """
    seen, experiment = state or session.observe(), session.experiment
    ledger = ledger or as_seen(session, seen)
    # The local stack has processes instead: abctl local status shows them.
    below = tree(session, seen.carrier) if session.state_dir is None else None
    unable = of_tree(below) if below else of_servers(session.ready, seen.asked.names)
    unseen = (*filter(None, [seen.unseen]), *(below.unread if below else ()))
    if seen.unrecorded:
        return Status(
            desired=None,
            asked=seen.asked,
            programmed=seen.programmed,
            refusal=seen.refusal,
            observed=None,
            drifted=False,
            intent=None,
            epochs=(),
            plan_changed=(),
            unseen=(f"the ledger: {seen.unrecorded}", *unseen),
            tree=below,
            unable=unable,
        )
    return Status(
        desired=seen.ledger.desired,
        asked=seen.asked,
        programmed=seen.programmed,
        refusal=seen.refusal,
        observed=None if counts is None else _observed(seen.asked, counts),
        drifted=seen.drifted,
        intent=seen.ledger.intent,
        epochs=ledger.epochs(session.clock(), experiment.design.settle_seconds),
        # Without a file there is no plan that could have changed.
        plan_changed=() if session.adopted else seen.ledger.changed_since(experiment),
        unseen=unseen,
        other_variants=seen.other_variants and f"{seen.other_variants}: {seen.remedy}",
        tree=below,
        unable=unable,
        counts_from=ledger.counts_from(experiment.design.settle_seconds),
    )


def counted(session: Session, state: State, ledger: Ledger | None = None) -> Requests:
    """Requests since the last change of the split, or why they are not known.

    An unreadable source is no error: the rest of the status is shown without it.
    """
    experiment = session.experiment
    ledger = ledger or as_seen(session, state)
    named = session.prometheus_url or session.prometheus_config
    if session.adopted or not (named or experiment.source or session.state_dir):
        return Requests()
    silent: tuple[Reason, ...] = ()
    by: tuple[Views, ...] = ()
    try:
        as_locked = replace(experiment, meaning=ledger.meaning_of(experiment))
        source, asked = source_of(session), measured(as_locked, state.carrier)
        present = ledger.present
        now = source.now()
        seen = silences(source, asked, present.ratios if present else {}, now)
        silent = tuple(each.reason for each in seen)
        silent += doubts_lately(experiment, source, asked, now)
        by = views(as_locked, asked, source, now)
        counts = observed(experiment, ledger, source, asked, now)
    except (SourceError, NotFoundError) as error:
        return Requests(why=f"requests: {error.message}", silent=silent, views=by)
    settle_seconds = experiment.design.settle_seconds
    since = ledger.counts_from(settle_seconds)
    before = left_out(experiment, ledger, source, asked, now)
    if counts and any(counts.values()):
        return Requests(counts, left_out=before, silent=silent, views=by)
    if since is None:
        why = "none counts until the change of the split is finished"
    elif since <= session.clock():
        why = f"none since {format_moment(since, 'seconds')}; only those count"
    else:
        why = (
            f"they count from {format_moment(since, 'seconds')} on; what comes in the first "
            f"{format_duration(settle_seconds)} after a change of the split is left out "
            "(design.settle)"
        )
    return Requests(why=f"requests: {why}", left_out=before, silent=silent, views=by)


def left_out(
    experiment: Experiment, ledger: Ledger, source: Source, telemetry: MetricQueries, now: float
) -> Mapping[str, int] | None:
    """Requests of each variant since the last change of the split began that do not count.

    None if not known. The arguments are those of `observed`.
    """
    until = ledger.counts_from(experiment.design.settle_seconds)
    end = now if until is None else min(now, until)
    if (begin := ledger.changing_since) >= end:
        return None
    try:
        selectors = {v.name: telemetry.requests(v.name) for v in experiment.variants}
        samples = read(source, [Window(0, begin, end)], selectors.values(), end)
        found = {n: samples.within(selector, begin, end) for n, selector in selectors.items()}
    except SourceError:
        return None
    known = {name: round(count) for name, count in found.items() if count is not None}
    return known if known.keys() == found.keys() else None


def _observed(split: Split, counts: Mapping[str, int]) -> Mapping[str, Observed] | None:
    by_variant = {name: counts.get(name, 0) for name in split.names}
    total = sum(by_variant.values())
    if total == 0:
        return None
    return {
        name: Observed(count, count / total, _wilson(count, total))
        for name, count in by_variant.items()
    }


def _wilson(successes: int, n: int) -> tuple[float, float]:
    """The score interval of a proportion (Wilson, 1927), which stays within [0, 1]."""
    z = NormalDist().inv_cdf((1 + _CONFIDENCE) / 2)
    center = (successes + z * z / 2) / (n + z * z)
    width = z / (n + z * z) * sqrt(successes * (n - successes) / n + z * z / 4)
    return max(0.0, center - width), min(1.0, center + width)


def observed(
    experiment: Experiment, ledger: Ledger, source: Source, telemetry: MetricQueries, now: float
) -> Mapping[str, int] | None:
    """Requests of each variant in the present epoch; None until its first poll is over.

    Also None where the epoch is of other variants.

    Args:
        experiment: whose variants.
        ledger: what happened to its split; the time that it settles is left out.
        source: where the counters are.
        telemetry: what to ask for.
        now: the clock of the source.

    Raises:
        SourceError: the source cannot be read, or contradicts itself.
    """
    epochs = ledger.epochs(now, experiment.design.settle_seconds)
    # While a change settles, or is not finished, the last epoch is the one before it.
    if not epochs or epochs[-1].end < now:
        return None
    # Of other variants nobody knows the counters.
    if epochs[-1].split.names != experiment.split.names:
        return None
    window = Window(len(epochs) - 1, epochs[-1].start, epochs[-1].end)
    selectors = {v.name: telemetry.requests(v.name) for v in experiment.variants}
    cache = cache_of(source, now)
    samples = read(source, [window], selectors.values(), now, cache=cache)
    if not samples.over or not any(samples.found.values()):
        return None
    for name, selector in selectors.items():
        if why := samples.trouble(selector):
            raise SourceError(f"{name}: {why.text}", "abctl doctor examines the source")
    polls = samples.polls(selectors.values())
    return {
        name: round(samples.rows(selector, polls).total().sum())
        for name, selector in selectors.items()
    }
