"""Times of the statistics, beside those of the usual libraries, in one run.

python bench/stats.py
"""

import operator
import timeit

import numpy as np
import tea_tasting
from _table import machine, markdown, target
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
from tea_tasting.aggr import Aggregates

from abctl.stats.estimate import Delta, Plan
from abctl.stats.methods import (
    histogram_sequence,
    mean_sequence,
    proportion,
    proportion_sequence,
    ratio_sequence,
    welch,
)
from abctl.stats.power import group_sequential
from abctl.stats.summary import Buckets, Counts, Histogram, Moments, Stream

POLLS = 10_000
CONTROL, TREATMENT = (20_000, 10.0, 4.0), (20_000, 10.1, 5.0)
HEADER = ("what", "time", "wanted", "", "beside it")


def milliseconds(*calls, seconds=1.0):
    """The fastest run of each, in short turns: without what else the machine does."""
    timers = [timeit.Timer(call) for call in calls]
    once = [timer.timeit(number=1) for timer in timers]
    numbers = [max(1, round(0.003 / taken)) for taken in once]
    rounds = max(2, round(seconds / sum(map(operator.mul, once, numbers))))
    found = [
        [timer.timeit(number) / number for timer, number in zip(timers, numbers, strict=True)]
        for _ in range(rounds)
    ]
    return [1e3 * min(times) for times in zip(*found, strict=True)]


def _polls(rng, per_poll):
    n = np.full(POLLS, per_poll)
    return [np.stack((n, rng.binomial(n, rate))) for rate in (0.05, 0.051)]


def _stream(control, treatment):
    return Stream(Counts(*control), Counts(*treatment), np.zeros(POLLS))


def replays(rng):
    plan = Plan(mde=Delta(0.005, relative=False))
    few, many = _polls(rng, 200), _polls(rng, 5_000)
    stream = _stream(*few)
    (replay,) = milliseconds(lambda: proportion_sequence.estimate(stream, plan))
    yield "10,000 polls: e-value, p, sequence", *target(replay, 10.0, " ms", at_least=False), ""
    (whole,) = milliseconds(lambda: proportion_sequence.estimate(_stream(*many), plan))
    yield "1e8 events in 10,000 polls", *target(whole, 100.0, " ms", at_least=False), ""
    n, x = np.full(POLLS, 100), rng.normal(size=(2, POLLS))
    means = Stream(Moments(n, x[0], x[0] ** 2 + 99), Moments(n, x[1], x[1] ** 2 + 99), n * 0)
    trials = rng.poisson(3, (2, POLLS, 64))
    buckets = [Buckets(rng.binomial(each, 0.05), each) for each in trials]
    cells = [Histogram(side, tuple(range(1, 40))) for side in rng.poisson(2, (2, POLLS, 40))]
    for name, method, data in (
        ("means", mean_sequence, means),
        ("ratios in 64 buckets", ratio_sequence, Stream(*buckets, n * 0)),
        ("histograms of 40 buckets", histogram_sequence, Stream(*cells, n * 0)),
    ):
        (taken,) = milliseconds(lambda method=method, data=data: method.estimate(data, plan))
        yield f"10,000 polls: {name}", f"{taken:.1f} ms", "", "", ""


def single_tests():
    plan = Plan()
    ours, theirs = milliseconds(
        lambda: welch.from_moments(CONTROL, TREATMENT, plan),
        lambda: stats.ttest_ind_from_stats(10.0, 2.0, 20_000, 10.1, 2.2, 20_000, equal_var=False),
    )
    ours, theirs = 1e3 * ours, 1e3 * theirs
    limit = max(15.0, theirs / 2.0)
    beside = f"scipy, p only: {theirs:.0f} µs"
    yield "Welch with interval and lift", *target(ours, limit, " µs", at_least=False), beside
    aggregates = [
        Aggregates(count_=n, mean_={"x": mean}, var_={"x": variance}, cov_={})
        for n, mean, variance in (CONTROL, TREATMENT)
    ]
    metric = tea_tasting.Mean("x")
    (tea,) = milliseconds(lambda: metric.analyze_aggregates(*aggregates))
    yield "the same by tea-tasting", f"{tea:.2f} ms", "", "", ""
    counts = Stream(Counts(20_000, 1_000), Counts(20_000, 1_100), np.zeros(1))
    pair = (1_100, 20_000, 1_000, 20_000)
    score, z, interval = milliseconds(
        lambda: proportion.estimate(counts, plan),
        lambda: proportions_ztest([1_100, 1_000], [20_000, 20_000]),
        lambda: confint_proportions_2indep(*pair, method="score"),
    )
    beside = f"statsmodels: z {z:.2f}, score interval {interval:.2f} ms"
    yield "two proportions, score intervals", f"{score:.2f} ms", "", "", beside


def designs():
    information = np.arange(1, 1_001) / 1_000
    (bounds,) = milliseconds(lambda: group_sequential.bounds(information, 0.05))
    yield (
        "group sequential bounds, 1,000 looks",
        *target(bounds / 1e3, 2.0, " s", at_least=False),
        "",
    )


def main():
    rng = np.random.default_rng(1)
    rows = [*replays(rng), *single_tests(), *designs()]
    print(markdown(HEADER, rows))
    print(f"\nThe fastest of several runs each, on {machine()}")


if __name__ == "__main__":
    main()
