"""Generated analyses: any names, sizes and findings, each claim with a p and a bound that agree."""

import math
from dataclasses import replace
from typing import Any

from estimates import PLAIN
from hypothesis import strategies as st

from abctl.core.analysis import (
    Analysis,
    Claim,
    Comparison,
    EpochResult,
    MetricResult,
    Result,
    VariantResult,
)
from abctl.core.experiment import Design
from abctl.core.reasons import Reason
from abctl.core.split import Split
from abctl.core.verdict import verdict
from abctl.stats.delta import Delta
from abctl.stats.estimate import Estimate, NotEstimable, Remark
from abctl.stats.srm import SrmResult

ALPHA = 0.05
NONE = Delta(0.0, relative=False)
WHY = (Remark("noVariance"), Remark("contradictingData", {"problem": "one says this " * 8 + "."}))
KINDS = {
    "share": ("proportion", "accuracy"),
    "seconds": ("quantile", "latency"),
    "number": ("mean", "revenue"),
}
names = st.one_of(
    st.sampled_from(["accuracy", "latency", "v2"]),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", fullmatch=True),
)
_p = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1e-9, 0.03, 0.0499, 0.0501, 1.0]))
# From a hair beside the boundary to far away, in units of the effect's distance from it.
_distances = st.sampled_from([1e-6, 1e-4, 0.003, 0.1, 1.0, 30.0])


@st.composite
def _values(draw: st.DrawFn, unit: str) -> tuple[float, float]:
    """The control, and the difference."""
    if unit == "share":
        control = draw(st.one_of(st.just(0.0), st.floats(1e-9, 1.0)))
        return control, draw(st.floats(-control, 1.0 - control))
    size = 10.0 ** draw(st.integers(-6, 9 if unit == "number" else 4))
    return size * draw(st.one_of(st.just(0.0), st.floats(1e-3, 9.99))), size * draw(
        st.floats(-9.99, 9.99)
    )


@st.composite
def _claim(draw: st.DrawFn, says: Any, null: Delta, result: Estimate, side: Any) -> Claim:
    p, factor = draw(_p), draw(st.sampled_from([1, 1, 1, 2, 3]))
    corrected = says != "harm"
    adjusted = min(1.0, p * factor) if corrected else None
    level = ALPHA / factor if corrected else ALPHA
    proven = (p if adjusted is None else adjusted) <= ALPHA
    effect = result.lift if null.relative else result.effect
    bound = None
    if effect is not None:
        distance = draw(_distances) * (abs(effect - null.value) or max(abs(null.value), 1e-3))
        up = (side == "greater") == proven
        bound = null.value + (distance if up else -distance)
        bound = math.nextafter(null.value, bound) if bound == null.value else bound
    estimate = replace(result, p=p, log_p=math.log(p or 1e-300), alternative=side)
    return Claim(says, null, estimate, adjusted, proven, level, bound)


@st.composite
def _comparison(draw: st.DrawFn, treatment: str, role: str, unit: str, good: str) -> Comparison:
    if draw(st.sampled_from([True, False, False, False, False])):
        nothing: Result = NotEstimable("ratio_sequence", draw(st.sampled_from(WHY)))
        says = {"primary": ("better", "harm"), "guardrail": ("non-inferior", "harm")}.get(role, ())
        claims = tuple(Claim(each, NONE, nothing, None, proven=False) for each in says)  # type: ignore[arg-type]
        return Comparison(treatment, nothing, claims)
    control, effect = draw(_values(unit))
    lift = effect / abs(control) if control else None
    reach = abs(effect) * draw(st.floats(0.01, 3.0)) + 1e-9
    result = replace(
        PLAIN,
        control=control,
        treatment=control + effect,
        effect=effect,
        interval=(effect - reach, effect + reach),
        lift=lift,
        p=draw(_p),
        alternative="two-sided",
    )
    bad = "less" if good == "greater" else "greater"
    null, first = NONE, "better"
    if role == "guardrail":
        sign = 1.0 if bad == "greater" else -1.0
        relative = draw(st.booleans())
        size = draw(st.sampled_from([0.005, 0.01234, 0.1, 0.5])) * (1.0 if relative else control)
        null, first = Delta(sign * size, relative), "non-inferior"
    asked = [(first, good), ("harm", bad)] if role != "secondary" else []
    claims = tuple(draw(_claim(says, null, result, side)) for says, side in asked)
    return Comparison(treatment, result, claims)


@st.composite
def _metric(draw: st.DrawFn, name: str, treatments: list[str]) -> MetricResult:
    unit = draw(st.sampled_from(list(KINDS)))
    role = draw(st.sampled_from(["primary", "guardrail", "secondary"]))
    direction = draw(st.sampled_from(["increase", "decrease"]))
    good = "greater" if direction == "increase" else "less"
    kind, of = KINDS[unit]
    return MetricResult(
        name=name,
        role=role,  # type: ignore[arg-type]
        kind=kind,  # type: ignore[arg-type]
        of=of,
        direction=direction,  # type: ignore[arg-type]
        quantile=draw(st.sampled_from([0.5, 0.95, 0.999])) if kind == "quantile" else None,
        mde=None,
        margin=None,
        method="ratio_sequence",
        selectors={},
        remarks=(Reason("measured", {"how": "inside the model server"}),),
        polls=draw(st.integers(0, 10**6)),
        comparisons=tuple(draw(_comparison(t, role, unit, good)) for t in treatments),
    )


@st.composite
def _variant(draw: st.DrawFn, name: str, metrics: list[MetricResult]) -> VariantResult:
    seconds = st.one_of(st.none(), st.floats(1e-6, 4000.0))
    number = st.one_of(st.none(), st.floats(0.0, 1e9))
    share = st.one_of(st.none(), st.floats(0.0, 1.0))
    return VariantResult(
        name,
        float(draw(st.integers(0, 10**10))),
        None,
        {m.name: draw(share if m.unit == "share" else number) for m in metrics},
        draw(share),
        draw(seconds),
        draw(seconds),
        None,
        {},
        draw(seconds),
    )


@st.composite
def analyses(draw: st.DrawFn) -> Analysis:
    """An analysis of one to three treatments and one to five metrics."""
    variants = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    called = draw(st.lists(names, min_size=1, max_size=5, unique=True))
    metrics = [draw(_metric(name, variants[1:])) for name in called]
    split = Split(tuple(variants), (10_000, *[0] * (len(variants) - 1)))
    epochs = draw(st.integers(0, 40))
    counts = tuple(float(draw(st.integers(1, 10**9))) for _ in variants)
    p = draw(st.floats(0.0, 1.0))
    return Analysis(
        experiment=draw(names),
        at=2e9,
        source="http://prometheus:9090",
        preset="abctl",
        unit="user",
        test="sequential",
        alpha=ALPHA,
        started=1.9e9,
        elapsed_seconds=draw(st.floats(0.0, 1e7)),
        min_duration_seconds=604_800.0,
        max_duration_seconds=1_209_600.0,
        epochs=tuple(EpochResult(i, i, i + 1.0, split, counted=True) for i in range(epochs)),
        variants=tuple(draw(_variant(name, metrics)) for name in variants),
        metrics=tuple(metrics),
        srm=SrmResult("mixture", p, -1.0, 0.001, counts, counts[::-1], 0.0, (), "exact", ""),
        notes=(Reason("aroundChanges", {"variant": "control", "requests_count": 1502.0}),),
        verdict=verdict(Design(), metrics, elapsed_seconds=1e6, integrity=()),
        remarks={"latency": "inside the model server, of every request that was randomized"},
    )
