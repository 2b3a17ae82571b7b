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


def deviation(f: Facts, *, mismatch: bool, of: str = "requests") -> str:
    """The variant that is furthest off its share, and whether that may be chance."""
    total = max(1.0, f["total_count"])
    got, due = (f"{f[key]:,.0f}" for key in ("requests_count", "expected_count"))
    ratio = f["requests_count"] / total
    said = f"{f['variant']} got {got} of {total:,.0f} {of} ({ratio:.2%})"
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


def _unfinished(f: Facts) -> str:
    wanted = figures.shares(f["split"])
    begun = f"{f['actor']} began to shift to {wanted} at {f['at']}: not finished"
    if f["seen"] is None:
        return f"{begun}; nobody knows which split is in effect since, so nothing since counts"
    holds = f"the platform is asked for {figures.shares(f['seen'])}"
    if not f["in_effect"]:
        return f"{begun}; {holds}, and does not say that it is in effect: nothing since counts"
    return f"{begun}; {holds}, which counts"


def _no_good_answer(f: Facts) -> str:
    failed = f"{f['failed_count']:,.0f} of its requests failed, " if f["failed_count"] else ""
    return (
        f"{f['variant']}: no good answer for {figures.duration(f['silent_seconds'])}, "
        f"{failed}while others gave {f['others_good_count']:,.0f} good ones, {_who(f['view'])}"
    )


def _who(view: str) -> str:
    return "as clients saw it" if view == "clients" else "by the servers' own counters"


def _refusals(f: Facts) -> str:
    p = figures.probability(f["p"], f["alpha"])
    return (
        f"{f['treatment']}: {f['treatment_ratio']:.2%} of its requests are refused (4xx), "
        f"{f['control_ratio']:.2%} of the control's: users are assigned at random, so its model "
        f"does it ({p}, {_who(f['view'])})"
    )


def _other_harm(f: Facts) -> str:
    over = "" if f["margin"] is None else f" than its margin of {_margin(f)}"
    return f"{_about(f)} is worse{over} {_who(f['view'])}: {_by(f)}"


