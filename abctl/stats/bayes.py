"""Bayesian summaries: the probability to be better or best, and the expected loss of each choice.

Do not stop by them. An A/A experiment that is looked at 1,000 times and stops when the probability
to be better leaves 5% to 95% "finds" a difference in about three of four cases. They describe what
is known at a planned end, or under a decision that does not depend on them.

Integrals are one-dimensional quadrature of positive functions (Gauss-Legendre on panels that follow
each posterior), so there is no cancellation and no random number.

`posteriors` makes the posteriors from streams, `summarize` compares them. Binary outcomes of one
period of constant split have the posterior of a uniform prior. Over several epochs a ramp would
make Simpson's paradox of the totals. So there, and for all other data, posteriors are normal, with
the stratified level and the variance of the test for one look: the control's from the first
comparison, and each treatment's at its distance from the control in its own comparison.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import betainc, betaincinv, betaln, ndtr, xlog1py, xlogy

from abctl.stats.estimate import Remark
from abctl.stats.fixed.contrast import Contrast
from abctl.stats.fixed.score import Strata
from abctl.stats.summaries.buckets import bucket_paths, comparable
from abctl.stats.summaries.clients import clients, strata_of
from abctl.stats.summaries.grouped import GroupedHistogram, grouped_paths
from abctl.stats.summaries.grouped import comparable as comparable_groups
from abctl.stats.summaries.histograms import MIN_BEYOND, distributions
from abctl.stats.summaries.moments import moment_paths
from abctl.stats.summary import (
    Array,
    Buckets,
    Counts,
    Events,
    Histogram,
    Moments,
    Stream,
    SummaryError,
)

CAVEAT = "not valid for stopping when a threshold is crossed: read it once, at the planned end"

# From here on Stirling's series has all digits of a double.
_MANY = 1e4
_TAIL = 1e-14
_PANELS = 48
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(8)


class Posterior(Protocol):
    """The posterior distribution of one variant's value, in the metric's unit."""

    @property
    def mean(self) -> float:
        """Expected value."""
        ...

    def range(self) -> tuple[float, float]:
        """An interval that holds all but a negligible part of the probability."""
        ...

    def density(self, x: Array) -> Array:
        """Probability density."""
        ...

    def below(self, x: Array) -> Array:
        """Distribution function."""
        ...


@dataclass(frozen=True)
class Beta:
    """The beta distribution of a proportion, with a and b at least 1.

    >>> known = Beta(13, 89)  # 12 successes and 88 failures after a uniform prior
    >>> round(known.mean, 4), known.below(np.array([0.2])).round(4)
    (0.1275, array([0.9772]))

    Raises:
        SummaryError: a or b is below 1 or infinite.
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        if not (1 <= self.a < math.inf and 1 <= self.b < math.inf):
            raise SummaryError(f"Beta({self.a:g}, {self.b:g}), both must be at least 1")

    @property
    def mean(self) -> float:
        """Expected proportion."""
        return self.a / (self.a + self.b)

    def range(self) -> tuple[float, float]:
        """Quantiles of 1e-14 on either side."""
        low, mirrored = betaincinv((self.a, self.b), (self.b, self.a), _TAIL)
        return float(low), float(1 - mirrored)

    def density(self, x: Array) -> Array:
        """Probability density; 0 outside of [0, 1]."""
        a, b, inside = self.a, self.b, np.clip(x, 0, 1)
        if min(a, b) < _MANY:
            log_density = xlogy(a - 1, inside) + xlog1py(b - 1, -inside) - betaln(a, b)
        else:
            # By Stirling's series around the mean: of millions the terms above leave no digits.
            away = inside - self.mean
            peak = 1.5 * math.log(a + b) - 0.5 * math.log(2 * math.pi * a * b)
            peak += (1 / (a + b) - 1 / a - 1 / b) / 12
            log_density = xlog1py(a - 1, away / self.mean) + peak
            log_density += xlog1py(b - 1, -away * (a + b) / b)
        return np.where(inside == x, np.exp(log_density), 0.0)

    def below(self, x: Array) -> Array:
        """Distribution function."""
        return np.asarray(betainc(self.a, self.b, np.clip(x, 0, 1)))


