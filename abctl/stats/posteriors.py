"""What is known of each variant, as independent posteriors for `bayes.summarize`.

Yes-or-no data of one period of constant split have the posterior of a uniform prior. Everything
else is normal, with the level and the variance of the test for one look: of the control as in the
first comparison, and of each treatment as far from it as in its own, so that no total is taken
over a ramp.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from abctl.stats._buckets import bucket_paths, comparable
from abctl.stats._contrast import Contrast
from abctl.stats._moments import moment_paths
from abctl.stats._quantiles import MIN_BEYOND, distributions
from abctl.stats._score import Strata
from abctl.stats._users import as_users
from abctl.stats.bayes import Posterior, beta_binomial, normal
from abctl.stats.summary import Buckets, Counts, Events, Histogram, Moments, Stream


def posteriors(
    streams: Sequence[Stream[Any]], quantile: float | None = None
) -> tuple[Posterior, ...] | None:
    """Posteriors of the control and of the treatment of each stream; None if there are none yet.

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
    return None if quantile is None else _of_quantile(stream, quantile)


def _of_buckets(stream: Stream[Buckets]) -> Strata | Contrast | None:
    stream, _, reason = comparable(stream)
    if reason:
        return None
    paths = bucket_paths(stream, support=False)
    if paths.ready[-1]:
        return paths.last((0.0, 0.0), ())
    if (users := as_users(stream)) is None:
        return None
    cells = (users.n_a, users.s_a, users.n_b, users.s_b)
    return _or_none(Strata.where_both(*cells, stream.epoch))


def _or_none(strata: Strata | str) -> Strata | None:
    return None if isinstance(strata, str) else strata


def _of_quantile(stream: Stream[Histogram], quantile: float) -> Contrast | None:
    if isinstance(pair := distributions(stream), str):
        return None
    sides = (pair.a.last(), pair.b.last())
    ends = np.array([side.around(quantile, np.ones(1)) for side in sides])[:, :, 0]
    if pair.few(quantile)[-1] < MIN_BEYOND or not np.all(np.isfinite(ends)):
        return None
    var_a, var_b = (float(variance) for variance in np.square(ends[:, 1] - ends[:, 0]) / 4.0)
    a, b = (float(side.at(np.array([quantile]))[0]) for side in sides)
    return Contrast(a, b, var_a, var_b, math.inf, pair.n, pair.epochs)


def _errors(contrast: Contrast) -> tuple[float, float]:
    """Standard errors that, if independent, give the variance of the difference."""
    variance = contrast.variance()
    of_a = min(max(contrast.var_a - contrast.cov, 1e-9 * variance), (1.0 - 1e-9) * variance)
    return math.sqrt(of_a), math.sqrt(variance - of_a)
