"""Times of the statistics, beside those of the usual libraries, and of late harm, in one run.

python bench/stats.py
"""

import operator
import time
import timeit

import numpy as np
import tea_tasting
from _table import machine, markdown, target
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_ztest
from tea_tasting.aggr import Aggregates

from abctl.stats.estimate import Delta, Plan
from abctl.stats.looks import looks
from abctl.stats.methods import (
    cuped_sequence,
    histogram_sequence,
    mean_sequence,
    proportion,
    proportion_sequence,
    ratio_sequence,
    welch,
)
from abctl.stats.power import group_sequential
from abctl.stats.sequential.restarts import WHOLE_SHARE, share_of, with_share
from abctl.stats.summaries.pairs import Pairs
from abctl.stats.summary import Buckets, Counts, Histogram, Moments, Stream

POLLS = 10_000
CONTROL, TREATMENT = (20_000, 10.0, 4.0), (20_000, 10.1, 5.0)
HEADER = ("what", "time", "wanted", "", "beside it")


def milliseconds(*calls, seconds=1.0):
    """CPU time of the fastest run of each, in short turns: without what else the machine does."""
    timers = [timeit.Timer(call, timer=time.process_time) for call in calls]
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
    yield "10,000 polls: e-value, p, sequence", *target(replay, 5.0, " ms", at_least=False), ""
    (whole,) = milliseconds(lambda: proportion_sequence.estimate(_stream(*many), plan))
    yield "1e8 events in 10,000 polls", *target(whole, 100.0, " ms", at_least=False), ""
    n, x = np.full(POLLS, 100), rng.normal(size=(2, POLLS))
    means = Stream(Moments(n, x[0], x[0] ** 2 + 99), Moments(n, x[1], x[1] ** 2 + 99), n * 0)
    pairs = [Pairs(n, y, y / 2, y**2 + 99, y**2 / 4 + 50, y**2 / 2 + 40) for y in x]
    trials = rng.poisson(3, (2, POLLS, 64))
    buckets = [Buckets(rng.binomial(each, 0.05), each) for each in trials]
    cells = [Histogram(side, tuple(range(1, 40))) for side in rng.poisson(2, (2, POLLS, 40))]
    for name, method, data in (
        ("means", mean_sequence, means),
        ("means, CUPED", cuped_sequence, Stream(*pairs, n * 0)),
        ("ratios in 64 buckets", ratio_sequence, Stream(*buckets, n * 0)),
        ("histograms of 40 buckets", histogram_sequence, Stream(*cells, n * 0)),
    ):

        def judged(method=method, data=data):
            # Of a stream that was seen before, the paths would be remembered.
            return method.estimate(Stream(data.control, data.treatment, data.epoch), plan)

        (taken,) = milliseconds(judged)
        yield f"10,000 polls: {name}", f"{taken:.1f} ms", "", "", ""
    (path,) = milliseconds(lambda: looks(mean_sequence.estimate, means, plan, 200), seconds=0.1)
    yield "the path of means, 200 of 10,000 looks", f"{path / 1e3:.2f} s", "", "", ""


def single_tests():
    plan = Plan()
    ours, theirs = milliseconds(
        lambda: welch.from_moments(CONTROL, TREATMENT, plan),
        lambda: stats.ttest_ind_from_stats(10.0, 2.0, 20_000, 10.1, 2.2, 20_000, equal_var=False),
    )
    ours, theirs = 1e3 * ours, 1e3 * theirs
    limit = round(theirs / 2.0, 1)
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


def first_poll(answer, stream, plan):
    """The first poll at which it is proven; p never rises."""
    low, high = 0, stream.epoch.size
    while low < high:
        middle = (low + high) // 2
        keep = np.arange(stream.epoch.size) <= middle
        sides = stream.control.at(keep), stream.treatment.at(keep)
        proven = answer(Stream(*sides, stream.epoch[keep]), plan).p <= plan.alpha
        low, high = (low, middle) if proven else (middle + 1, high)
    return low


def late_harm(rng):
    """After seven healthy days at 3,000 requests a minute, errors 2%, margin 0.5pp."""
    margin = Delta(0.005, relative=False)
    plan = Plan(alternative="greater", null=margin, mde=margin)
    for name, errors, wanted in (("all fail", 1.0, 2), ("+10pp", 0.12, 10), ("+2pp", 0.04, 60)):

        def counted(minutes, rates):
            n = rng.poisson(1_500 * minutes)
            return Counts(n, rng.binomial(n, rates))

        def judged(share):
            return lambda polls, plan: with_share(proportion_sequence.estimate, polls, plan, share)

        # The newest beginning is half an hour old; polls are scrapes of 15 seconds.
        recent, healthy = np.full(1_000, 0.25), 120
        rates = np.where(np.arange(recent.size) < healthy, 0.02, errors)
        stream = Stream(counted(recent, 0.02), counted(recent, rates), recent * 0)
        minutes = (first_poll(judged(share_of(168)), stream, plan) + 1 - healthy) / 4
        # The test of everything: hourly polls, then by the minute.
        whole = np.concatenate((np.full(168, 60.0), np.ones(6_000)))
        rates = np.where(np.arange(whole.size) < 168, 0.02, errors)
        stream = Stream(counted(whole, 0.02), counted(whole, rates), whole * 0)
        alone = first_poll(judged(WHOLE_SHARE), stream, plan) + 1 - 168
        yield (
            f"harm on day 8, {name}: proven after",
            *target(minutes, wanted, " min", at_least=False),
            f"without new beginnings {alone:,} min",
        )


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
    rows = [*replays(rng), *single_tests(), *late_harm(rng), *designs()]
    print(markdown(HEADER, rows))
    print(f"\nCPU time of the fastest of several runs each, on {machine()}")


if __name__ == "__main__":
    main()
