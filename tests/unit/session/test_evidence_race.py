"""A scrape that arrives while the evidence is read must not make numbers contradict each other."""

import numpy as np

from abctl.core.polls import Window
from abctl.evidence.read import read
from abctl.sources import Outline, Series


class Growing:
    """A source in which a scrape becomes visible after the first query."""

    place = "here"

    def __init__(self) -> None:
        self.queries = 0

    def now(self) -> float:
        return 20.0

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        self.queries += 1
        times = np.arange(1.0, 11.0 if self.queries == 1 else 12.0)
        labels = {"__name__": selector, "job": "a", "instance": "b"}
        return [Series(labels, times, np.cumsum(times > 1))]

    def outline(self, selector: str, edges: np.ndarray, since: float) -> Outline:
        return Outline([], np.zeros((0, len(edges) - 1)), np.zeros(0))


def test_numerator_and_denominator_end_at_the_same_scrape() -> None:
    found = read(Growing(), [Window(0, 0.0, 20.0)], ["n", "successes"], 20.0).found
    assert found["n"][0].times[-1] == found["successes"][0].times[-1] == 10.0
    np.testing.assert_array_equal(found["n"][0].values, found["successes"][0].values)


def test_a_target_that_came_later_has_an_end_of_its_own() -> None:
    class Two(Growing):
        def series(self, selector: str, start: float, end: float) -> list[Series]:
            new = Series({"job": "a", "instance": "new"}, np.array([15.0, 16.0]), np.ones(2))
            return [*super().series(selector, start, end), new]

    found = read(Two(), [Window(0, 0.0, 20.0)], ["n", "successes"], 20.0).found
    assert [s.times[-1] for s in found["successes"]] == [10.0, 16.0]