@dataclass(frozen=True)
class Normal:
    """The normal distribution of a mean, in the metric's unit.

    >>> known = Normal(mean=2.0, sd=0.5)
    >>> known.range(), known.below(np.array([2.0]))
    ((-2.0, 6.0), array([0.5]))

    Raises:
        SummaryError: the mean is not finite, or the standard deviation not positive and finite.
    """

    mean: float
    sd: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and 0 < self.sd < math.inf):
            raise SummaryError(f"a mean of {self.mean:g} with a deviation of {self.sd:g}")

    def range(self) -> tuple[float, float]:
        """8 standard deviations on either side."""
        return self.mean - 8 * self.sd, self.mean + 8 * self.sd

    def density(self, x: Array) -> Array:
        """Probability density."""
        z = (x - self.mean) / self.sd
        return np.asarray(np.exp(-z * z / 2) / (self.sd * math.sqrt(2 * math.pi)))

    def below(self, x: Array) -> Array:
        """Distribution function."""
        return np.asarray(ndtr((x - self.mean) / self.sd))


def beta_binomial(successes: float, n: float, prior: Beta = Beta(1, 1)) -> Beta:
    """The posterior of a proportion; the prior counts like a - 1 successes, b - 1 failures.

    >>> beta_binomial(successes=12, n=100)
    Beta(a=13, b=89)

    Raises:
        SummaryError: more successes than trials, or fewer than none.
    """
    if not 0 <= successes <= n:
        raise SummaryError(f"{successes:g} successes of {n:g}")
    return Beta(prior.a + successes, prior.b + n - successes)


def normal(mean: float, standard_error: float, prior: Normal | None = None) -> Normal:
    """The posterior of a mean whose estimate is about normal; without a prior a flat one.

    >>> normal(2.0, standard_error=1.0, prior=Normal(0.0, sd=1.0)).mean
    1.0
    """
    seen = Normal(mean, standard_error)
    if prior is None:
        return seen
    precision, before = seen.sd**-2, prior.sd**-2
    total = precision + before
    return Normal((mean * precision + prior.mean * before) / total, total**-0.5)


@dataclass(frozen=True)
class BayesSummary:
    """A comparison of posteriors; tuples have one entry for each variant, the control first.

    >>> found = summarize([beta_binomial(100, 1000), beta_binomial(130, 1000)])
    >>> round(found.best[1], 3), round(found.loss[1], 4)
    (0.982, 0.0001)

    Attributes:
        better: probability that a treatment is better than the control (0.5 for the control).
        best: probability to be the best of all.
        loss: expected loss in the metric's unit if this variant is chosen: the posterior mean of
            the distance to the best one.
        caveat: what it must not be used for.
    """

    better: tuple[float, ...]
    best: tuple[float, ...]
    loss: tuple[float, ...]
    caveat: str = CAVEAT


def summarize(posteriors: Sequence[Posterior], *, lower_is_better: bool = False) -> BayesSummary:
    """Compare independent posteriors of at least two variants, the control first.

    >>> latency = [normal(0.30, standard_error=0.01), normal(0.29, standard_error=0.01)]
    >>> [round(p, 3) for p in summarize(latency, lower_is_better=True).better]
    [0.5, 0.76]

    With distribution functions F: the probability to be best is the integral of the density times
    the other variants' F; the loss is the integral of F (1 - product of the others' F).

    Raises:
        SummaryError: fewer than two variants.

    Sources: Miller (2015), evanmiller.org/bayesian-ab-testing.html, for the closed form of two
    betas; Stucchio (2015), "Bayesian A/B testing at VWO", for the loss.
    """
    if len(posteriors) < 2:
        raise SummaryError("one variant alone is neither better nor worse")
    x, weight = _grid([p.range() for p in posteriors])
    density = np.stack([p.density(x) for p in posteriors])
    below = np.stack([p.below(x) for p in posteriors])
    if lower_is_better:
        below = 1 - below
    others = np.stack([np.delete(below, i, axis=0).prod(axis=0) for i in range(len(posteriors))])
    better = (density * below[0]) @ weight
    better[0] = 0.5
    best = (density * others) @ weight
    loss = (below * (1 - others)) @ weight
    return BayesSummary(_probabilities(better), _probabilities(best), tuple(map(float, loss)))


def _grid(ranges: Sequence[tuple[float, float]]) -> tuple[Array, Array]:
    """Nodes and weights; between two posteriors that do not meet, one panel is enough."""
    edges = np.unique(np.concatenate([np.linspace(*r, _PANELS + 1) for r in ranges]))
    half = np.diff(edges) / 2
    nodes = edges[:-1, None] + half[:, None] * (1 + _POINTS)
    return nodes.ravel(), (half[:, None] * _WEIGHTS).ravel()


