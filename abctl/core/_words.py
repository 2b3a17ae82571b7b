"""The words of verdicts and of the notes of an analysis, by code (pure).

What stands for a code is a template, with its facts in braces and how each is shown; or, where the
words depend on the facts, their names and a function. Every fact is always there; None where it is
not known.
"""

from collections.abc import Callable, Mapping
from typing import Any

from abctl.core import figures
from abctl.stats.delta import Delta

Facts = Mapping[str, Any]
Words = Mapping[str, str | tuple[str, Callable[[Facts], str]]]

# A share that is off as seldom as that is told apart from the usual ones.
_UNUSUAL_P = 0.05


def _by(f: Facts, *, needed: bool = False) -> str:
    """The numbers behind a claim, and the p that it needs if it is still open."""
    p = figures.probability(f["p"], f["alpha"]) + (" by Holm" if f["p_is_adjusted"] else "")
    must = f", must be {f['alpha']:g} or less" if needed else ""
    values = (figures.value(f[key], f["unit"]) for key in ("control_value", "treatment_value"))
    return f"{figures.difference(f['effect'], f['unit'])} ({' to '.join(values)}, {p}{must})"


def _about(f: Facts) -> str:
    return f"{f['role']} {f['metric']} of {f['treatment']}"


def _margin(f: Facts) -> str:
    return figures.size(Delta(f["margin"], f["margin_is_relative"]), f["unit"])


def _harm(f: Facts) -> str:
    over = "" if f["margin"] is None else f" than its margin of {_margin(f)}"
    # Both cannot be true of one effect: it has changed, or an assumption does not hold.
    mixed = "; another look proved it within the margin: cold starts, bursts?"
    return f"{_about(f)} is worse{over}: {_by(f)}{mixed if f['was_within_margin'] else ''}"


def _within(f: Facts) -> str:
    return f"{_about(f)} is within its margin of {_margin(f)}: {_by(f)}"


def _open(f: Facts) -> str:
    what = "better" if f["margin"] is None else f"within its margin of {_margin(f)}"
    return f"{_about(f)}: not proven {what} yet: {_by(f, needed=True)}"


def _size(f: Facts) -> str:
    due = f["expected_seconds"]
    when = "" if due is None else f", in about {figures.duration(due)} at this pace"
    return (
        f"{f['metric']}: {f['reached_count']:,.0f} in the smaller variant, about "
        f"{f['needed_count']:,.0f} needed to find its mde{when}"
    )


def deviation(f: Facts, *, mismatch: bool) -> str:
    """The variant that is furthest off its share, and whether that may be chance."""
    total = max(1.0, f["total_count"])
    got, due = (f"{f[key]:,.0f}" for key in ("requests_count", "expected_count"))
    ratio = f["requests_count"] / total
    said = f"{f['variant']} got {got} of {total:,.0f} requests ({ratio:.2%})"
    if got == due and not mismatch:
        return f"{said}, as many as expected ({figures.probability(f['p'])})"
    p = figures.probability(f["p"], f["alpha"])
    if mismatch:
        chance = f"more than chance explains ({p})"
    elif f["p"] < _UNUSUAL_P:
        chance = f"unusual, but chance may still explain it ({p}, an alarm at {f['alpha']:g})"
    else:
        chance = f"a difference that chance explains ({p})"
    return f"{said}, {due} expected ({f['expected_count'] / total:.2%}): {chance}"


def _mismatch(f: Facts) -> str:
    return f"the traffic does not follow the split: {deviation(f, mismatch=True)}"


def _clocks(f: Facts) -> str:
    ahead = f["ahead_seconds"]
    return (
        f"the clock of the evidence is {figures.duration(abs(ahead))} {way(ahead)} that of the "
        "ledger: changes of the split are misplaced; use NTP on both, and start anew"
    )


def way(ahead_seconds: float) -> str:
    """On which side another clock is."""
    return "ahead of" if ahead_seconds > 0 else "behind"


_METRIC = "metric role treatment"
_NUMBERS = "unit effect control_value treatment_value p p_is_adjusted alpha"
_MARGIN = "margin margin_is_relative"
_OFF = "variant requests_count total_count expected_count p alpha"

