"""Sizes of effects: what is read back is what was written, and nothing is guessed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.delta import format_delta, parse_delta
from abctl.errors import SpecError
from abctl.stats.estimate import Delta


@pytest.mark.parametrize(
    ("text", "delta"),
    [
        ("2pp", Delta(0.02, relative=False)),
        ("2%", Delta(0.02, relative=True)),
        (" 0.5 pp ", Delta(0.005, relative=False)),
        ("150%", Delta(1.5, relative=True)),
        ("0.5abs", Delta(0.5, relative=False)),
        (".5abs", Delta(0.5, relative=False)),
    ],
)
def test_the_unit_says_what_is_meant(text: str, delta: Delta) -> None:
    assert parse_delta(text) == delta


@pytest.mark.parametrize("text", ["2", "0.02", 2, 0.02])
def test_a_bare_number_is_refused_with_the_next_step(text: object) -> None:
    with pytest.raises(SpecError, match="must say which") as caught:
        parse_delta(text)  # type: ignore[arg-type]
    assert "2pp" in caught.value.hint
    assert "2%" in caught.value.hint


@pytest.mark.parametrize("text", ["", "pp", "-2pp", "2 percent", "nan%", "inf%", "1e-3%", "2%pp"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_delta(text)


def test_what_is_larger_than_any_number_is_refused() -> None:
    with pytest.raises(SpecError, match="larger than any effect"):
        parse_delta("9" * 400 + "abs")


@given(
    st.integers(0, 10**6).map(lambda i: i / 1000),
    st.sampled_from(["pp", "%", "abs"]),
)
def test_what_is_written_is_read_back(number: float, unit: str) -> None:
    delta = parse_delta(f"{number:.3f}{unit}")
    kind = "mean" if unit == "abs" else "proportion"
    assert parse_delta(format_delta(delta, kind)) == delta
