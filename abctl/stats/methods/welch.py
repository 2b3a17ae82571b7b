"""Two means, once: Welch's t-test from moments, stratified by epoch.

H0 (`two-sided`): treatment - control = null, in every epoch; with a relative null m,
treatment = (1 + m) * control. `greater`: H0 is "at most", `less`: H0 is "at least".

Sources: Welch (1947), doi:10.1093/biomet/34.1-2.28; Satterthwaite (1946), doi:10.2307/3002019;
the interval of the lift: Fieller (1954), doi:10.1111/j.2517-6161.1954.tb00159.x.
"""

import math

import numpy as np

from abctl.stats.estimate import Estimate, NotEstimable, Plan, Remark
from abctl.stats.fixed.contrast import Contrast, t_test
from abctl.stats.summaries.moments import CANCELLED, Sample, cancelled
from abctl.stats.summary import Moments, Stream, SummaryError

SUMMARY = Moments
SEQUENTIAL = False
ASSUMPTIONS = (
    "each value is independent of the others (requests of one user are not: use ratio)",
    "means of this many values are close to normal",
    "the effect is the same in every epoch; the base level may drift",
    "looked at once, when the planned size is reached",
)
MIN_N = 30


def estimate(stream: Stream[Moments], plan: Plan) -> Estimate | NotEstimable:
    """The difference of two means and its lift.

    >>> control = Moments(n=50, sum=50, sum_sq=99)  # mean 1, variance 1
    >>> treatment = Moments(n=50, sum=75, sum_sq=161.5)  # mean 1.5, variance 1
    >>> found = estimate(Stream(control, treatment, epoch=0), Plan())
    >>> round(found.effect, 4), round(found.p, 4)  # t is 0.5 / sqrt(2 / 50) = 2.5, with 98 degrees
    (0.5, 0.0141)

    Epochs weigh n_a n_b / (n_a + n_b); those with under 2 values in a variant are left out.
    """
    epochs = stream.by_epoch()
    enough = (epochs.control.n >= 2.0) & (epochs.treatment.n >= 2.0)
    a, b = Sample.of(epochs.control), Sample.of(epochs.treatment)
    n = (float(a.n[enough].sum()), float(b.n[enough].sum()))
    if min(n) < MIN_N:
        return NotEstimable("welch", _few(n), n)
    if cancelled(epochs.control) or cancelled(epochs.treatment):
        return NotEstimable("welch", CANCELLED, n)
    notes = () if np.all(enough) else (Remark("smallEpochsLeftOut"),)
    parts = [
        tuple(float(value) for value in row)
        for row in zip(a.n, a.mean, a.variance, b.n, b.mean, b.variance, enough, strict=True)
        if row[-1]
    ]
    numbers = tuple(int(number) for number in epochs.epoch[enough])
    contrast = _contrast([part[:6] for part in parts], numbers)
    if contrast.variance() <= 0.0:
        return NotEstimable("welch", Remark("noVariance"), n)
    return t_test("welch", contrast, plan, assumptions=ASSUMPTIONS, notes=notes)


def _few(n: tuple[float, float]) -> Remark:
    return Remark("tooFewValues", {"n_count": min(n), "needed_count": MIN_N})


def from_moments(
    control: tuple[float, float, float], treatment: tuple[float, float, float], plan: Plan
) -> Estimate | NotEstimable:
    """The same for one epoch, from (n, mean, sample variance) of each; for many small calls.

    >>> round(from_moments((50, 1.0, 1.0), (50, 1.5, 1.0), Plan()).p, 4)
    0.0141

    Raises:
        SummaryError: a number that is not finite, or a variance or n under 0.
    """
    (n_a, mean_a, variance_a), (n_b, mean_b, variance_b) = control, treatment
    known = math.isfinite(n_a + mean_a + variance_a + n_b + mean_b + variance_b)
    if not known or n_a < 0 or variance_a < 0 or n_b < 0 or variance_b < 0:
        raise SummaryError(f"n, mean and variance of {control} and {treatment}: no such values")
    if n_a < MIN_N or n_b < MIN_N:
        return NotEstimable("welch", _few((n_a, n_b)), (n_a, n_b))
    contrast = _of_one_epoch(control, treatment)
    if contrast.var_a + contrast.var_b <= 0.0:
        return NotEstimable("welch", Remark("noVariance"), contrast.n)
    return t_test("welch", contrast, plan, assumptions=ASSUMPTIONS)


def _of_one_epoch(
    control: tuple[float, float, float], treatment: tuple[float, float, float]
) -> Contrast:
    """What `contrast` gives for one epoch, faster."""
    (n_a, mean_a, variance_a), (n_b, mean_b, variance_b) = control, treatment
    var_a, var_b = variance_a / n_a, variance_b / n_b
    spread = var_a * var_a / (n_a - 1.0) + var_b * var_b / (n_b - 1.0)
    df = (var_a + var_b) ** 2 / spread if spread > 0.0 else 1.0
    return Contrast(mean_a, mean_b, var_a, var_b, df, (n_a, n_b), (0,))


def _contrast(parts: list[tuple[float, ...]], epochs: tuple[int, ...]) -> Contrast:
    """Weighted means, their variances, and Satterthwaite's degrees of freedom."""
    total = a = b = var_a = var_b = spread = all_a = all_b = 0.0
    for n_a, mean_a, variance_a, n_b, mean_b, variance_b in parts:
        weight = n_a * n_b / (n_a + n_b)
        part_a, part_b = weight * weight * variance_a / n_a, weight * weight * variance_b / n_b
        total += weight
        a += weight * mean_a
        b += weight * mean_b
        var_a += part_a
        var_b += part_b
        spread += part_a * part_a / (n_a - 1.0) + part_b * part_b / (n_b - 1.0)
        all_a += n_a
        all_b += n_b
    variance, square = var_a + var_b, total * total
    df = variance * variance / spread if spread > 0.0 else 1.0
    a, b, var_a, var_b = a / total, b / total, var_a / square, var_b / square
    return Contrast(a, b, var_a, var_b, df, (all_a, all_b), epochs)
