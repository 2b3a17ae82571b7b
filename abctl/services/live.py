"""What the traffic of an experiment that already runs says for a plan."""

from abctl.core.analysis import Analysis
from abctl.errors import SourceError

_DAY_SECONDS = 86_400.0


def units_per_day(found: Analysis) -> float:
    """Requests of all variants a day, over all the time that counts.

    Raises:
        SourceError: none was counted yet.
    """
    seconds = sum(epoch.end - epoch.start for epoch in found.epochs if epoch.counted)
    requests = sum(variant.requests or 0.0 for variant in found.variants)
    if seconds <= 0 or requests <= 0:
        raise SourceError(
            f"{found.source} has counted no request of {found.experiment} yet",
            "wait, or say what you expect with --traffic 10000/day",
        )
    return requests / seconds * _DAY_SECONDS


def baseline(found: Analysis, metric: str) -> float:
    """The control's value of a metric, over all the time that counts.

    Raises:
        SourceError: it has none yet.
    """
    control = found.variants[0]
    if (value := control.values.get(metric)) is None:
        raise SourceError(
            f"{found.source} has no value of {metric} of {control.name} yet",
            "wait, or say what it is with --baseline",
        )
    return value
