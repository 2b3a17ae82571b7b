"""The words of what the doctor finds and of what to do about it, by code, as in `_words` (pure)."""

from collections.abc import Callable, Mapping

from abctl.core._words import Facts, Words, way
from abctl.core.split import TOTAL_BP, format_share


def _source_clock(f: Facts) -> str:
    ahead = f["ahead_seconds"]
    return f"the source's is {abs(ahead):.1f} s {way(ahead)} the ledger's"


def _no_series(f: Facts) -> str:
    return "; ".join(f"{each['variant']}: no series of {each['selector']}" for each in f["missing"])


def _failed_requests(f: Facts) -> str:
    unsent, answered = f["unsent_count"], sorted(f["answered"].items())
    rest = f", {unsent:,} were not sent" if unsent else ""
    others = ", ".join(f"{name or 'an unknown variant'} answered {n:,}" for name, n in answered)
    return (
        f"{f['failed_count']} of {f['asked_count']:,} requests failed ({f['failure']}){rest}; "
        f"{others or 'none answered'}"
    )


def _shares(f: Facts) -> str:
    return ", ".join(
        f"{name} {got:.1%} (wanted {format_share(round(f['wanted_ratio'][name] * TOTAL_BP))})"
        for name, got in f["observed_ratio"].items()
    )


def _answer(variant: str | None, failure: str | None) -> str:
    if failure is not None:
        return f"no variant ({failure})" if failure else "no variant in time"
    return variant or "an unknown variant"


def _overrides(f: Facts) -> str:
    wrong = (
        f"{each['variant']} was answered by {_answer(each['answeredBy'], each['failure'])}"
        for each in f["wrong"]
    )
    return f"{f['header']}: {'; '.join(wrong)}"


def _keyless(f: Facts) -> str:
    got = _answer(f["answered_by"], f["failure"])
    return f"a request without {f['key']} was answered by {got}"


def _permissions(f: Facts) -> str:
    said = [", ".join(f["may"])] if f["may"] else []
    said += [f"not {name} ({', '.join(lacking)})" for name, lacking in f["may_not"].items()]
    return f"you may {'; '.join(said)}"


def _objects(f: Facts, named: str) -> str:
    unseen = f"; you may not see {', '.join(f['unreadable'])}" if f["unreadable"] else ""
    return f"{named}{unseen}"


def _unread(said: str, f: Facts) -> str:
    return f"{said}{''.join(f'; not looked at: {each}' for each in f['unread'])}"


def _rivals(f: Facts) -> str:
    return _unread("; ".join(f"{r['who']} has {r['what']} too" for r in f["rivals"]), f)


def _processes(f: Facts) -> str:
    return ", ".join(f"{name} {ending}" for name, ending in f["ended"].items())


def _finish(f: Facts) -> str:
    back = f", abctl shift {f['experiment']} {f['before']} reverts it" if f["before"] else ""
    return f"abctl shift {f['experiment']} {f['after']} finishes it{back}"


def _unnamed(f: Facts) -> str:
    if f["dropped"]:
        return "this platform drops the header; `abctl status` counts who answered"
    return _ENTRANCE


_ENTRANCE = "is it the entrance of this experiment? `abctl diff` shows what differs"

_SCRAPES = (
    "{targets_count} targets, every {interval_seconds:duration}, the last one {age_seconds:.0f} s "
    "ago"
)
_SHARES = "observed_ratio wanted_ratio requests_count p"

