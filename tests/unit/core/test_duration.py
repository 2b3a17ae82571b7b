"""Durations say their unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.time import format_duration, parse_duration_seconds
from abctl.errors import SpecError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1m", 60), ("2h", 7200), ("7d", 604_800), (" 1.5 h ", 5400), ("0s", 0)],
)
def test_the_unit_says_what_is_meant(text: str, seconds: float) -> None:
    assert parse_duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["7", "7 days", "-1d", "1w", "d", "", "1d2h", "1e3s", "٣d"])
def test_anything_else_is_refused_with_the_next_step(text: str) -> None:
    with pytest.raises(SpecError, match="is not a duration") as caught:
        parse_duration_seconds(text)
    assert caught.value.hint == "write 90s, 1m, 2h or 7d"


@pytest.mark.parametrize("text", ["36526d", "9" * 5_000 + "s"])
def test_what_no_clock_can_count_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="is longer than a hundred years"):
        parse_duration_seconds(text)


@given(st.integers(0, 10**9))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_duration_seconds(format_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(604_800, "7d"), (5400, "90m"), (7200, "2h"), (61, "61s"), (0, "0s")]
)
def test_the_largest_unit_that_fits_is_written(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
