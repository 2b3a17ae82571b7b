import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.time import format_moment, parse_moment


def test_it_is_written_in_utc() -> None:
    assert format_moment(0.0) == "1970-01-01T00:00:00.000Z"
    assert format_moment(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"
    assert format_moment(1_700_000_000.75, "seconds") == "2023-11-14T22:13:20Z"


@given(st.integers(0, 4_000_000_000_000))
def test_milliseconds_come_back(milliseconds: int) -> None:
    assert parse_moment(format_moment(milliseconds / 1000)) == milliseconds / 1000


def test_another_text_is_refused() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        parse_moment("yesterday")
