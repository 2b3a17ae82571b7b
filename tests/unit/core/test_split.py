"""Splits: what is read back is what was written, and the total is always the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.split import TOTAL_BP, Split, format_share, parse_share_bp
from abctl.errors import SpecError

TWO = Split(("control", "treatment"), (7000, 3000))
THREE = Split(("control", "small", "large"), (5000, 2500, 2500))


@given(st.integers(0, TOTAL_BP))
def test_a_share_is_read_back_as_it_was_written(share_bp: int) -> None:
    assert parse_share_bp(format_share(share_bp)) == share_bp


@pytest.mark.parametrize(
    ("text", "share_bp"), [("30%", 3000), ("0", 0), ("12.5%", 1250), (" 0.01 % ", 1)]
)
def test_a_share_may_be_written_in_several_ways(text: str, share_bp: int) -> None:
    assert parse_share_bp(text) == share_bp


@pytest.mark.parametrize("text", ["101%", "-1%", "100.001%", "a third", "", "1e1%", "nan", "30%%"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="must be from 0% to 100%"):
        parse_share_bp(text)


@pytest.mark.parametrize(
    ("text", "hint"),
    [("0.3", "write 0.3%, or 30%"), ("1", "write 1%, or 100%"), ("30", "write 30%")],
)
def test_a_share_without_a_unit_is_refused_like_any_size(text: str, hint: str) -> None:
    for parse in (parse_share_bp, lambda text: TWO.parse_change((f"treatment={text}",))):
        with pytest.raises(SpecError, match=f"share '{text}' has no unit") as caught:
            parse(text)
        assert caught.value.hint == hint


def test_a_share_that_is_too_fine_is_said_to_be_just_that() -> None:
    with pytest.raises(SpecError, match=r"share '33\.333%', must be in steps of 0\.01%"):
        parse_share_bp("33.333%")


@pytest.mark.parametrize(
    ("words", "shares"),
    [
        (("50/50",), (5000, 5000)),
        (("treatment=12.5%",), (8750, 1250)),
        (("treatment=0",), (10_000, 0)),
        (("0%/100%",), (0, 10_000)),
        (("control=80%", "treatment=20%"), (8000, 2000)),
        (("control=80%,treatment=20%",), (8000, 2000)),
        (("control=30%",), (3000, 7000)),  # of two, the other one takes the rest
    ],
)
def test_a_change_is_written_by_shares_or_by_names(
    words: tuple[str, ...], shares: tuple[int, ...]
) -> None:
    assert TWO.parse_change(words) == Split(TWO.names, shares)


def test_what_is_not_named_stays_and_the_control_takes_the_rest() -> None:
    assert THREE.parse_change(("large=40%",)).shares_bp == (3500, 2500, 4000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no split given"),
        ((" ",), "no split given"),
        (("treatmnt=30%",), "no variant 'treatmnt'"),
        (("50/30/20",), "3 shares, 2 variants"),
        (("50/30",), "makes the sum 80%, must be 100%"),
        (("30%",), "'30%' is not a split"),
        (("treatment=30%", "treatment=40%"), "'treatment' is given twice"),
        (("treatment=",), "share ''"),
        (("50/50", "50/50"), "the split is given twice: 50/50 50/50"),
        (("50/50", "treatment=30%"), "the split is given twice: 50/50 treatment=30%"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TWO.parse_change(words)


def test_of_three_variants_nobody_can_say_who_takes_what_the_control_gives() -> None:
    with pytest.raises(SpecError, match="must be 100%"):
        THREE.parse_change(("control=30%",))


def test_treatments_over_the_whole_are_refused() -> None:
    with pytest.raises(SpecError, match="the treatments sum to 110%, over 100%"):
        THREE.parse_change(("small=85%",))


def test_names_belong_to_one_share_each() -> None:
    with pytest.raises(SpecError, match="a, a: 2 shares") as caught:
        Split(("a", "a"), (5000, 5000))
    assert "no name twice" in caught.value.hint
    with pytest.raises(SpecError, match="a, b: 1 shares"):
        Split(("a", "b"), (10_000,))


def test_a_negative_share_is_refused_even_if_the_sum_is_right() -> None:
    with pytest.raises(SpecError, match="must be 100%"):
        Split(("a", "b"), (-1, 10_001))
