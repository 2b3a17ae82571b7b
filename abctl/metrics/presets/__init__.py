"""Presets (pure): which counters hold what, one file for each way to instrument.

A metric of some kind is made of parts, each the sum of the counters that one selector finds.
The page on metrics has them all in a table, with what each relies on.

In selectors these stand for what the experiment says: `$experiment`, `$namespace`, `$variant`,
`$model` and `$version` (of the variant), `$outcome` (what the metric is `of`), and `$upstream`:
what the platform's own objects call the variant.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from abctl import plugins
from abctl.core.experiment import Kind
from abctl.errors import SourceError

Parts = Mapping[str, str]

ERRORS, LATENCY = "errors", "latency"

# Whoever scrapes several experiments labels them; without such labels there is but one.
HERE = 'experiment=~"$experiment|",namespace=~"$namespace|"'


@dataclass(frozen=True)
class Preset:
    """The selectors of one way to instrument.

    Attributes:
        requests: the requests of a variant.
        drawn: whether `requests` has only those that chance has put there. Otherwise it also has
            forced ones, cohorts, those without a unit, and feedback.
        outside: those that are not part of the experiment; None where they are not counted.
        named: parts of what it measures itself (errors, latency), by name and kind.
        outcome: parts of any other name, by kind.
        buckets: whether the counters say which bucket of units a request was of.
        late: whether a counter of errors comes with the first error, so that none is a zero.
        latency_unit_seconds: what latency is counted in.
        platforms: those whose preset it is unless the experiment says otherwise.
        remarks: what a reader should know of what it measures itself, by name.
    """

    requests: str
    drawn: bool = False
    outside: str | None = None
    named: Mapping[str, Mapping[Kind, Parts]] = field(default_factory=dict)
    outcome: Mapping[Kind, Parts] = field(default_factory=dict)
    buckets: bool = False
    late: bool = True
    latency_unit_seconds: float = 1.0
    platforms: tuple[str, ...] = ()
    remarks: Mapping[str, str] = field(default_factory=dict)


def errors(answered: str, failed: str) -> Mapping[Kind, Parts]:
    """Failures among what was answered, as a proportion and as a rate."""
    return {
        "proportion": {"n": answered, "successes": failed},
        "rate": {"events": failed, "exposure": answered},
    }


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


def of_platform(platform: str) -> str:
    """The preset of a platform's own metrics.

    Raises:
        SourceError: no preset is a platform's of that name.
    """
    found = [name for name in names() if platform in preset(name).platforms]
    if not found:
        raise SourceError(f"platform {platform} has no metrics", f"presets: {', '.join(names())}")
    return found[0]
