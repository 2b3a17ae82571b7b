"""How much more evidence the primaries need, judged by what there is."""

from collections.abc import Iterator, Sequence
from statistics import NormalDist

from abctl.core.analysis import Comparison, MetricResult
from abctl.core.experiment import Design
from abctl.core.verdict import Size
from abctl.stats.estimate import Estimate

# By what a test that may be looked at any time needs more than one that is looked at once.
_COST_OF_LOOKING = {"proportion_sequence": 1.2}
_COST_OF_LOOKING_ELSE = 1.6


def sizes(design: Design, metrics: Sequence[MetricResult]) -> Iterator[Size]:
    """About the size that finds the mde of each primary with the planned power.

    The standard error now is half the width of the interval of the test for one look, in normal
    quantiles; its square falls with the size. So dependence between requests is in it.
    """
    normal = NormalDist()
    z_alpha, z_power = normal.inv_cdf(1 - design.alpha / 2), normal.inv_cdf(design.power)
    for metric in metrics:
        for comparison in metric.comparisons if metric.role == "primary" else ():
            once = _once(comparison, metric.method)
            if metric.mde is None or once is None:
                continue
            error = (once.interval[1] - once.interval[0]) / (2 * z_alpha)
            wanted = metric.mde.absolute(once.control)
            if wanted > 0:
                looking = 1.0
                if design.test == "sequential":
                    looking = _COST_OF_LOOKING.get(metric.method, _COST_OF_LOOKING_ELSE)
                growth = looking * ((z_alpha + z_power) * error / wanted) ** 2
                yield Size(metric.name, growth * min(once.n), min(once.n))


def _once(comparison: Comparison, method: str) -> Estimate | None:
    """The two-sided answer of the test for one look that belongs to the method."""
    results = (comparison.effect, *(reading.result for reading in comparison.readings[:1]))
    found = results[-1] if method.endswith("_sequence") else results[0]
    return found if isinstance(found, Estimate) else None
