"""Ratios of sums over buckets of units, at every look, with the variance between buckets.

The unit of chance is the bucket of users, not the request. A bucket's residual is added up over
epochs before it is squared, so users that return in a later epoch are not counted as new ones; and
from the second epoch on, residuals of the two variants are paired by bucket, because a ramp moves
users from one variant to the other.
"""

from collections.abc import Iterator

import numpy as np

from abctl.stats._mixture import relative_default
from abctl.stats._sequence import Paths
from abctl.stats.summary import Array, Buckets, Stream

_CHUNK = 2048


def bucket_paths(stream: Stream[Buckets]) -> Paths:
    """The weighted ratio of each variant after every poll.

    Epochs weigh D_a D_b / (D_a + D_b) with D the denominators. The variance is first-order: delta
    method and delete-one jackknife agree in it.

    Source: Deng, Knoblich & Lu (2018), arXiv:1803.06336, section 3.
    """
    parts = list(_walk(stream))
    a, b, var_a, var_b, cov, df, ready = (np.concatenate(part) for part in zip(*parts, strict=True))
    level = relative_default(0.5 * (a + b))
    return Paths(a, b, var_a, var_b, cov, df, ready, level)


def _walk(stream: Stream[Buckets]) -> Iterator[tuple[Array, ...]]:
    buckets = stream.control.denominator.shape[1]
    zero = np.zeros(buckets)
    done = np.zeros(3)  # weight, weighted control, weighted treatment of finished epochs
    past_a = past_b = seen_a = seen_b = zero
    finished = 0
    for number in np.unique(stream.epoch):
        rows = np.flatnonzero(stream.epoch == number)
        sums = [zero, zero, zero, zero]
        for start in range(0, rows.size, _CHUNK):
            part = slice(rows[start], rows[min(start + _CHUNK, rows.size) - 1] + 1)
            fields = (
                stream.control.numerator,
                stream.control.denominator,
                stream.treatment.numerator,
                stream.treatment.denominator,
            )
            n_a, d_a, n_b, d_b = (
                total + np.cumsum(field[part], axis=0)
                for total, field in zip(sums, fields, strict=True)
            )
            sums = [n_a[-1], d_a[-1], n_b[-1], d_b[-1]]
            ratio_a, residual_a, total_a = _ratio(n_a, d_a)
            ratio_b, residual_b, total_b = _ratio(n_b, d_b)
            weight = total_a * total_b / np.maximum(total_a + total_b, 1e-300)
            run = np.stack((weight, weight * ratio_a, weight * ratio_b))
            all_weight, all_a, all_b = done[:, None] + run
            safe = np.where(all_weight > 0.0, all_weight, 1.0)
            influence_a = (past_a + weight[:, None] * residual_a) / safe[:, None]
            influence_b = (past_b + weight[:, None] * residual_b) / safe[:, None]
            factor = buckets / (buckets - 1.0)
            var_a = factor * np.einsum("th,th->t", influence_a, influence_a)
            var_b = factor * np.einsum("th,th->t", influence_b, influence_b)
            cov = factor * np.einsum("th,th->t", influence_a, influence_b)
            filled_a = np.count_nonzero(seen_a + d_a, axis=1)
            filled_b = np.count_nonzero(seen_b + d_b, axis=1)
            ready = 2 * np.minimum(filled_a, filled_b) >= buckets
            paired = finished > 0
            df = np.full(weight.shape, buckets - 1.0)
            if not paired:
                both = var_a**2 + var_b**2
                np.divide((var_a + var_b) ** 2 * (buckets - 1.0), both, out=df, where=both > 0.0)
                cov = np.zeros_like(cov)
            yield all_a / safe, all_b / safe, var_a, var_b, cov, df, ready
        done = np.array((all_weight[-1], all_a[-1], all_b[-1]))
        past_a = past_a + weight[-1] * residual_a[-1]
        past_b = past_b + weight[-1] * residual_b[-1]
        seen_a, seen_b = seen_a + sums[1], seen_b + sums[3]
        finished += bool(weight[-1] > 0.0)


def _ratio(numerator: Array, denominator: Array) -> tuple[Array, Array, Array]:
    """Ratio of sums, residual of each bucket over the sum of denominators, that sum."""
    total = denominator.sum(axis=1)
    safe = np.where(total > 0.0, total, 1.0)
    ratio = numerator.sum(axis=1) / safe
    return ratio, (numerator - ratio[:, None] * denominator) / safe[:, None], total