# By code; the order is that of the documented list.
OF_ANALYSES: Words = {
    # Why the evidence cannot be trusted.
    "otherVariants": (
        "the ledger is of {ledger:and}, the experiment of {experiment:and}: "
        "give the new experiment another name"
    ),
    "clocksApart": ("ahead_seconds", _clocks),
    "planChanged": "{parts:list}: differ from the plan that was locked at the start",
    "noRequestCounters": ("{variant}: has a share, but the source has no request counters of it"),
    "stale": "{variant}: last scraped {stale_seconds:duration} ago, so the evidence is stale",
    "scrapeGaps": (
        "{variant}: scrapes cover {covered_ratio:.1%} of the time, must be {needed_ratio:.0%}"
    ),
    "doubtfulRequests": (
        "{variant}: up to {doubtful_ratio:.1%} of its requests may be counted twice: its counters "
        "dropped, and without process_start_time_seconds a restart looks like a dead worker"
    ),
    "splitMismatch": (_OFF, _mismatch),
    # What is proven.
    "harmProven": (f"{_METRIC} {_MARGIN} {_NUMBERS} was_within_margin", _harm),
    "betterProven": (f"{_METRIC} {_NUMBERS}", lambda f: f"{_about(f)} is better: {_by(f)}"),
    "withinMarginProven": (f"{_METRIC} {_MARGIN} {_NUMBERS}", _within),
    "mayShipToo": (
        "{treatment} may ship as well: {first} has the larger estimate of {metric}, which does "
        "not prove it better than {treatment}"
    ),
    # What is missing, and what is done about it.
    "noPrimary": "{treatment}: no primary metric",
    "notYetProven": (f"{_METRIC} {_MARGIN} {_NUMBERS}", _open),
    "notYetEstimable": "{role} {metric} of {treatment}: not estimable yet: {detail}{method:unsaid}",
    "notAsked": "{role} {metric} of {treatment}: has no claim",
    "minDuration": (
        "{left_seconds:duration} more until minDuration of {min_duration_seconds:duration}"
    ),
    "sizeNotReached": ("metric treatment reached_count needed_count expected_seconds", _size),
    "beforePlannedEnd": (
        "test: fixed is judged once, at the planned end (after {max_duration_seconds:duration} "
        "at the latest): nothing is decided before"
    ),
    "maxDurationOver": (
        "maxDuration of {max_duration_seconds:duration} is over, and what shipping needs is not "
        "proven"
    ),
    "oneLookOver": "the one planned look is over, and what shipping needs is not proven",
    "othersGoOn": "stop {stopped:list} to get more evidence of {going:list}",
    # What a reader should know besides.
    "oneLookTaken": (
        "test: fixed had its one look at the planned end, {at}: later evidence does not count, "
        "and looking again gives the same answer"
    ),
    "planNotLocked": (
        "no plan was locked at the start, as a shift of KIND/NAME began the ledger: the verdict "
        "holds if the file has not changed since its first result was seen"
    ),
    "shadowNotJudged": "{variant}: a shadow, which only gets copies, is not judged",
    "noShare": "{variant}: has no share, so the verdict leaves it out",
    "epochOfOtherVariants": "epoch {epoch} ({split:split}) is left out: it has other variants",
    "epochUncertain": (
        "epoch {epoch} ({split:split}) is left out: the split was changed without abctl "
        "during it, at an unknown time"
    ),
    "outsideExperiment": (
        "{variant}: {requests_count:,.0f} requests without {key} or not randomized are not part of "
        "the experiment"
    ),
    "restarts": (
        "{variant}: model servers restarted {restarts_count}x; what they counted after the "
        "last scrape before is lost"
    ),
    "targetsGone": (
        "{variant}: {gone_count} of {targets_count} model servers are no longer scraped; what "
        "they counted after their last scrape, if anything, is lost"
    ),
    "countersFell": (
        "{variant}: counters fell {falls_count}x while their process went on (did a worker die?); "
        "what they counted between those two scrapes is left out"
    ),
    "beforeFirstPeriod": (
        "{variant}: {requests_count:,.0f} requests before {counts_from} are left out: only later "
        "ones count"
    ),
    "beforeFirstPeriodUnknown": (
        "{variant}: requests before {counts_from} are left out: only later ones count; how many "
        "is not known, because what was read of its counters begins after the start"
    ),
    "aroundChanges": (
        "{variant}: {requests_count:,.0f} requests around changes of the split are left out"
    ),
    "beforeFirstScrape": (
        "{variant}: {requests_count:,.0f} requests were counted before the first scrape, at an "
        "unknown time, and are left out"
    ),
    "startUnknown": (
        "{variant}: the first {missing_seconds:duration} that count are missing: does the source "
        "keep less than the experiment lasts?"
    ),
    # What there is instead of an estimate.
    "notEstimable": "{detail}{method:unsaid}",
    # How a metric is measured, and what a test beside the one that decides must not be used for.
    "measured": "{how}",
    "notOnlyDrawn": ("also counts requests that were not randomized: forced, of cohorts, feedback"),
    "burstsIgnored": (
        "takes requests as independent, so bursts of slow ones may look like a difference"
    ),
    "unitsIgnored": "requests of one {assignment_unit} are taken as independent",
    "oneLookOnly": "holds for one look at the planned end only",
    "tooSure": "takes the requests of one unit as independent, so its certainty is too high",
}
