"""Which question a report shows of a metric, with which p and which interval."""

from dataclasses import replace

import pytest
from estimates import PLAIN

from abctl.core.analysis import Claim, Comparison
from abctl.report.question import Question, question
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Remark

NONE, MARGIN = Delta(0.0, relative=False), Delta(-0.1, relative=True)
RESULT = replace(PLAIN, effect=0.02, lift=0.04, interval=(-0.01, 0.05))
UP, DOWN = (replace(RESULT, alternative=side, p=p) for side, p in (("greater", 0.2), ("less", 0.9)))


def claims(
    first: str = "better", null: Delta = NONE, *, better: bool = False, harm: bool = False
) -> tuple[Claim, Claim]:
    return (
        Claim(first, null, UP, 0.4, better, 0.025, -0.01),  # type: ignore[arg-type]
        Claim("harm", null, DOWN, None, harm, 0.05, 0.05),
    )


def asked(*found: Claim, effect: Estimate = RESULT) -> Question:
    shown = question(Comparison("treatment", effect, found))
    assert isinstance(shown, Question)
    return shown


def test_what_shipping_needs_is_asked_with_its_corrected_p_and_both_bounds() -> None:
    shown = asked(*claims())
    assert (shown.says, shown.p, shown.corrected, shown.holds) == ("better", 0.4, True, False)
    assert (shown.effect, shown.ends, shown.decisive) == (0.02, (-0.01, 0.05), (-0.01,))


def test_harm_that_is_proven_comes_first() -> None:
    shown = asked(*claims(better=True, harm=True))
    assert (shown.says, shown.p, shown.corrected) == ("harm", 0.9, False)
    assert (shown.holds, shown.mixed, shown.decisive) == (True, True, (0.05,))


def test_of_a_relative_margin_effect_and_ends_are_relative() -> None:
    shown = asked(*claims("non-inferior", MARGIN))
    assert (shown.effect, shown.null.value) == (0.04, -0.1)


def test_ends_that_cross_are_no_interval() -> None:
    one, other = claims(harm=True)
    shown = asked(replace(one, bound=0.06), other)
    assert shown.ends == (None, 0.05)
    shown = asked(replace(one, bound=0.06), replace(other, proven=False))
    assert shown.ends == (0.06, None)


def test_without_a_claim_it_is_whether_there_is_a_difference() -> None:
    shown = asked(effect=replace(RESULT, alternative="two-sided"))
    assert (shown.says, shown.alternative, shown.ends) == ("different", "two-sided", (-0.01, 0.05))


def test_what_is_not_estimable_has_no_question() -> None:
    missing = NotEstimable("ratio", Remark("noVariance"))
    claim = Claim("better", NONE, missing, None, proven=False)
    assert question(Comparison("treatment", missing, (claim,))) is missing
    assert question(Comparison("treatment", missing, ())) is missing


@pytest.mark.parametrize(("end", "alone"), [(2e-8, True), (-2e-8, True), (0.001, False)])
def test_an_end_beside_the_boundary_is_of_the_test_alone(end: float, alone: bool) -> None:
    assert asked(*claims()).by_test_alone(end) == alone
