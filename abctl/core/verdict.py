"""What follows from the evidence: ship, stop, continue or invalid, each with its reasons (pure).

A treatment without a good answer, while others have some, is stopped before anything else is asked.

`invalid` is of the whole experiment: the evidence cannot be trusted (split not as ordered, gaps,
stale, changed plan). Else each treatment that has a share has a verdict of its own:

1. `stop`: harm is proven, on a guardrail (worse than its margin) or on a primary; or the longest
   duration is over and what shipping needs was not proven.
2. `ship`: a primary is proven better, every guardrail is proven to be within its margin, and the
   shortest duration is over.
3. `continue`: anything else, with what is still needed.

The experiment's verdict is what is to be done next: ship the best treatment that may, else stop the
one that does harm (the others go on without it), else continue while any of them does, else stop.

With `test: fixed` there is one look: before the planned end everything but `invalid` is `continue`,
even harm; then what is not proven is given up.

Each claim is tested one-sided at alpha. What shipping needs is corrected over treatments and
primaries (Holm); an alarm is not, so that each treatment is watched as if it were alone.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from abctl.core import _standing, _words
from abctl.core.analysis import Coverage, MetricResult, Verdict
from abctl.core.answers import Silence
from abctl.core.doubts import Doubts
from abctl.core.experiment import Design
from abctl.core.reasons import Reason
from abctl.stats.estimate import Estimate
from abctl.stats.srm import SrmResult

_MIN_COVERED_RATIO = 0.9
_NO_DOUBTS = Doubts()
_STALE_INTERVALS, _STALE_SECONDS = 10.0, 120.0


@dataclass(frozen=True)
class Size:
    """The number of units or requests that a variant needs and has, where it was planned.

    >>> size = Size("accuracy", "treatment", needed=12_000.0, reached=9_000.0)
    >>> size.reached / size.needed
    0.75
    """

    metric: str
    treatment: str
    needed: float
    reached: float


def verdict(
    design: Design,
    metrics: Sequence[MetricResult],
    *,
    elapsed_seconds: float,
    integrity: Sequence[Reason],
    sizes: Sequence[Size] = (),
    without_share: Collection[str] = (),
    ended: bool = False,
    doubts: Doubts = _NO_DOUBTS,
) -> Verdict:
    """What follows.

    Args:
        design: how it is decided.
        metrics: what came out of each.
        elapsed_seconds: since the start.
        integrity: why the evidence cannot be trusted; empty if it can.
        sizes: planned sizes of the primaries, as far as they are known.
        without_share: treatments that get no traffic now: they take no part, unless all are.
        ended: with `test: fixed`, whether the metrics are those of the planned end.
        doubts: what else keeps treatments from being shipped.
    """
    everyone = dict.fromkeys(c.treatment for m in metrics for c in m.comparisons)
    silent = {each.variant: each for each in doubts.silent if each.variant not in without_share}
    if dead := [name for name in everyone if name in silent and silent[name].proven]:
        return _without_answers(everyone, [silent[name] for name in dead], integrity)
    if lost := [each.reason for each in silent.values() if each.proven]:
        return Verdict("invalid", None, (*lost, *integrity))
    if integrity:
        return Verdict("invalid", None, tuple(integrity))
    early = tuple(_early(design, elapsed_seconds, sizes))
    if design.test == "fixed" and not ended:
        limit = {"max_duration_seconds": design.max_duration_seconds}
        return Verdict("continue", None, (*early, Reason("beforePlannedEnd", limit)))
    judged = [name for name in everyone if name not in without_share] or list(everyone)
    standings = [
        _Standing(
            t,
            tuple(_standing.harm(metrics, t)),
            tuple(_standing.good(metrics, t)),
            (
                *doubts.of(t),
                *_standing.needed(metrics, t),
            ),
        )
        for t in judged
    ]
    each = tuple(_of_treatment(design, standing, elapsed_seconds) for standing in standings)
    found = _of_all(metrics, dict(zip(standings, each, strict=True)), early)
    return replace(found, treatments=each)


def _without_answers(
    everyone: Collection[str], dead: Sequence[Silence], integrity: Sequence[Reason]
) -> Verdict:
    """Harm, before it is evidence that cannot be trusted: a dead server counts nothing."""
    found = {each.variant: each.reason for each in dead}
    each = tuple(
        Verdict("stop", name, (found[name],)) if name in found else Verdict("continue", name, ())
        for name in everyone
    )
    alone = dead[0].variant if len(dead) == 1 else None
    return Verdict("stop", alone, (*found.values(), *integrity), each)


@dataclass(frozen=True)
class _Standing:
    """What is proven of a treatment: harm, what shipping needs, and what of that is missing."""

    treatment: str
    harm: tuple[Reason, ...]
    good: tuple[Reason, ...]
    needed: tuple[Reason, ...]


def _of_treatment(design: Design, standing: _Standing, elapsed: float) -> Verdict:
    if standing.harm:
        return Verdict("stop", standing.treatment, standing.harm)
    once = design.test == "fixed"
    if not standing.needed and (once or elapsed >= design.min_duration_seconds):
        return Verdict("ship", standing.treatment, standing.good)
    if once or elapsed >= design.max_duration_seconds:
        limit = {"max_duration_seconds": design.max_duration_seconds}
        why = Reason("oneLookOver") if once else Reason("maxDurationOver", limit)
        return Verdict("stop", standing.treatment, (why, *standing.needed))
    return Verdict("continue", standing.treatment, standing.needed or standing.good)


def _of_all(
    metrics: Sequence[MetricResult], found: Mapping[_Standing, Verdict], early: Sequence[Reason]
) -> Verdict:
    """What is to be done next."""
    harmful = [s for s in found if s.harm]
    harm = [reason for s in harmful for reason in s.harm]
    if ready := [s.treatment for s, v in found.items() if v.kind == "ship"]:
        best, others = _best(metrics, ready)
        good = next(s.good for s in found if s.treatment == best)
        return Verdict("ship", best, (*good, *others, *harm))
    # What is proven comes first.
    going = sorted(
        (s for s, v in found.items() if v.kind == "continue"), key=lambda s: s.needed != ()
    )
    reasons = [reason for s in going for reason in found[s].reasons]
    if harmful and going:
        worse, open_yet = ([s.treatment for s in each] for each in (harmful, going))
        go_on = Reason("othersGoOn", {"stopped": worse, "going": open_yet})
        return Verdict("stop", harmful[0].treatment, (*harm, go_on, *reasons, *early))
    if going:
        ahead = None if going[0].needed else going[0].treatment
        return Verdict("continue", ahead, (*reasons, *early))
    alone = harmful[0].treatment if harmful and len(found) == 1 else None
    given_up = dict.fromkeys(r for s, v in found.items() if not s.harm for r in v.reasons)
    return Verdict("stop", alone, (*harm, *given_up))


def _best(metrics: Sequence[MetricResult], ready: Sequence[str]) -> tuple[str, tuple[Reason, ...]]:
    """Of treatments that may ship the one to take, and why not the others.

    That with the largest effect on the first primary on which any of them is proven better. Each of
    them is proven, so that choosing by the data costs no error rate; which of them is better than
    the other is not tested.
    """
    for metric in (m for m in metrics if m.role == "primary"):
        sign = 1.0 if metric.direction == "increase" else -1.0
        effects = {
            c.treatment: sign * c.effect.effect
            for c in metric.comparisons
            if c.treatment in ready and c.proven("better") and isinstance(c.effect, Estimate)
        }
        if effects:
            best = max(effects, key=lambda name: effects[name])
            return best, tuple(
                Reason("mayShipToo", {"treatment": name, "first": best, "metric": metric.name})
                for name in ready
                if name != best
            )
    return ready[0], ()


def integrity_violations(
    srm: object,
    names: Sequence[str],
    coverage: Mapping[str, Coverage | None],
    changed: Sequence[str],
) -> Iterator[Reason]:
    """Why the evidence cannot be trusted, in the order of importance.

    Args:
        srm: the check of the split, if there was one.
        names: of the variants, the control first.
        coverage: of each variant that had a share; None where the source knows nothing of it.
        changed: parts of the experiment that differ from the plan that was locked at the start.
    """
    if changed:
        yield Reason("planChanged", {"parts": list(changed)})
    for name, watched in coverage.items():
        if found := _unwatched(name, watched):
            yield found
    if isinstance(srm, SrmResult) and srm.mismatch:
        yield Reason("splitMismatch", _furthest_off(srm, names))


def _unwatched(name: str, watched: Coverage | None) -> Reason | None:
    """Why the counters of a variant cannot be trusted."""
    variant: dict[str, Any] = {"variant": name}
    if watched is None:
        return Reason("noRequestCounters", variant)
    if watched.stale_seconds > max(_STALE_SECONDS, _STALE_INTERVALS * watched.interval_seconds):
        return Reason("stale", variant | {"stale_seconds": watched.stale_seconds})
    if (covered := watched.covered_ratio) < _MIN_COVERED_RATIO:
        ratios = {"covered_ratio": covered, "needed_ratio": _MIN_COVERED_RATIO}
        return Reason("scrapeGaps", variant | ratios)
    if watched.doubtful_ratio > 1 - _MIN_COVERED_RATIO:
        return Reason("doubtfulRequests", variant | {"doubtful_ratio": watched.doubtful_ratio})
    return None


def deviation(srm: SrmResult, names: Sequence[str], of: str = "requests") -> str:
    """The variant that is furthest off, and whether that may be chance, in words."""
    return _words.deviation(_furthest_off(srm, names), mismatch=srm.mismatch, of=of)


def units_mismatch(srm: SrmResult, names: Sequence[str]) -> Reason:
    """That units of a table do not follow the split."""
    return Reason("unitsMismatch", _furthest_off(srm, names))


def _furthest_off(srm: SrmResult, names: Sequence[str]) -> dict[str, Any]:
    off = [abs(o - e) for o, e in zip(srm.observed, srm.expected, strict=True)]
    i = off.index(max(off))
    return {
        "variant": names[i],
        "requests_count": srm.observed[i],
        "total_count": sum(srm.observed),
        "expected_count": srm.expected[i],
        "p": srm.p,
        "alpha": srm.alpha,
    }


def _early(design: Design, elapsed: float, sizes: Sequence[Size]) -> Iterator[Reason]:
    least = design.min_duration_seconds
    if elapsed < least:
        left = {"left_seconds": least - elapsed, "min_duration_seconds": least}
        yield Reason("minDuration", left)
    for size in sizes:
        if size.reached < size.needed:
            speed = size.reached / elapsed if elapsed > 0 else 0.0
            facts = {
                "metric": size.metric,
                "treatment": size.treatment,
                "reached_count": size.reached,
                "needed_count": size.needed,
                "expected_seconds": (size.needed - size.reached) / speed if speed else None,
            }
            yield Reason("sizeNotReached", facts)