def _other_open(f: Facts) -> str:
    what = "better" if f["margin"] is None else f"within its margin of {_margin(f)}"
    return f"{_about(f)}: not proven {what} {_who(f['view'])} yet: {_by(f, needed=True)}"


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
    "requestsUncountable": "{variant}: its requests cannot be counted: {detail}{cause:unsaid}",
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
    "noGoodAnswer": (
        "variant view silent_seconds failed_count others_good_count",
        _no_good_answer,
    ),
    "harmProven": (f"{_METRIC} {_MARGIN} {_NUMBERS} was_within_margin", _harm),
    "betterProven": (f"{_METRIC} {_NUMBERS}", lambda f: f"{_about(f)} is better: {_by(f)}"),
    "withinMarginProven": (f"{_METRIC} {_MARGIN} {_NUMBERS}", _within),
    "mayShipToo": (
        "{treatment} may ship as well: {first} has the larger estimate of {metric}, which does "
        "not prove it better than {treatment}"
    ),
    "otherViewHarm": (f"{_METRIC} {_MARGIN} {_NUMBERS} view", _other_harm),
    # What is missing, and what is done about it.
    "refusalsDiffer": ("treatment view control_ratio treatment_ratio p alpha", _refusals),
    "bornUnknown": (
        "{metric} of {variant}: counters held {lost_count:,.0f} when they were first seen, and "
        "nothing tells since when, so that is left out: scrape with the label "
        "instance, and process_start_time_seconds ({selector})"
    ),
    "otherViewOpen": (f"{_METRIC} {_MARGIN} {_NUMBERS} view", _other_open),
    "otherViewUnknown": (
        "{role} {metric} of {treatment}: not estimable yet by the counters of {preset}: {detail}"
        "{view:unsaid}{reason:unsaid}"
    ),
    "usersUnknown": (
        "{role} {metric} of {treatment}: these counters do not know the users that are assigned, "
        "so nothing is proven by them"
    ),
    "noPrimary": "{treatment}: no primary metric",
    "notYetProven": (f"{_METRIC} {_MARGIN} {_NUMBERS}", _open),
    "notYetEstimable": (
        "{role} {metric} of {treatment}: not estimable yet: {detail}{method:unsaid}{reason:unsaid}"
    ),
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
    "shiftNotFinished": ("actor split at seen in_effect", _unfinished),
    "planAmended": (
        "{actor} amended {parts:list} of the locked plan at {at} ({why}): only what came since "
        "counts, and nothing may be claimed of what came before. Amended {amendments_count}x: each "
        "plan alone keeps its alpha, all of them together do not"
    ),
    "doubtAccepted": (
        "{actor} accepted {accepted} at {at}, so it keeps nothing from being shipped: {why}"
    ),
    "clockSetBack": (
        "a clock was wrong: by the ledger {earlier_actor} did something at {earlier_at}, and "
        "{actor} later, but at {at}. The later entry is taken to be right; if its clock was "
        "behind, shift once more by one that is right, and do not trust what came before"
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
    "restartsAlone": (
        "{variant}: its counters or servers started anew {restarts_count}x, those of no other "
        "variant: does its model crash?"
    ),
    "countsDisagree": (
        "{variant}: clients got {clients_count:,.0f} good answers, its servers counted "
        "{servers_count:,.0f}: do both count the same requests, and is every server scraped?"
    ),
    "oneInstance": (
        "metric treatment instance instance_value others_value unit",
        lambda f: (
            f"{f['metric']} of {f['treatment']} fails because of one server, {f['instance']}: "
            f"{figures.value(f['instance_value'], f['unit'])}, all others "
            f"{figures.value(f['others_value'], f['unit'])}"
        ),
    ),
    "accessLogDropped": (
        "the proxy lost at least {lines_count:,.0f} lines of its access log, beside "
        "{counted_count:,.0f} requests that were counted: the reader was away or could not keep up"
    ),
    "accessLogRestarted": (
        "the reader of the access log started anew {restarts_count:,} times: of Envoy's log, what "
        "came meanwhile is not counted"
    ),
    "targetsGone": (
        "{variant}: {gone_count} of {targets_count} model servers are no longer scraped; what "
        "they counted after their last scrape, if anything, is lost"
    ),
    "labelsChanged": (
        "{variant}: the labels {labels:and} of its counters changed while their process went on: "
        "they are counted as one"
    ),
    "scaledToZero": (
        "{variant}: nothing was there to be scraped for {absent_seconds:duration} (scaled to "
        "zero?), which is no gap"
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
    # Why the counters of a metric cannot be used.
    "severalProcesses": (
        "several processes answer behind one address, {instance}: scrape each by itself, or let "
        "them add up their counters"
    ),
    "scrapedTwice": (
        "{instance} is scraped twice ({differing}), so everything would count double: let only one "
        "job scrape it, or give the metric selectors with a job"
    ),
    "otherScrapes": (
        "of {instance}, process_start_time_seconds is not of the same scrapes: let every scrape "
        "have it; where two servers answer behind the address of the source, give that of one of "
        "them, or of a Thanos or Mimir that merges them"
    ),
    "notACounter": "{selector:unsaid}{detail}",
    "contradictory": (
        "{selectors:and} contradict each other: {detail}; both must be counted by the same code, "
        "and scraped from the same page"
    ),
    # How a metric is measured, and what a test beside the one that decides must not be used for.
    "measured": "{how}",
    "byServers": (
        "by the servers' own counters ({preset}), which do not see what clients waited for or did "
        "not get from them"
    ),
    "grpcUnseen": "{preset} does not see errors of gRPC: {how}",
    "notOnlyDrawn": "also counts requests that were not randomized",
    "burstsIgnored": (
        "takes requests as independent, so bursts of slow ones may look like a difference"
    ),
    "unitsIgnored": "requests of one {assignment_unit} are taken as independent",
    "oneLookOnly": "holds for one look at the planned end only",
    "tooSure": "takes the requests of one unit as independent, so its certainty is too high",
}
