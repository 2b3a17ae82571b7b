"""Does the entrance route as the split says? Asked by requests of made-up users.

The requests ask whether the model is ready (GET), which no server counts: an experiment that runs
is not touched. What answered stands in the header `x-ab-variant`.
"""

import http.client
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus

from abctl.core import experiment as core
from abctl.core.assignment import explain
from abctl.core.experiment import Experiment
from abctl.core.split import TOTAL_BP, Split, format_share
from abctl.platforms import platform
from abctl.services._entrance import Entrance
from abctl.services.checks import Check, error, ok, warning

USERS = 1_000
# A false alarm in one of a thousand probes of a split that is followed.
_LEVEL = 0.001
_TIMEOUT_SECONDS = 10.0
_VARIANT = "x-ab-variant"
_NAME = "routing"


def probe(
    experiment: Experiment,
    split: Split,
    entrance_url: str,
    *,
    first: int,
    users: int = USERS,
    report: Callable[[int, int], None] | None = None,
) -> Iterator[Check]:
    """Ask the entrance, and compare the answers with the split.

    Args:
        experiment: its rules of assignment and the name of its model.
        split: the one that should be in effect.
        entrance_url: where requests go in.
        first: number of the first user; another one is another sample.
        users: how many are made up.
        report: told how many requests were sent, of how many.

    Raises:
        UsageError: not a URL.
    """
    rules = experiment.assignment
    sticky = rules.unit != "request"
    units = [{rules.key: f"abctl-probe-{first + i}"} if sticky else {} for i in range(users)]
    path = f"/v2/models/{experiment.control.model.name}/ready"
    wire = _Wire(Entrance.parse(entrance_url), path, experiment.entrance)
    rounds = list[list[str]]()
    total = users * (1 + sticky)
    try:
        for _ in range(1 + sticky):
            rounds.append([])
            for unit in units:
                rounds[-1].append(wire.ask(unit))
                if report:
                    report(sum(map(len, rounds)), total)
            wire.close()  # another connection may end at another replica of the proxy
        special = [*_special(experiment, wire)]
    except (OSError, http.client.HTTPException) as failed:
        why = str(failed) or type(failed).__name__
        yield error(_NAME, f"no answer from {entrance_url}: {why}", "is that the entrance?")
        return
    finally:
        wire.close()
    if wire.failed:
        status, count = wire.failed.most_common(1)[0]
        message = f"{count} requests were answered by HTTP {status}"
        yield error(_NAME, message, f"ask for {entrance_url}{path} by hand")
        return
    if unknown := Counter(name for name in rounds[0] if name not in split.names):
        yield _unknown(unknown, users)
        return
    yield _shares(split, rounds[0])
    if sticky:
        yield _stickiness(*rounds)
        if draw := platform(experiment.platform).CAPABILITIES.draw:
            wanted = [explain(rules, split, unit, draw).variant for unit in units]
            yield _predicted(wanted, rounds[0])
    yield from special


def _unknown(unknown: Counter[str], users: int) -> Check:
    name, count = unknown.most_common(1)[0]
    told = f"say {_VARIANT}: {name}, which is no variant" if name else f"have no {_VARIANT}"
    hint = "is it the entrance of this experiment? `abctl diff` shows what is not as rendered"
    return error(_NAME, f"{count} of {users} answers {told}", hint)


def _shares(split: Split, answered: list[str]) -> Check:
    """Each share against the split: exact binomial tests (Clopper & Pearson 1934), Bonferroni."""
    from scipy.stats import binomtest  # noqa: PLC0415 - scipy is slow to import

    n, counts = len(answered), Counter(answered)
    said = ", ".join(
        f"{name} {counts[name] / n:.1%} (wanted {format_share(split[name])})"
        for name in split.names
    )
    p = min(float(binomtest(counts[k], n, split[k] / TOTAL_BP).pvalue) for k in split.names)
    if p < _LEVEL / len(split.names):
        hint = "analyze would call the experiment invalid: `abctl status` says what is programmed"
        return error("routing: shares", f"{said}, p = {p:.1g}", hint)
    return ok("routing: shares", f"{said}: {n} requests")


def _stickiness(first: list[str], second: list[str]) -> Check:
    moved = sum(a != b for a, b in zip(first, second, strict=True))
    if moved:
        message = f"{moved} of {len(first)} users got another variant when they asked again"
        return error("routing: stickiness", message, "does every replica route by the same header?")
    return ok("routing: stickiness", f"{len(first)} users got the same variant twice")


def _predicted(wanted: list[str | None], answered: list[str]) -> Check:
    wrong = sum(a != b for a, b in zip(wanted, answered, strict=True))
    if wrong:
        message = f"{wrong} of {len(answered)} users are not where `abctl assign` puts them"
        return error("routing: assignment", message, "are salt and key those of the file?")
    return ok("routing: assignment", f"{len(answered)} users are where `abctl assign` puts them")


def _special(experiment: Experiment, wire: "_Wire") -> Iterator[Check]:
    """The header that forces a variant, and requests that have no unit."""
    rules = experiment.assignment
    if rules.override:
        asked = experiment.split.names
        got_by = {
            name: wire.ask({rules.override: name, rules.key: "abctl-probe-forced"})
            for name in asked
        }
        wrong = [f"{name} was answered by {got}" for name, got in got_by.items() if got != name]
        yield (
            error(
                "routing: override",
                f"{rules.override}: {'; '.join(wrong)}",
                "`abctl render` shows the routes that should force it",
            )
            if wrong
            else ok("routing: override", f"{rules.override} forces {' or '.join(asked)}")
        )
    if rules.unit != "request":
        got, control = wire.ask({}), experiment.control.name
        message = f"a request without {rules.key} was answered by {got or 'nobody knows whom'}"
        name = "routing: no key"
        hint = f"it should be {control}: others are not in the experiment"
        yield ok(name, message) if got == control else warning(name, message, hint)


class _Wire:
    """Asks over one connection, kept open, and tells which variant answered."""

    def __init__(self, to: Entrance, path: str, gateway: core.Entrance | None) -> None:
        self.failed = Counter[int]()
        self._to = to
        self._path = to.path + path
        self._host = {"Host": gateway.host} if gateway and gateway.host else {}
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, headers: Mapping[str, str]) -> str:
        """Which variant answered a request with these headers; empty where it does not say."""
        if self._connection is None:
            kind = http.client.HTTPSConnection if self._to.tls else http.client.HTTPConnection
            self._connection = kind(self._to.host, self._to.port, timeout=_TIMEOUT_SECONDS)
        self._connection.request("GET", self._path, headers={**self._host, **headers})
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != HTTPStatus.OK:
            self.failed[answer.status] += 1
        return answer.headers.get(_VARIANT, "")

    def close(self) -> None:
        """Close the connection; the next question opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
