"""How numbers read."""

import math

import pytest

from abctl.core import figures
from abctl.stats.estimate import Delta


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (figures.value(0.93412, "share"), "93.41%"),
        (figures.value(0.00125, "seconds"), "1.25 ms"),
        (figures.value(1.5, "seconds"), "1.5 s"),
        (figures.value(12345.6, "number"), "12,346"),
        (figures.value(1234567.0, "number"), "1,234,567"),
        (figures.value(0.0001234567, "number"), "0.0001235"),
        (figures.value(1.2345678e16, "number"), "1.235e+16"),
        (figures.value(0.99996, "seconds"), "1,000 ms"),
        (figures.value(1234.5, "seconds"), "1,234 s"),
        (figures.difference(-1234567.0, "number"), "-1,234,567"),
        (figures.relative(12.345), "+1,234.5%"),
        (figures.value(None, "share"), "-"),
        (figures.value(math.nan, "share"), "-"),
        (figures.difference(-0.0123, "share"), "-1.23pp"),
        (figures.difference(0.0005, "seconds"), "+0.5 ms"),
        (figures.difference(math.inf, "share"), "…"),
        (figures.relative(0.0571), "+5.7%"),
        (figures.relative(-math.inf), "…"),
        (figures.size(Delta(0.1, relative=True), "seconds"), "+10.0%"),
        (figures.size(Delta(0.005, relative=False), "share"), "+0.50pp"),
        (figures.count(12345.0), "12,345"),
        (figures.count(None), "-"),
        (figures.probability(0.0123), "p = 0.012"),
        (figures.probability(1e-4), "p = 0.0001"),
        (figures.probability(1e-300), "p < 0.0001"),
        (figures.duration(40), "40 s"),
        (figures.duration(3600), "1 h"),
        (figures.duration(86400 * 6.25), "6.25 d"),
        (figures.duration(-3), "0 s"),
    ],
)
def test_numbers_are_rounded_and_carry_their_unit(text: str, expected: str) -> None:
    assert text == expected


@pytest.mark.parametrize(
    ("p", "alpha", "expected"),
    [
        (0.0502, 0.05, "p = 0.0502"),
        (0.0498, 0.05, "p = 0.05"),
        (0.0502, None, "p = 0.05"),
        (0.05000001, 0.05, "p = 0.05000001"),
        (1e-9, 0.05, "p < 0.0001"),
    ],
)
def test_p_above_alpha_is_never_shown_as_alpha(
    p: float, alpha: float | None, expected: str
) -> None:
    assert figures.probability(p, alpha) == expected


def shares(number: float, more: int) -> str:
    return figures.difference(number, "share", more)


@pytest.mark.parametrize(
    ("number", "boundary", "expected"),
    [
        (0.012, 0.01, ("+1.20pp", "+1.00pp")),
        (0.009996, 0.01, ("+0.9996pp", "+1.0000pp")),
        (0.00001, 0.0, ("+0.001pp", "0")),
        (-0.00001, 0.0, ("-0.001pp", "0")),
        (1e-12, 0.0, ("just above 0", "0")),
        (0.01 - 1e-12, 0.01, ("just under +1.00pp", "+1.00pp")),
    ],
)
def test_a_number_is_told_from_the_boundary_beside_it(
    number: float, boundary: float, expected: tuple[str, str]
) -> None:
    assert figures.apart(number, boundary, shares) == expected
