"""Ends of series that a server gives away as samples."""

import numpy as np
import pytest

from abctl.errors import SourceError
from abctl.sources import Series
from abctl.sources.prometheus import without_markers
from abctl.sources.series import require_counter

NAN = np.nan


def series(*values: float) -> Series:
    return Series({"__name__": "n_total"}, np.arange(len(values)) * 1.0, np.array(values))


@pytest.mark.parametrize(
    ("values", "times"),
    [
        ((1, 2, 3), [0, 1, 2]),
        ((1, 2, NAN), [0, 1]),
        ((1, NAN, 3, NAN, 5), [0, 2, 4]),
        ((NAN, 1), [1]),
        ((NAN,), []),
        ((), []),
    ],
)
def test_an_end_is_no_sample(values: tuple[float, ...], times: list[float]) -> None:
    found = without_markers(series(*values))
    assert found.times.tolist() == times
    require_counter(found)


@pytest.mark.parametrize("values", [(1, NAN, NAN), (NAN, NAN), (1, NAN, 2, NAN, NAN, NAN)])
def test_a_counter_that_became_nan_stays_an_error(values: tuple[float, ...]) -> None:
    with pytest.raises(SourceError, match="value nan, a counter is finite"):
        require_counter(without_markers(series(*values)))
