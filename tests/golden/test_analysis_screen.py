"""The screens of one fixed analysis, to the letter."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.cli._output import Output
from abctl.cli.analyze import show
from abctl.core.analysis import (
    Analysis,
    Claim,
    Comparison,
    Coverage,
    EpochResult,
    MetricResult,
    Reading,
    VariantResult,
    Verdict,
)
from abctl.core.belief import PosteriorSummary
from abctl.core.reasons import Reason
from abctl.core.split import Split
from abctl.forms.document import document
from abctl.report.analysis import screen
from abctl.stats.estimate import Delta, Estimate, NotEstimable, Remark
from abctl.stats.srm import SrmResult

HERE = Path(__file__).parent
START = 1_793_700_000.0
NAMES = ("control", "treatment")
INFINITY = float("inf")
STOP, GOING = Verdict("stop", "a", ()), Verdict("continue", "b", ())

ACCURACY = Estimate(
    method="ratio_sequence",
    control=0.9341,
    treatment=0.9512,
    effect=0.0171,
    interval=(0.0042, 0.03),
    lift=0.018306,
    lift_interval=(0.0045, 0.0322),
    p=0.0123,
    log_p=-4.398,
    alpha=0.05,
    alternative="two-sided",
    guarantee="asymptotic",
    assumptions=("users are assigned at random",),
    n=(12345.0, 5302.0),
    epochs=(0, 1),
    log_e=4.398,
    se=0.0041,
    statistic=4.17,
    df=126.0,
)
LATENCY = replace(
    ACCURACY,
    method="quantile_sequence",
    control=0.00091,
    treatment=0.00112,
    effect=0.00021,
    interval=(-0.00004, INFINITY),
    lift=0.23077,
    lift_interval=(-0.044, INFINITY),
    p=0.2,
    log_e=60.5,
)
NONE = Delta(0.0, relative=False)
ERRORS = NotEstimable("ratio_sequence", Remark("tooFewBucketsFilled", {"needed_count": 10}))
MISSING = Reason(
    "notYetEstimable",
    {
        "metric": "errors",
        "role": "guardrail",
        "treatment": "treatment",
        "method": ERRORS.method,
        "detail": Reason.of(ERRORS.why).text,
        "reason": Reason.of(ERRORS.why).document(),
    },
)
BELIEFS = (
    PosteriorSummary("control", None, 0.0042, 0.0171, "not valid for stopping"),
    PosteriorSummary("treatment", 0.9958, 0.9958, 1.2e-5, "not valid for stopping"),
)


def metric(name: str, role: str, of: str, comparison: Comparison) -> MetricResult:
    quantile = 0.95 if of == "latency" else None
    return MetricResult(
        name=name,
        role=role,  # type: ignore[arg-type]
        kind="quantile" if quantile else "proportion",
        of=of,
        direction="increase" if of == "accuracy" else "decrease",
        quantile=quantile,
        mde=None,
        margin=None,
        method=comparison.effect.method,
        selectors={n: {"n": f'{of}_total{{variant="{n}"}}'} for n in NAMES},
        remarks=(Reason("measured", {"how": "inside the model server"}),) if quantile else (),
        polls=1440,
        comparisons=(comparison,),
        beliefs=BELIEFS if of == "accuracy" else (),
    )


def claim(
    says: str,
    null: Delta,
    result: Estimate | NotEstimable,
    bound: float | None = None,
    *,
    p: float = 1.0,
    p_adjusted: float | None = None,
) -> Claim:
    """A claim whose bound lies where its p says."""
    if isinstance(result, NotEstimable):
        return Claim(says, null, result, None, proven=False)  # type: ignore[arg-type]
    # Here guardrails are what may not grow.
    up = (says == "harm") == (null.value > 0)
    result = replace(result, p=p, alternative="greater" if up else "less")
    level = 0.05 if p_adjusted is None else 0.05 * p / p_adjusted
    proven = p <= level
    return Claim(says, null, result, p_adjusted, proven, level, bound)  # type: ignore[arg-type]


@pytest.fixture
def analysis() -> Analysis:
    yates = Remark("chiSquared", {"expected_count": 349.0, "yates_p": 3.5e-5})
    once = replace(ACCURACY, method="chi_squared", p=3.2e-5, notes=(yates,))
    accuracy = Comparison(
        "treatment",
        ACCURACY,
        (
            claim("better", NONE, ACCURACY, 0.0042, p=0.0123, p_adjusted=0.0246),
            claim("harm", NONE, ACCURACY, 0.0279),
        ),
        (Reading(once, (Reason("oneLookOnly"),)),),
    )
    half, pp = Delta(0.5, relative=True), Delta(0.005, relative=False)
    errors = Comparison(
        "treatment", ERRORS, tuple(claim(says, pp, ERRORS) for says in ("non-inferior", "harm"))
    )
    latency = Comparison(
        "treatment",
        LATENCY,
        (
            claim("non-inferior", half, LATENCY, 0.4999, p=0.049),
            claim("harm", half, LATENCY, -0.044),
        ),
    )
    watched = Coverage(1, 1, 15.0, 0.999, 4.0, 212.0, 0.0)
    return Analysis(
        experiment="iris",
        at=START + 1_000_000,
        source="http://prometheus:9090",
        preset="abctl",
        unit="user",
        test="sequential",
        alpha=0.05,
        started=START,
        elapsed_seconds=1_000_000.0,
        min_duration_seconds=604_800.0,
        max_duration_seconds=1_209_600.0,
        epochs=(
            EpochResult(0, START + 60, START + 400_000, Split(NAMES, (9000, 1000)), counted=True),
            EpochResult(1, START + 400_060, START + 1e6, Split(NAMES, (7000, 3000)), counted=True),
        ),
        variants=(
            VariantResult(
                "control",
                12345.0,
                17.0,
                {"accuracy": 0.934, "errors": 0.0002, "latency": 0.0009},
                0.0002,
                0.00031,
                0.0009,
                watched,
                {"requests": {"n": 'ab_requests_total{variant="control"}'}},
                0.00041,
            ),
            VariantResult("treatment", None, None, {"accuracy": None}, None, None, None, None, {}),
        ),
        metrics=(
            metric("accuracy", "primary", "accuracy", accuracy),
            metric("errors", "guardrail", "errors", errors),
            metric("latency", "guardrail", "latency", latency),
        ),
        srm=SrmResult(
            "bucketed mixture",
            0.41,
            -0.89,
            0.001,
            (12345.0, 5302.0),
            (12353.0, 5294.0),
            0.2,
            (),
            "asymptotic",
            "fine",
        ),
        notes=(Reason("restarts", {"variant": "control", "restarts_count": 1}),),
        verdict=Verdict("continue", None, (MISSING,)),
        remarks={"latency": "inside the model server, of every request that was randomized"},
    )


@pytest.mark.parametrize("output", list(Output))
def test_a_screen_is_as_it_was(
    output: Output,
    analysis: Analysis,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show(analysis, output, Path("iris.yaml"))
    out, err = capsys.readouterr()
    expected = HERE / f"analysis_{output}.txt"
    if os.environ.get("ABCTL_GOLDEN") == "write":
        expected.write_text(out + err, encoding="utf-8")
    assert out + err == expected.read_text(encoding="utf-8")


LONG = "conversion_of_returning_customers_within_seven_days_of_exposure"


def several(found: Analysis) -> Analysis:
    """Three treatments, of which one was better at an earlier look and is worse now."""
    faded = replace(ACCURACY, notes=(Remark("rejectedEarlier"),))
    mixed = (
        claim("better", NONE, faded, 1e-9, p=0.01, p_adjusted=0.02),
        claim("harm", NONE, faded, -0.001, p=0.04),
    )
    metrics = []
    for each in found.metrics:
        (first,) = each.comparisons
        others = [replace(first, treatment=name) for name in ("candidate-b", "candidate-c")]
        if each.name == "accuracy":
            others[1] = replace(others[1], claims=mixed)
        metrics.append(replace(each, comparisons=(first, *others)))
    variants = [replace(found.variants[0], name=name) for name in ("candidate-b", "candidate-c")]
    return replace(found, metrics=tuple(metrics), variants=(*found.variants, *variants))


def money(found: Analysis) -> Analysis:
    """Long names, large counts, and means of money."""
    revenue = replace(
        ACCURACY,
        control=1_234_567.8,
        treatment=1_198_765.4,
        effect=-35_802.4,
        lift=-0.029,
    )
    harmed = Comparison(
        "treatment",
        revenue,
        (claim("better", NONE, revenue, -61_234.5), claim("harm", NONE, revenue, -8.25, p=0.0499)),
    )
    shown = replace(metric("revenue_per_customer", "primary", "revenue", harmed), kind="mean")
    long = replace(shown, name=LONG)
    told = Comparison("treatment", replace(revenue, interval=(-80_000.0, 9_000.0), p=0.3), ())
    other = replace(shown, name="basket", role="secondary", comparisons=(told,))
    values = {LONG: 1_234_567.8, "basket": 12.345, "revenue_per_customer": 1_300_000.0}
    variants = (replace(each, requests=12_345_678_901.0, values=values) for each in found.variants)
    return replace(found, metrics=(long, shown, other), variants=tuple(variants))


@pytest.mark.parametrize("made", [several, money], ids=lambda made: made.__name__)
def test_many_treatments_and_wide_numbers_fit_80_columns(
    made: Callable[[Analysis], Analysis], analysis: Analysis
) -> None:
    shown = f"{screen(made(analysis), wide=False)}\n"
    expected = HERE / f"analysis_{made.__name__}.txt"
    if os.environ.get("ABCTL_GOLDEN") == "write":
        expected.write_text(shown, encoding="utf-8")
    assert shown == expected.read_text(encoding="utf-8")
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    ("verdict", "command"),
    [
        (Verdict("ship", "treatment", ()), "abctl promote iris.yaml treatment"),
        (Verdict("stop", "treatment", ()), "abctl rollback iris.yaml"),
        (Verdict("stop", None, ()), "abctl rollback iris.yaml"),
        (Verdict("stop", "a", (), (STOP, STOP)), "abctl rollback iris.yaml"),
        (Verdict("stop", "a", (), (STOP, GOING)), "abctl shift iris.yaml a=0%"),
        (Verdict("invalid", None, ()), "abctl status iris.yaml -o wide"),
        (Verdict("continue", None, ()), "abctl analyze iris.yaml"),
    ],
)
def test_every_verdict_has_a_next_command(
    verdict: Verdict, command: str, analysis: Analysis, capsys: pytest.CaptureFixture[str]
) -> None:
    show(replace(analysis, verdict=verdict), Output.table, Path("iris.yaml"))
    assert command in capsys.readouterr().err


def test_what_is_infinite_is_null_for_machines(analysis: Analysis) -> None:
    text = json.dumps(document(analysis), allow_nan=False)
    effect = json.loads(text)["metrics"][2]["comparisons"][0]["effect"]
    assert effect["interval"] == [-0.00004, None]
