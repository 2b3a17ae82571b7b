"""Does the entrance route as the split says? Asked by requests of made-up users.

The requests ask whether the model is ready (GET), which no server counts: an experiment that runs
is not touched. What answered stands in the header `x-ab-variant`. They are sent some at a time,
until all are answered or it is of no use to go on.
"""

import http.client
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from abctl.core.address import Entrance
from abctl.core.assignment import VARIANT_HEADER, explain
from abctl.core.experiment import Experiment
from abctl.core.split import TOTAL_BP, Split
from abctl.doctor.check import Check, error, ok, warning
from abctl.platforms import platform

_log = logging.getLogger(__name__)
Headers = Mapping[str, str]

# Polite, and yet a server that does not answer holds up few.
_AT_A_TIME = 8
_TIMEOUT_SECONDS = 4.0
# A variant that is dead fails all of its requests: so many say it as well as a thousand.
_MOST_FAILURES = 8
# How long all may take together; what is on its way then is still waited for.
_LONGEST_SECONDS, _LONGEST_SECONDS_EACH = 5.0, 0.008
_TOLD_SECONDS = 0.2
USERS = 1_000
# A false alarm in one of a thousand probes of a split that is followed.
_LEVEL = 0.001
_NAME = "routing"


@dataclass(frozen=True)
class Answer:
    """Which variant answered (empty: it does not say), or what went wrong instead."""

    variant: str
    failure: str = ""


