"""Presets (pure): which counters hold what, one file for each way to instrument.

A metric of some kind is made of parts, each the sum of the counters that one selector finds.
The page on metrics has them all in a table, with what each relies on.

In selectors these stand for what the experiment says: `$experiment`, `$namespace`, `$variant`,
`$model` and `$version` (of the variant), `$outcome` (what the metric is `of`), `$over` (what a
ratio is over), `$maturity` (how much later than its prediction it is counted), and `$upstream`:
what the platform's own objects call the variant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from abctl import plugins
from abctl.core.experiment import Kind
from abctl.errors import SourceError

Parts = Mapping[str, str]

ERRORS, LATENCY = "errors", "latency"
AS_HTTP = "its answer is an HTTP 200, so it counts as a good one"

# Statuses of gRPC, by number and by name: what the client did wrong, and what the server did.
GRPC_REFUSED = "1|3|5|6|7|9|11|16"
GRPC_FAILED = "2|4|8|10|12|13|14|15"
# HTTP statuses of a proxy that got no answer.
UNANSWERED = "502|503|504"

# Whoever scrapes several experiments labels them; without such labels there is but one.
HERE = 'experiment=~"$experiment|",namespace=~"$namespace|"'


@dataclass(frozen=True)
class Preset:
    """The selectors of one way to instrument.

    Attributes:
        requests: the requests of a variant.
        drawn: whether `requests` has only those that chance has put there. Otherwise it also has
            forced ones, cohorts, and those without a unit.
        feedback: whether `requests` may have feedback as well, where no collector takes it.
        outside: those that are not part of the experiment; None where they are not counted.
        named: parts of what it measures itself (errors, latency), by name and kind.
        outcome: parts of any other name, by kind.
        by_per: parts of declared outcomes that are taken per request or user, by that and by kind.
        by_unit: parts of latency by the bucket of its unit, or by group of buckets, by kind.
        buckets: whether the counters say which bucket of units a request was of.
        late: whether a counter of errors comes with the first error, so that none is a zero.
        latency_unit_seconds: what latency is counted in.
        platforms: those whose preset it is unless the experiment says otherwise.
        answers: requests by class of their answer (see `abctl.core.answers`), each the sum of some
            selectors; `unanswered` is a part of `failed`. Empty where they are not told apart.
        foreign: by what it measures, requests of others that its counters may hold as well: where
            these grow, they are of another population than the requests.
        ages: of reports of an outcome, how old their predictions were, as a histogram.
        lost: reports that a collector refused because they are older than its memory.
        proxy: whether a proxy in front of the servers counts: what clients got.
        remarks: what a reader should know of what it measures itself, by name.
        dropped: lines of the log that it counts which were lost.
        since: when whoever counts the log began to, for each variant.
        grpc: how a call of gRPC that failed looks to it, where it does not tell it apart.
    """

    requests: str
    drawn: bool = False
    feedback: bool = True
    outside: str | None = None
    named: Mapping[str, Mapping[Kind, Parts]] = field(default_factory=dict)
    outcome: Mapping[Kind, Parts] = field(default_factory=dict)
    by_per: Mapping[str, Mapping[Kind, Parts]] = field(default_factory=dict)
    by_unit: Mapping[Kind, Parts] = field(default_factory=dict)
    buckets: bool = False
    late: bool = True
    latency_unit_seconds: float = 1.0
    platforms: tuple[str, ...] = ()
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    ages: str | None = None
    lost: str | None = None
    proxy: bool = False
    remarks: Mapping[str, str] = field(default_factory=dict)
    dropped: str | None = None
    since: str | None = None
    grpc: str = ""


def errors(answered: str, failed: str) -> Mapping[Kind, Parts]:
    """Failures among what was answered, as a proportion and as a rate."""
    return {
        "proportion": {"n": answered, "successes": failed},
        "rate": {"events": failed, "exposure": answered},
    }


def answers(name: str, matchers: str, code: str) -> Mapping[str, tuple[str, ...]]:
    """Requests by class of their answer, by a label that holds the HTTP status in full."""
    by_class = {
        "good": "[23]..",
        "refused": "4..",
        "failed": "5..",
        "unanswered": UNANSWERED,
    }
    return {kind: (f'{name}{{{matchers},{code}=~"{codes}"}}',) for kind, codes in by_class.items()}


def names() -> tuple[str, ...]:
    """All presets, as an experiment file names them."""
    return tuple(name.replace("_", "-") for name in plugins.names(__name__))


def preset(name: str) -> Preset:
    """A preset by its name.

    Raises:
        SourceError: unknown.
    """
    if name not in names():
        raise SourceError(f"source.preset: no {name!r}", f"known presets: {', '.join(names())}")
    found: Preset = plugins.module(__name__, name.replace("-", "_")).PRESET
    return found


def log_of_platform(platform: str) -> str | None:
    """The preset of the access log of a platform's proxy, which knows the units; None without."""
    found = (name for name in names() if platform in preset(name).platforms and _logs(name))
    return next(found, None)


def _logs(name: str) -> bool:
    found = preset(name)
    return found.proxy and found.buckets


def of_platform(platform: str) -> str:
    """The preset of a platform's own metrics.

    Raises:
        SourceError: no preset is a platform's of that name.
    """
    found = [name for name in names() if platform in preset(name).platforms and not _logs(name)]
    if not found:
        raise SourceError(f"platform {platform} has no metrics", f"presets: {', '.join(names())}")
    return found[0]
