"""What stands for a placeholder stands there as it is, whatever it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.selector import Selector
from abctl.errors import SourceError
from abctl.metrics.queries import fill


@given(st.text(), st.text())
def test_any_text_survives_as_a_value(value: str, other: str) -> None:
    labels = {"__name__": "n", "v": value}
    for operator in ("=", "=~"):
        filled = Selector.parse(fill(f'n{{v{operator}"$variant"}}', {"variant": (value,)}))
        assert filled.matches(labels)
        assert filled.matches({"__name__": "n", "v": other}) == (value == other)


@given(st.lists(st.text(), min_size=1), st.text())
def test_a_regular_expression_means_one_of_the_values(values: list[str], other: str) -> None:
    selector = Selector.parse(fill('n{v=~"a$variant"}', {"variant": values}))
    assert all(selector.matches({"__name__": "n", "v": f"a{value}"}) for value in values)
    assert selector.matches({"__name__": "n", "v": f"a{other}"}) == (other in values)


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    names = {"variant": ("$outcome",), "outcome": ("$variant",)}
    assert fill('n{a="$variant",b="$outcome"}', names) == 'n{a="$outcome",b="$variant"}'


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ('n{v="$where"}', r"nothing stands for \$where"),
        ('n{v="$several"}', r"\$several is a, b"),
        ("n_$variant", "in double quotes"),
        ("n{v='$variant'}", "in double quotes"),
    ],
)
def test_a_placeholder_that_cannot_be_filled_is_an_error(selector: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        fill(selector, {"variant": ("a",), "several": ("a", "b")})
