"""Bayesian summaries of a metric, beside what decides."""

from collections.abc import Sequence
from typing import Any

from abctl.core.analysis import Belief
from abctl.core.experiment import Metric
from abctl.stats.bayes import summarize
from abctl.stats.posteriors import posteriors
from abctl.stats.summary import Stream, SummaryError


def beliefs(
    metric: Metric, names: Sequence[str], streams: Sequence[Stream[Any] | str]
) -> tuple[Belief, ...]:
    """What there is to believe of the control and each treatment; nothing without data of all.

    Args:
        metric: what is compared.
        names: of the variants, the control first.
        streams: the control with each treatment, or why there is none.
    """
    pairs = [stream for stream in streams if isinstance(stream, Stream)]
    try:
        known = posteriors(pairs, metric.quantile) if len(pairs) == len(streams) else None
    except SummaryError:
        # Contradicting data: the comparison itself says what is wrong.
        known = None
    if known is None:
        return ()
    found = summarize(known, lower_is_better=metric.direction == "decrease")
    return tuple(
        Belief(name, found.better[i] if i else None, found.best[i], found.loss[i], found.caveat)
        for i, name in enumerate(names)
    )
