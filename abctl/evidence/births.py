"""Series that are first seen with a value of unknown age: what is lost of one variant alone.

Of a target that was scraped before it is known that there was no such series (`counters.increase`),
and of series without an instance others may tell it (`counters.targets`). Where nobody does, and
what is lost is not as the rest is, a variant looks better or worse than it is.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from abctl.core.reasons import Reason
from abctl.evidence.counters.targets import target_of
from abctl.evidence.increments import Samples
from abctl.evidence.streams import CounterStreams, parts_of
from abctl.evidence.summaries import DENOMINATORS, Parts

_EVENTS = ("successes", "events")
# So many standard deviations are no chance.
_CHANCE = 4.0


def births(
    streams: CounterStreams, after: float = -np.inf, until: float = np.inf
) -> Iterator[Reason]:
    """Counters of what decides that held a value of unknown age.

    Args:
        streams: what was counted.
        after: when they were first seen, excluded (unix seconds).
        until: the same, included.
    """
    samples, experiment = streams.samples, streams.experiment
    for metric in experiment.metrics if samples is not None else ():
        assert samples is not None
        if metric.role == "secondary":
            continue
        queries = streams.queries(metric)
        for variant in experiment.variants:
            parts = parts_of(experiment, queries, metric, variant.name)
            about = {"metric": metric.name, "variant": variant.name}
            for selector, lost in _unknown(samples, parts, after, until):
                yield Reason("bornUnknown", {**about, "lost_count": lost, "selector": selector})


def _unknown(
    samples: Samples, parts: Parts, after: float, until: float
) -> Iterator[tuple[str, float]]:
    """Counters of what happens that held a value of unknown age, while others were counted.

    What a target held when it was first scraped is left out of numerator and denominator alike.
    So it is told where it is not as what was counted, by more than chance.

    Args:
        samples: what was read.
        parts: the selector of each part of a metric, of one variant.
        after: when what is lost was first seen, excluded.
        until: the same, included.

    Yields:
        The selector, and how much is lost.
    """
    below = [selector for part, selector in parts.items() if part in DENOMINATORS]
    known = [each for selector in below for each in samples.found.get(selector, ())]
    every = parts.values()
    if not known or any(s not in samples.found or samples.trouble(s) for s in every):
        return
    after = max(after, min(float(each.times[0]) for each in known))
    lost_below = sum(_unseen(samples, selector, after, until) for selector in below)
    counted_below = _counted(samples, below)
    for part, selector in parts.items():
        lost = 0.0 if part in DENOMINATORS else _unseen(samples, selector, after, until)
        share = _counted(samples, [selector]) / counted_below if lost and counted_below else 0.0
        expected = share * lost_below
        # How far sums may be off by chance is not known.
        likely = expected + _CHANCE * np.sqrt(expected) if part in _EVENTS else np.inf
        if lost > (likely if lost_below else 0.0):
            yield selector, lost


def _counted(samples: Samples, selectors: Sequence[str]) -> float:
    polls = samples.polls(selectors)
    return float(sum(samples.rows(selector, polls).total().sum() for selector in selectors))


def _unseen(samples: Samples, selector: str, after: float, until: float) -> float:
    """What series held at their first sample, if nobody knows that it came in the same window."""
    scrapes, found = samples.scrapes(selector), 0.0
    for series in samples.found.get(selector, ()):
        mine = scrapes.get(target_of(series.labels))
        first = float(series.times[0])
        window = next((w for w in samples.windows if w.start < first <= w.end), None)
        if mine is None or window is None or not after < first == mine.times[0] or first > until:
            continue
        if mine.started is None or not window.start <= mine.started <= first:
            found += float(series.values[0])
    return found
