"""What a plain selector selects."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.selector import Selector, one_of
from abctl.errors import SourceError


@given(st.text(), st.text())
def test_any_text_survives_as_a_label(value: str, other: str) -> None:
    labels = {"__name__": "n", "v": value}
    assert Selector.parse(f"n{{{one_of('v', [value, 'x'])}}}").matches(labels)
    assert Selector.parse(f"n{{{one_of('v', [other])}}}").matches(labels) == (value == other)


def test_matchers_mean_what_they_mean_in_prometheus() -> None:
    labels = {"__name__": "n", "code": "500"}
    for selector, expected in {
        "n": True,
        "m": False,
        'n{code="500"}': True,
        'n{code!="500"}': False,
        'n{code=~"5.."}': True,
        'n{code=~"5"}': False,
        'n{code!~"4..", }': True,
        'n{absent=""}': True,
        'n{absent!=""}': False,
    }.items():
        assert Selector.parse(selector).matches(labels) is expected, selector


@pytest.mark.parametrize("text", ["", "sum(n)", "n{a=b}", 'n{a="b"', 'n{a=~"("}', 'n{a="b" c="d"}'])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(SourceError):
        Selector.parse(text)
