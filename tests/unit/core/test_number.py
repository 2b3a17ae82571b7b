"""Numbers: only those that everybody reads as the same."""

import pytest

from abctl.core.delta import parse_delta
from abctl.core.number import parse_number, parse_whole
from abctl.core.split import parse_share_bp
from abctl.core.time import parse_duration_seconds
from abctl.errors import AbctlError
from abctl.report.plan import parse_baseline, parse_traffic_per_day
from abctl.spec.fields import UnfitError, between, whole

ODD = ["\uff12", "6_4", "\u0662", "1\uff10"]
READERS = [
    (parse_whole, "{}"),
    (parse_number, "0.{}"),
    (whole(1, 100).parse, "{}"),
    (between(0, 100).parse, "{}.5"),
    (parse_delta, "{}pp"),
    (parse_duration_seconds, "{}s"),
    (parse_share_bp, "{}%"),
    (parse_traffic_per_day, "{}/day"),
    (lambda text: parse_baseline(text, "proportion"), "{}%"),
    (lambda text: parse_baseline(text, "mean"), "{}"),
]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(("read", "form"), READERS)
def test_only_digits_of_ascii_are_numbers(read, form, odd):
    read(form.format("12"))
    with pytest.raises((AbctlError, UnfitError, ValueError)):
        read(form.format(odd))
