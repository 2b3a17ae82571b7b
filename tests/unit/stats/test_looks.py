"""The path of a method is what it would have said, had somebody looked."""

import numpy as np
import pytest

from abctl.stats import Comparison
from abctl.stats.estimate import Delta, NotEstimable, Plan
from abctl.stats.looks import looks
from abctl.stats.methods import method as method_of
from abctl.stats.methods import proportion_sequence
from abctl.stats.summary import Counts, Stream

proportion_horizon = method_of("proportion_horizon")

PLAN = Plan(mde=Delta(0.02, relative=False))


def counts(polls, epochs=1):
    rng = np.random.default_rng(1)
    n = np.full(polls, 60)
    sides = (Counts(n, rng.binomial(n, level)) for level in (0.1, 0.15))
    return Stream(*sides, np.sort(np.arange(polls) % epochs))


@pytest.mark.parametrize("method", [proportion_sequence, proportion_horizon])
def test_each_point_is_what_was_said_then(method) -> None:
    stream = counts(50, epochs=3)
    found = looks(method.estimate, stream, PLAN)
    assert found.poll.tolist() == list(range(50))
    for poll in (0, 17, 49):
        cut = [
            Counts(s.n[: poll + 1], s.successes[: poll + 1])
            for s in (stream.control, stream.treatment)
        ]
        then = method.estimate(Stream(*cut, stream.epoch[: poll + 1]), PLAN)
        if isinstance(then, NotEstimable):
            assert np.isnan(found.effect[poll])
            continue
        seen = (found.effect[poll], found.low[poll], found.high[poll], found.p[poll])
        assert seen == (then.effect, *then.interval, then.p)
    p = found.p[~np.isnan(found.p)]
    # Sums of other lengths are rounded in other ways, by processor.
    assert np.all(p[1:] <= p[:-1] * (1.0 + 1e-12)), "p never rises"


def test_it_is_thinned_and_keeps_the_ends() -> None:
    found = looks(proportion_sequence.estimate, counts(500), PLAN, at_most=20)
    assert (found.poll.size, found.poll[0], found.poll[-1]) == (20, 0, 499)
    assert {len(each) for each in found.to_dict().values()} == {20}
    with pytest.raises(ValueError, match="at_most=1"):
        looks(proportion_sequence.estimate, counts(5), PLAN, at_most=1)


def test_a_result_over_time_has_its_path() -> None:
    rng = np.random.default_rng(2)
    frame = {"model": ["a", "b"] * 500, "at": np.arange(1000), "value": rng.normal(size=1000)}
    often = Comparison(frame, variant="model", control="a", time="at", every=10)
    found = often.means("value")
    path = found.path(at_most=30)
    assert (path.effect[-1], path.p[-1]) == (found.effect, found.p)
    assert np.isnan(path.effect[0]), "there is a burn-in"
    with pytest.raises(ValueError, match="is of one look"):
        Comparison(frame, variant="model", control="a").means("value").path()
