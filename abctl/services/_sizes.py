"""How much more evidence the primaries need, judged by what there is."""

from collections.abc import Iterator, Sequence
from statistics import NormalDist

from abctl.core.analysis import Comparison, MetricResult
from abctl.core.experiment import Design
from abctl.core.verdict import Size
from abctl.stats.estimate import Estimate
from abctl.stats.power import alpha_each, cost_of_looking


def sizes(design: Design, metrics: Sequence[MetricResult]) -> Iterator[Size]:
    """About the size that finds the mde of each primary with the planned power.

    The standard error now is half the width of the interval of the test for one look, in normal
    quantiles; its square falls with the size. So dependence between requests is in it. It is found
    as the verdict decides: one-sided, at the level that Holm's first step leaves for each claim.
    """
    normal = NormalDist()
    primaries = [metric for metric in metrics if metric.role == "primary"]
    alpha = alpha_each(design.alpha, max(1, sum(len(m.comparisons) for m in primaries)))
    z_interval = normal.inv_cdf(1 - design.alpha / 2)
    z_claim, z_power = normal.inv_cdf(1 - alpha), normal.inv_cdf(design.power)
    for metric in primaries:
        for comparison in metric.comparisons:
            once = _once(comparison, metric.method)
            if metric.mde is None or once is None:
                continue
            error = (once.interval[1] - once.interval[0]) / (2 * z_interval)
            wanted = metric.mde.absolute(once.control)
            if wanted > 0:
                growth = ((z_claim + z_power) * error / wanted) ** 2
                if design.test == "sequential":
                    growth *= cost_of_looking(alpha, design.power, one_sided=True)[0]
                yield Size(metric.name, comparison.treatment, growth * min(once.n), min(once.n))


def _once(comparison: Comparison, method: str) -> Estimate | None:
    """The two-sided answer of the test for one look that belongs to the method."""
    results = (comparison.effect, *(reading.result for reading in comparison.readings[:1]))
    found = results[-1] if method.endswith("_sequence") else results[0]
    return found if isinstance(found, Estimate) else None