class Asking:
    """Asks an entrance, over and over.

    Args:
        to: where requests go in.
        path: what they ask for.
        host: the Host header; None: that of the entrance.
        report: called with how many requests were answered, and of how many; never from another
            thread.
    """

    def __init__(
        self,
        to: Entrance,
        path: str,
        host: str | None,
        report: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        self._to, self._path = to, to.path + path
        self._host = {"Host": host} if host else {}
        self._url = f"{'https' if to.tls else 'http'}://{to.authority}{self._path}"
        self._report = report

    def all(self, requests: Sequence[Headers]) -> list[Answer | None]:
        """The answer to each; None where it was not asked any more."""
        found: list[Answer | None] = [None] * len(requests)
        todo, over, failed = iter(range(len(requests))), threading.Event(), list[int]()
        end = time.monotonic() + _LONGEST_SECONDS + _LONGEST_SECONDS_EACH * len(requests)
        one_at_a_time = threading.Lock()

        def next_one() -> int | None:
            with one_at_a_time:
                given_up = over.is_set() or time.monotonic() > end
                return None if given_up else next(todo, None)

        def work() -> None:
            with self._line() as ask:
                while (i := next_one()) is not None:
                    found[i] = answer = ask(requests[i])
                    if answer.failure:
                        failed.append(i)
                    if len(failed) >= _MOST_FAILURES:
                        over.set()

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            try:
                working = [pool.submit(work) for _ in range(_AT_A_TIME)]
                while working:
                    done, left = wait(working, _TOLD_SECONDS)
                    working = list(left)
                    self._report(sum(each is not None for each in found), len(found))
                    for each in done:
                        each.result()
            finally:
                over.set()
        return found

    @contextmanager
    def _line(self) -> Iterator[Callable[[Headers], Answer]]:
        """Asks over one connection, which is kept as long as it holds."""
        kind = http.client.HTTPSConnection if self._to.tls else http.client.HTTPConnection
        connection = kind(self._to.host, self._to.port, timeout=_TIMEOUT_SECONDS)

        def once(headers: Headers) -> Answer:
            begun = time.monotonic()
            connection.request("GET", self._path, headers={**self._host, **headers})
            answer = connection.getresponse()
            size, took_ms = len(answer.read()), 1000 * (time.monotonic() - begun)
            _log.info("GET %s: %d, %d bytes, %.0f ms", self._url, answer.status, size, took_ms)
            wrong = "" if answer.status == HTTPStatus.OK else f"HTTP {answer.status}"
            return Answer(answer.headers.get(VARIANT_HEADER, ""), wrong)

        def ask(headers: Headers) -> Answer:
            kept = connection.sock is not None
            try:
                try:
                    return once(headers)
                except (ConnectionError, http.client.HTTPException):
                    connection.close()
                    # A connection that was kept may just have been closed at the other end.
                    if not kept:
                        raise
                    return once(headers)
            except TimeoutError:
                failure = f"no answer within {_TIMEOUT_SECONDS:g} s"
            except (OSError, http.client.HTTPException) as error:
                failure = f"no answer ({str(error) or type(error).__name__})"
            connection.close()
            _log.info("GET %s: %s", self._url, failure)
            return Answer("", failure)

        try:
            yield ask
        finally:
            connection.close()


def failures(answers: Sequence[Answer | None]) -> list[str]:
    """What went wrong, for each that failed."""
    return [each.failure for each in answers if each is not None and each.failure]


def probe(
    experiment: Experiment,
    split: Split,
    entrance_url: str,
    *,
    first: int,
    users: int = USERS,
    report: Callable[[int, int], None] = lambda _done, _all: None,
) -> Iterator[Check]:
    """Ask the entrance, and compare the answers with the split.

    It ends early where nothing or only errors come back.

    Args:
        experiment: its rules of assignment and the name of its model.
        split: the one that should be in effect.
        entrance_url: where requests go in.
        first: number of the first user; another one is another sample.
        users: how many are made up.
        report: called with how many requests were answered, and of how many.

    Raises:
        UsageError: not a URL.
    """
    rules = experiment.assignment
    sticky = rules.unit != "request"
    units = [{rules.key: f"abctl-probe-{first + i}"} if sticky else {} for i in range(users)]
    model = experiment.control.model
    ready = "/v1/models/{}" if model.protocol == "v1" else "/v2/models/{}/ready"
    path = ready.format(model.name)
    host = experiment.entrance.host if experiment.entrance else None
    # Each connection may end at another replica of the proxy, so who asks again asks others.
    asking = Asking(Entrance.parse(entrance_url), path, host, report)
    found = asking.all([*units, *units] if sticky else units)
    if failed := failures(found):
        yield _failed(failed, found, f"{entrance_url.rstrip('/')}{path}")
        return
    answers = [each.variant for each in found if each is not None]
    if len(answers) < len(found):
        counts = {"answered_count": len(answers), "requests_count": len(found)}
        yield error(_NAME, "answersTooSlow", **counts)
        return
    rounds = [answers[:users], answers[users:]]
    if unknown := Counter(name for name in rounds[0] if name not in split.names):
        yield _unknown(
            unknown, users, told=platform(experiment.platform).CAPABILITIES.names_variant
        )
        return
    yield _shares(split, rounds[0])
    if sticky:
        yield _stickiness(rounds[0], rounds[1])
        if draw := platform(experiment.platform).CAPABILITIES.draw:
            wanted = [explain(rules, split, unit, draw).variant for unit in units]
            yield _predicted(wanted, rounds[0])
    yield from _special(experiment, asking)


def _failed(failed: Sequence[str], answers: Sequence[Answer | None], url: str) -> Check:
    """Failed requests, and which variants have answered the others."""
    what, count = Counter(failed).most_common(1)[0]
    asked = sum(each is not None for each in answers)
    good = Counter(each.variant for each in answers if each and not each.failure)
    return error(
        _NAME,
        "requestsFailed",
        {"url": url},
        failed_count=count,
        asked_count=asked,
        unsent_count=len(answers) - asked,
        failure=what,
        answered=dict(good),
    )


def _unknown(unknown: Counter[str], users: int, *, told: bool) -> Check:
    name, count = unknown.most_common(1)[0]
    facts = {"answers_count": count, "requests_count": users, "header": VARIANT_HEADER}
    if name:
        return error(_NAME, "variantUnknown", variant=name, **facts)
    dropped = not told and count == users
    found = warning if dropped else error
    return found(_NAME, "variantNotNamed", {"dropped": dropped}, **facts)


def _shares(split: Split, answered: list[str]) -> Check:
    """Each share against the split: exact binomial tests (Clopper & Pearson 1934), Bonferroni."""
    from scipy.stats import binomtest  # noqa: PLC0415 - scipy is slow to import

    n, counts = len(answered), Counter(answered)
    p = min(float(binomtest(counts[k], n, split[k] / TOTAL_BP).pvalue) for k in split.names)
    facts = {
        "observed_ratio": {name: counts[name] / n for name in split.names},
        "wanted_ratio": split.ratios,
        "requests_count": n,
        "p": p,
    }
    if p < _LEVEL / len(split.names):
        return error("routing: shares", "sharesOff", **facts)
    return ok("routing: shares", "sharesRight", **facts)


def _stickiness(first: list[str], second: list[str]) -> Check:
    users = {"users_count": len(first)}
    if moved := sum(a != b for a, b in zip(first, second, strict=True)):
        return error("routing: stickiness", "notSticky", moved_count=moved, **users)
    return ok("routing: stickiness", "sticky", **users)


def _predicted(wanted: list[str | None], answered: list[str]) -> Check:
    users = {"users_count": len(answered)}
    if wrong := sum(a != b for a, b in zip(wanted, answered, strict=True)):
        return error("routing: assignment", "notAsAssigned", wrong_count=wrong, **users)
    return ok("routing: assignment", "asAssigned", **users)


def _special(experiment: Experiment, asking: Asking) -> Iterator[Check]:
    """The header that forces a variant, and requests that have no unit."""
    rules, asked = experiment.assignment, experiment.split.names
    forced = {rules.key: "abctl-probe-forced"} if rules.key else {}
    requests = [{rules.override: name, **forced} for name in asked if rules.override]
    requests += [{}] if rules.unit != "request" else []
    answers = iter(asking.all(requests))
    if rules.override:
        got = {name: _who(next(answers)) for name in asked}
        wrong = [
            {"variant": name, "answeredBy": variant, "failure": failure}
            for name, (variant, failure) in got.items()
            if variant != name
        ]
        yield (
            error(
                "routing: override",
                "overrideIgnored",
                header=rules.override,
                wrong=wrong,
            )
            if wrong
            else ok(
                "routing: override", "overrideHeeded", header=rules.override, variants=list(asked)
            )
        )
    if rules.unit != "request":
        (variant, failure), control = _who(next(answers)), experiment.control.name
        facts = {"key": rules.key, "answered_by": variant, "failure": failure, "wanted": control}
        yield (
            ok("routing: no key", "keylessToControl", **facts)
            if variant == control
            else warning("routing: no key", "keylessElsewhere", **facts)
        )


def _who(answer: Answer | None) -> tuple[str | None, str | None]:
    """The variant that answered, if known; or why none did, which is empty for a timeout."""
    if answer is None or answer.failure:
        return None, answer.failure if answer else ""
    return answer.variant or None, None
