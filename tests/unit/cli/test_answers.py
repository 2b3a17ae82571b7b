"""What is said below a metric: its question, the interval, and why where the two are not enough."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from estimates import PLAIN

from abctl.core.analysis import Claim, ClaimKind, Comparison
from abctl.core.reasons import Reason
from abctl.report.effects import compared
from abctl.stats.estimate import Alternative, Delta, Estimate, Remark

NONE, HALF = Delta(0.0, relative=False), Delta(0.5, relative=True)
MARGIN = Delta(0.01, relative=False)
RESULT = replace(
    PLAIN, control=0.5, treatment=0.52, effect=0.02, lift=0.04, lift_interval=(-1.0, 1.0)
)
NOTE = Remark("rejectedEarlier")
EARLIER = Reason.of(NOTE).text


def claim(
    says: ClaimKind,
    null: Delta,
    side: Alternative,
    bound: float | None,
    *,
    proven: bool = False,
    result: Estimate = RESULT,
) -> Claim:
    estimate = replace(result, alternative=side, p=0.01 if proven else 0.4)
    return Claim(says, null, estimate, None, proven, 0.05, bound)


def said(role: str, *claims: Claim) -> str:
    result = claims[0].result
    metric = SimpleNamespace(
        name="m",
        role=role,
        unit="share",
        quantile=None,
        comparisons=(Comparison("treatment", result, claims),),
    )
    found: Any = SimpleNamespace(
        metrics=(metric,),
        variants=("a", "b"),
        alpha=0.05,
        verdict=SimpleNamespace(reasons=()),
        preset="",
    )
    _, table, _ = compared(found, wide=False)
    return " ".join(" ".join(table.plain.splitlines()[2:]).split())


@pytest.mark.parametrize(
    ("role", "claims", "says"),
    [
        (
            "primary",
            (claim("better", NONE, "greater", 0.003, proven=True), claim("harm", NONE, "less", 1)),
            "primary, better? +0.30pp to +100.00pp, all above 0; lift +4.0%",
        ),
        (
            "primary",
            (
                claim("better", NONE, "greater", -0.1),
                claim("harm", NONE, "less", -0.00001, proven=True),
            ),
            "primary, worse? -10.00pp to -0.001pp, all under 0; lift +4.0%",
        ),
        (
            "guardrail",
            (claim("non-inferior", MARGIN, "less", None), claim("harm", MARGIN, "greater", -0.01)),
            "guardrail, within margin? -1.00pp to …, not all under +1.00pp; lift +4.0%",
        ),
        (
            "guardrail",
            (
                claim("non-inferior", MARGIN, "less", 0.02),
                claim("harm", MARGIN, "greater", 0.010001, proven=True),
            ),
            "guardrail, over margin? +1.0001pp to +2.00pp, all above +1.0000pp; lift +4.0%",
        ),
        (
            "guardrail",
            (claim("non-inferior", HALF, "less", 0.4, proven=True),),
            "guardrail, within margin? lift +4.0% (… to +40.0%), all under +50.0%",
        ),
    ],
)
def test_the_interval_stands_beside_its_boundary(
    role: str, claims: tuple[Claim, ...], says: str
) -> None:
    assert said(role, *claims) == says


@pytest.mark.parametrize("proven", [True, False])
def test_without_an_interval_the_line_gives_the_answer_of_p(*, proven: bool) -> None:
    unknown = replace(RESULT, control=0.0, lift=None, lift_interval=None)
    within = claim("non-inferior", HALF, "less", None, result=unknown, proven=proven)
    assert said("guardrail", within) == (
        f"guardrail, within margin? {'yes' if proven else 'not yet'}, by P alone (treatment "
        "against control +50.0%); no interval of the lift, as the interval of the control "
        "includes 0"
    )


def test_what_an_earlier_look_has_proven_is_told_with_the_reason() -> None:
    faded = replace(RESULT, notes=(NOTE,))
    better = claim("better", NONE, "greater", 2e-8, proven=True, result=faded)
    assert said("primary", better, claim("harm", NONE, "less", 0.04)) == (
        f"primary, better? just above 0 to +4.00pp, all above 0; lift +4.0%; {EARLIER}"
    )
    still = claim("better", NONE, "greater", 0.01, proven=True, result=faded)
    assert EARLIER not in said("primary", still, claim("harm", NONE, "less", 0.04))
