"""Which share each treatment of a ramp may have: down at once, up as the ramp allows (pure)."""

from collections.abc import Iterator
from dataclasses import dataclass

from abctl.core.analysis import Analysis, Comparison, MetricResult
from abctl.core.ramp import Ramp
from abctl.core.reasons import Reason
from abctl.core.split import TOTAL_BP, Split
from abctl.core.worst import Worst
from abctl.stats.estimate import Estimate

# Polls of a step that are over before the next one.
_NEEDED_POLLS = 2


@dataclass(frozen=True)
class Asked:
    """What a share follows from.

    Attributes:
        ramp: of the experiment.
        analysis: of all polls that are over.
        split: in effect.
        now: unix seconds.
        out: treatments that get no share any more.
        approved: gates that may be passed.
    """

    ramp: Ramp
    analysis: Analysis
    split: Split
    now: float
    out: frozenset[str]
    approved: frozenset[str]

    @property
    def treatments(self) -> tuple[str, ...]:
        """Those that take part."""
        return tuple(name for name in self.split.names[1:] if name not in self.out)

    def bounds(self, treatment: str) -> Iterator[tuple[MetricResult, Worst, Comparison]]:
        """How bad each metric that decides may be."""
        for metric in self.analysis.metrics:
            for each in metric.comparisons:
                if each.treatment == treatment and each.worst is not None:
                    yield metric, each.worst, each

    def unbounded(self, treatment: str) -> str | None:
        """A metric of which nobody knows how bad it may be; the first one, if there is any."""
        found = [(m.name, worst.ratio) for m, worst, _ in self.bounds(treatment)]
        return next((name for name, ratio in found if ratio is None), None)

    def bound(self, treatment: str) -> tuple[float, Reason]:
        """The share (basis points) that its bounds allow, before it is rounded; all are known."""
        worst, name = max((w.ratio or 0.0, m.name) for m, w, _ in self.bounds(treatment))
        share_bp = self.ramp.last_bp / max(1.0, worst)
        facts = {
            "treatment": treatment,
            "metric": name,
            "worst_ratio": worst,
            "share_ratio": share_bp / TOTAL_BP,
        }
        return share_bp, Reason("rampBound", facts)


@dataclass(frozen=True)
class Next:
    """A split, why, and when it may be another one at the earliest."""

    split: Split
    reasons: tuple[Reason, ...]
    until: float | None = None


def lower(asked: Asked) -> Next:
    """The split with the shares that are above what their bounds allow brought down."""
    shares, reasons = dict[str, int](), list[Reason]()
    for name in asked.treatments:
        if not asked.split[name] or not _known(asked, name):
            continue
        share_bp, why = asked.bound(name)
        if asked.split[name] > max(share_bp, asked.ramp.floor_bp):
            shares[name] = asked.ramp.rounded(share_bp)
            reasons.append(why)
    return Next(asked.split.with_shares(shares), tuple(reasons))


def higher(asked: Asked) -> Next:
    """The split with the shares that may grow; or why none may."""
    shares, reasons, ramp = dict[str, int](), list[Reason](), asked.ramp
    for name in asked.treatments:
        here = asked.split[name]
        if not here:
            wanted = ramp.floor_bp
        elif not _known(asked, name):
            facts = {"treatment": name, "metric": asked.unbounded(name) or "anything"}
            reasons.append(Reason("rampUnbounded", facts))
            continue
        else:
            share_bp, why = asked.bound(name)
            wanted = ramp.rounded(min(share_bp, here + ramp.max_step_bp))
            reasons.append(why)
        if gate := ramp.gate_between(here, wanted, asked.approved):
            reasons.append(Reason("rampGate", {"gate": gate}))
            wanted = ramp.below(gate)
        if wanted > here:
            shares[name] = wanted
    grown = asked.split.with_shares(shares)
    if not shares:
        at_last = all(asked.split[name] >= ramp.last_bp for name in asked.treatments)
        return Next(asked.split, (Reason("rampAtLast"),) if at_last else tuple(reasons))
    if not any(asked.split.shares_bp[1:]):
        return Next(grown, (Reason("rampStarts", {"split": grown.ratios}),))
    if waits := _waits(asked):
        counts_from = asked.analysis.counts_from
        until = None if counts_from is None else counts_from + ramp.hold_seconds
        return Next(asked.split, (waits, *reasons), until)
    return Next(grown, tuple(reasons))


def overspent(asked: Asked) -> Reason | None:
    """That the next step could cost more than the budget even at the least share."""
    if (budget := asked.ramp.budget) is None:
        return None
    counted = sum(e.end - e.start for e in asked.analysis.epochs if e.counted)
    requests = {v.name: v.requests or 0.0 for v in asked.analysis.variants}
    if counted <= 0.0:
        return None
    for name in (name for name in asked.treatments if asked.split[name]):
        for metric, worst, comparison in asked.bounds(name):
            if metric.name != budget.metric or worst.harm is None:
                continue
            level = comparison.effect.control if isinstance(comparison.effect, Estimate) else 0.0
            each = worst.harm * level if worst.allowed.relative else worst.harm
            coming = sum(requests.values()) / counted * asked.ramp.hold_seconds
            least = asked.ramp.steps_bp[0] / TOTAL_BP * coming
            most = max(0.0, each) * (requests.get(name, 0.0) + least)
            if most > budget.most / len(asked.split.names[1:]):
                facts = {"metric": metric.name, "treatment": name, "most_count": most}
                return Reason("rampBudget", {**facts, "budget_count": budget.most})
    return None


def _known(asked: Asked, treatment: str) -> bool:
    return any(True for _ in asked.bounds(treatment)) and asked.unbounded(treatment) is None


def _waits(asked: Asked) -> Reason | None:
    """Why this step is too young for the next one."""
    counts_from, epochs = asked.analysis.counts_from, asked.analysis.epochs
    begun = asked.now if counts_from is None else counts_from
    left = max(0.0, begun + asked.ramp.hold_seconds - asked.now)
    polls = epochs[-1].polls if epochs and epochs[-1].counted and counts_from is not None else 0
    if left <= 0.0 and polls >= _NEEDED_POLLS:
        return None
    facts = {"left_seconds": left, "polls_count": polls, "needed_count": _NEEDED_POLLS}
    return Reason("rampWaits", facts)
