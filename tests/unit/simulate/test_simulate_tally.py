"""What is counted of simulated traffic."""

import numpy as np
import pytest

from abctl.simulate._tally import Summary, Tally


def summary_of(tally: Tally) -> Summary:
    return tally.summary(2.0, (), (), interrupted=False)


def test_users_move_only_when_their_variant_changes() -> None:
    tally = Tally(("control", "treatment"))
    for user, variant in [
        ("a", "control"),
        ("a", "control"),
        ("b", "control"),
        ("a", "treatment"),
        ("c", "treatment"),
        ("a", "control"),
        (None, "control"),
        (None, "treatment"),
    ]:
        tally.answer(variant, user, 0.001)
    summary = summary_of(tally)
    assert (summary.users, summary.moved_users) == (3, 1)
    assert summary.moves == {("control", "treatment"): 1, ("treatment", "control"): 1}
    assert [each.users for each in summary.variants] == [2, 2]
    assert (summary.requests, summary.errors, summary.rate_per_second) == (8, 0, 4.0)


def test_quantiles_are_those_of_the_good_answers() -> None:
    tally = Tally(("control",))
    seconds = np.random.default_rng(1).lognormal(-6, 1, 997)
    for each in seconds:
        tally.answer("control", "u", each)
    tally.error("control", "5xx")
    latency = summary_of(tally).variants[0].latency_ms
    assert latency
    expected = 1000 * np.quantile(seconds, [0.5, 0.95, 0.99, 1], method="inverted_cdf")
    assert [latency.p50, latency.p95, latency.p99, latency.max] == pytest.approx(expected)
    assert latency.mean == pytest.approx(1000 * seconds.mean())


def test_errors_are_requests_and_an_unknown_variant_appears_only_if_met() -> None:
    tally = Tally(("control",))
    assert [each.variant for each in summary_of(tally).variants] == ["control"]
    tally.error("control", "5xx")
    tally.error("unknown", "connection")
    tally.error("unknown", "connection")
    control, unknown = summary_of(tally).variants
    assert (control.requests, control.errors, control.latency_ms) == (1, {"5xx": 1}, None)
    assert (unknown.variant, unknown.requests, unknown.errors) == ("unknown", 2, {"connection": 2})


def test_feedback_that_was_not_taken_is_lost() -> None:
    tally = Tally(("control",))
    for made_up in (True, False, False):
        tally.feedback_due("control", made_up=made_up)
    tally.feedback_sent("control")
    control = summary_of(tally).variants[0]
    assert (control.feedback_sent, control.feedback_lost, control.made_up) == (1, 2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.05, -0.05, 0.0])
@pytest.mark.parametrize("accuracy", [0.93, 0.6, 0.1])
def test_an_effect_moves_the_mean_by_its_size(effect: float, accuracy: float) -> None:
    n, rng = 40_000, np.random.default_rng(5)
    tally = Tally(("control",))
    told = changed = 0.0
    rights = rng.random(n) < accuracy
    for right, coin in zip(rights, rng.random(n), strict=True):
        value, touched = tally.truth("control", bool(right), coin, effect)
        assert touched == (value != right)
        told += value
        changed += touched
    # The noise is that of `n |effect|` flips, 4 standard deviations wide.
    slack = 4 * np.sqrt(max(changed, 1)) / n + 0.001
    assert (told - rights.sum()) / n == pytest.approx(effect, abs=slack)
    assert changed == abs(told - rights.sum())


def test_an_effect_has_its_limit_where_everything_is_right() -> None:
    tally = Tally(("control",))
    values = {tally.truth("control", True, 0.0, 0.5) for _ in range(100)}
    assert values == {(1.0, False)}