def _probabilities(values: Array) -> tuple[float, ...]:
    return tuple(map(float, np.minimum(1.0, values)))


def posteriors(
    streams: Sequence[Stream[Any]], quantile: float | None = None
) -> tuple[Posterior, ...] | None:
    """Posteriors of the control and of the treatment of each stream; None if there are none yet.

    >>> posteriors([Stream(Counts(100, 12), Counts(100, 20), epoch=0)])
    (Beta(a=13.0, b=89.0), Beta(a=21.0, b=81.0))

    Args:
        streams: the control with each treatment, all of one metric.
        quantile: which one, if the metric is a quantile.
    """
    found = [known for s in streams if (known := _known(s.by_epoch(), quantile)) is not None]
    if len(found) < len(streams):
        return None
    counts = [each for each in found if isinstance(each, Strata) and _is_one_table(each)]
    if len(counts) == len(found):
        control = beta_binomial(float(counts[0].s_a[0]), float(counts[0].n_a[0]))
        return control, *(beta_binomial(float(s.s_b[0]), float(s.n_b[0])) for s in counts)
    contrasts = [each.contrast() if isinstance(each, Strata) else each for each in found]
    if any(contrast.certain for contrast in contrasts):
        return None
    level, errors = contrasts[0].a, [_errors(each) for each in contrasts]
    treatments = (
        normal(level + each.b - each.a, error)
        for each, (_, error) in zip(contrasts, errors, strict=True)
    )
    return normal(level, errors[0][0]), *treatments


def _is_one_table(strata: Strata) -> bool:
    return strata.n_a.size == 1 and not strata.poisson


def _known(stream: Stream[Any], quantile: float | None) -> Strata | Contrast | None:
    """Levels of both variants with their variances, or counts."""
    match stream.control:
        case Counts() | Events():
            return _or_none(Strata.of(stream))
        case Moments():
            paths = moment_paths(stream)
            return paths.last((0.0, 0.0), ()) if paths.ready[-1] else None
        case Buckets():
            return _of_buckets(stream)
        case GroupedHistogram() if quantile is not None:
            return _of_grouped(stream, quantile)
    return None if quantile is None else _of_quantile(stream, quantile)


def _of_buckets(stream: Stream[Buckets]) -> Strata | Contrast | None:
    stream, _, reason = comparable(stream)
    if reason is not None:
        return None
    paths = bucket_paths(stream, support=False)
    if paths.ready[-1]:
        return paths.last((0.0, 0.0), ())
    found = clients(stream)
    return None if found is None else _or_none(strata_of(found, stream))


def _or_none(strata: Strata | Remark) -> Strata | None:
    return None if isinstance(strata, Remark) else strata


def _of_quantile(stream: Stream[Histogram], quantile: float) -> Contrast | None:
    if isinstance(pair := distributions(stream), Remark):
        return None
    sides = (pair.a.last(), pair.b.last())
    ends = np.array([side.around(quantile, np.ones(1)) for side in sides])[:, :, 0]
    if pair.few(quantile)[-1] < MIN_BEYOND or not np.all(np.isfinite(ends)):
        return None
    var_a, var_b = (float(variance) for variance in np.square(ends[:, 1] - ends[:, 0]) / 4.0)
    a, b = (float(side.at(np.array([quantile]))[0]) for side in sides)
    return Contrast(a, b, var_a, var_b, math.inf, pair.n, pair.epochs)


def _of_grouped(stream: Stream[GroupedHistogram], quantile: float) -> Contrast | None:
    known = comparable_groups(stream.by_epoch())
    if isinstance(known, Remark):
        return None
    found = grouped_paths(*known, quantile, support=False)
    if not found.paths.ready[-1]:
        return None
    return found.paths.last(found.pair.n, found.pair.epochs)


def _errors(contrast: Contrast) -> tuple[float, float]:
    """Standard errors that, if independent, give the variance of the difference."""
    variance = contrast.variance()
    of_a = min(max(contrast.var_a - contrast.cov, 1e-9 * variance), (1.0 - 1e-9) * variance)
    return math.sqrt(of_a), math.sqrt(variance - of_a)
