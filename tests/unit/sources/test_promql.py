"""Which selectors stand for a metric."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.experiment import Metric
from abctl.errors import SourceError
from abctl.sources._promql import PRESETS, Selector, fill, one_of, preset, resolve

ABCTL = PRESETS["abctl"]
ACCURACY = Metric("quality", "primary", "proportion", "accuracy", "increase")


def test_a_proportion_is_positives_over_all_feedback() -> None:
    assert resolve(ACCURACY, "control", ABCTL) == {
        "n": 'ab_outcome_count_total{variant="control",bucket!="none",outcome="accuracy"}',
        "successes": (
            'ab_outcome_sum_total{variant="control",bucket!="none",outcome="accuracy",'
            'sign="positive"}'
        ),
    }


def test_what_a_client_did_wrong_counts_neither_as_error_nor_as_request() -> None:
    errors = resolve(dataclasses.replace(ACCURACY, of="errors"), "v", ABCTL)
    assert 'code="5xx"' in errors["successes"]
    counted = Selector.parse(errors["n"])
    labels = {"__name__": "ab_requests_total", "variant": "v", "bucket": "3"}
    assert [counted.matches({**labels, "code": f"{c}xx"}) for c in (2, 4, 5)] == [True, False, True]


@pytest.mark.parametrize("of", ["latency", "errors", "revenue"])
def test_requests_outside_of_the_experiment_are_in_no_metric(of: str) -> None:
    for kind in ("proportion", "mean", "rate", "quantile"):
        try:
            parts = resolve(dataclasses.replace(ACCURACY, of=of, kind=kind), "v", ABCTL)
        except SourceError:
            continue
        for selector in parts.values():
            assert 'bucket!="none"' in selector or "ab_request_duration" in selector


def test_own_selectors_replace_the_preset_whole() -> None:
    mine = {"n": 'n{v="$variant"}', "successes": 's{v="$variant"}'}
    own = dataclasses.replace(ACCURACY, selectors=mine)
    assert resolve(own, "a", ABCTL) == {"n": 'n{v="a"}', "successes": 's{v="a"}'}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selectors": {"n": "n", "successes": "s"}}, "the same for all variants"),
        ({"selectors": {"m": 'n{v="$variant"}'}}, "no part 'm'"),
        ({"selectors": {"n": 'n{v="$variant"}'}}, "nothing selects 'successes'"),
        ({"kind": "quantile"}, "nothing selects 'histogram' of accuracy as quantile"),
    ],
)
def test_a_metric_that_nothing_selects_is_an_error(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        resolve(dataclasses.replace(ACCURACY, **changes), "a", ABCTL)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(SourceError, match="no 'nope'") as caught:
        preset("nope")
    assert "abctl" in caught.value.hint


@given(st.text(), st.text())
def test_any_text_survives_as_a_label(value: str, other: str) -> None:
    labels = {"__name__": "n", "v": value}
    assert Selector.parse(fill('n{v="$variant"}', value)).matches(labels)
    assert Selector.parse(f"n{{{one_of('v', [value, 'x'])}}}").matches(labels)
    assert Selector.parse(fill('n{v="$variant"}', other)).matches(labels) == (value == other)


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