OF_CHECKS: Words = {
    "failed": "{detail}{error:unsaid}",
    "answers": "{place} answers",
    # The world.
    "permitted": ("may may_not", _permissions),
    "notPermitted": ("may may_not", _permissions),
    "objectsMissing": (
        "missing unreadable",
        lambda f: _objects(f, f"not there: {', '.join(f['missing'])}"),
    ),
    "objectsPresent": ("present unreadable", lambda f: _objects(f, ", ".join(f["present"]))),
    "diskFull": "{detail}",
    "processesEnded": ("ended", _processes),
    "processesRun": "all of them run",
    "splitNotInEffect": "{split:split} is not in effect: {detail}",
    "variantsDiffer": "{detail}",
    "splitSetElsewhere": (
        "{split:split} was set without abctl, the ledger has {ledger_split:split}"
    ),
    "shiftUnfinished": "{actor} began a shift to {split:split} that is not finished",
    "effectUnknown": "{split:split}, but whether it is in effect is unknown: {detail}",
    "splitAsRecorded": "{split:split}, as the ledger has it",
    "collectorReady": "ready",
    "collectorNotReady": "{detail}",
    "contested": ("rivals unread", _rivals),
    "uncontested": ("unread", lambda f: _unread("no other experiment or route has its host", f)),
    "owned": "{owner} writes the split of {target} too",
    "variantReady": "ready{variant:unsaid}",
    "variantNotReady": "{detail}{variant:unsaid}",
    # The evidence.
    "sourceClockApart": ("ahead_seconds", _source_clock),
    "sourceClockAgrees": "within {apart_seconds:.1f} s of the ledger's",
    "seriesMissing": ("missing", _no_series),
    "noEventYet": ("missing", _no_series),
    "seriesComplete": "{series_count} series, every variant has them",
    "accessLogNotScraped": (
        "nobody scrapes the reader of the proxy's access log (no series of {selector}): what "
        "servers counted decides"
    ),
    "noneSilent": "no variant with a share is without good answers while others have some",
    "scrapedOnce": "only one scrape in ten minutes",
    "scrapesEnded": _SCRAPES,
    "settleTooShort": f"{_SCRAPES}; settle is only {{settle_seconds:written}}",
    "scrapesRegular": _SCRAPES,
    "labelsHidden": "{labels:list}: the target sets labels that the server also sets",
    "labelsKept": "no label of a server is hidden by one of its target",
    "retentionUnknown": "{place} does not say for how long it keeps samples",
    "retentionUnlimited": "{place} keeps samples for ever",
    "retentionTooShort": (
        "{kept_seconds:written}, the experiment may take {max_duration_seconds:written}"
    ),
    "retentionEnough": "{kept_seconds:written}, longer than {max_duration_seconds:written}",
    # The routing.
    "entranceUnknown": "not probed: the entrance is not known",
    "requestsFailed": ("failed_count asked_count unsent_count failure answered", _failed_requests),
    "answersTooSlow": (
        "only {answered_count:,} of {requests_count:,} requests were answered in time"
    ),
    "variantUnknown": (
        "{answers_count} of {requests_count} answers have {header}: {variant}, not a variant"
    ),
    "variantNotNamed": "{answers_count} of {requests_count} answers have no {header}",
    "sharesOff": (_SHARES, lambda f: f"{_shares(f)}, p = {f['p']:.1g}"),
    "sharesRight": (_SHARES, lambda f: f"{_shares(f)}: {f['requests_count']} requests"),
    "notSticky": (
        "{moved_count} of {users_count} users got another variant on their second request"
    ),
    "sticky": "{users_count} users got the same variant twice",
    "notAsAssigned": "{wrong_count} of {users_count} users are not where `abctl assign` puts them",
    "asAssigned": "{users_count} users are where `abctl assign` puts them",
    "overrideIgnored": ("header wrong", _overrides),
    "overrideHeeded": "{header} forces {variants:or}",
    "keylessElsewhere": ("key answered_by failure wanted", _keyless),
    "keylessToControl": ("key answered_by failure wanted", _keyless),
}

# What to do about it: from the facts of the code, and what else is named here.
HINTS: Mapping[str, str | Callable[[Facts], str]] = {
    # The world.
    "notPermitted": "ask for a Role in {namespaces:and} that allows it",
    "objectsMissing": "abctl apply {experiment}",
    "diskFull": "free space there: evidence that cannot be written is lost",
    "processesEnded": "abctl local logs --state {state} --process {process} says why",
    "splitNotInEffect": "abctl status {experiment}",
    "splitSetElsewhere": "the next abctl shift enters it into the ledger",
    "shiftUnfinished": _finish,
    "effectUnknown": "allow get pods/proxy, or let a change settle for 2m (design.settle)",
    "collectorNotReady": "until it is, feedback gets 503 and what was sent is to be sent again",
    "contested": "of one host or Service only one experiment can be judged: end one, or part them",
    "variantNotReady": "a variant that is not ready never gets more requests",
    # The evidence.
    "sourceClockApart": "changes of the split would be misplaced: synchronize both clocks (NTP)",
    "noGoodAnswer": (
        "take its share away: abctl rollback EXPERIMENT; then look at its server's log"
    ),
    "seriesMissing": "has it had any traffic? are the labels those of this experiment?",
    "noEventYet": "does it appear with its first event? then it counts as 0",
    "scrapedTwice": "let only one job scrape it, or give the metric selectors with a job",
    "collectorNotScraped": (
        "scrape pods labeled app.kubernetes.io/component: collector, port 8090"
    ),
    "collectorLost": "restore its volume; without it only what is predicted from now on counts",
    "accessLogDropped": "does its reader (access-log) run, and get enough of the machine?",
    "accessLogRestarted": "does its reader (access-log) run, and get enough of the machine?",
    "accessLogNotScraped": (
        "scrape port access-log (9902) of the proxy's pods; or accessLog: false"
    ),
    "scrapedOnce": "wait for the next scrape",
    "scrapesEnded": "is the scrape job still there, and are its targets up?",
    "settleTooShort": "design.settle: {needed_seconds:written} or more",
    "labelsHidden": "honorLabels: true, or drop the target's own labels",
    "retentionUnknown": "the experiment may take {max_duration_seconds:written}",
    "retentionTooShort": "--storage.tsdb.retention.time, or a shorter maxDuration",
    # The routing.
    "entranceUnknown": "give the entrance: --url http://HOST{path}",
    "requestsFailed": "is a variant down? is this the entrance? curl -i {url}",
    "answersTooSlow": "is the entrance slow? fewer requests: --users 100",
    "variantUnknown": _ENTRANCE,
    "variantNotNamed": _unnamed,
    "sharesOff": "analyze would be invalid: `abctl status` shows the split in effect",
    "notSticky": "does every replica route by the same header?",
    "notAsAssigned": "are salt and key those of the file?",
    "overrideIgnored": "`abctl render` shows the routes that force it",
    "keylessElsewhere": "it should be {wanted}: others are not in the experiment",
}
