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
        (figures.value(12345.6, "number"), "1.235e+04"),
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
