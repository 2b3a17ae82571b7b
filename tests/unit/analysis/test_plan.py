"""Planning: the published sizes, the options, the file, and what people see."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from abctl import demo
from abctl.analysis import plan as service
from abctl.analysis import plan_inputs
from abctl.analysis.ramp import Step
from abctl.cli.main import run
from abctl.core.analysis import (
    Analysis,
    Comparison,
    EpochResult,
    MetricResult,
    Result,
    Verdict,
)
from abctl.core.experiment import Metric
from abctl.core.split import Split
from abctl.errors import SourceError, SpecError, UsageError
from abctl.report import plan as numbers
from abctl.spec import load
from abctl.stats.estimate import Delta, NotEstimable, Plan, Remark
from abctl.stats.methods import ratio
from abctl.stats.summary import Buckets, Stream

POINTS = service.Question("proportion", 0.05, Delta(0.02, relative=False), test="fixed")
DEMO = Path(demo.__file__).with_name("demo.yaml")


def of_demo(name: str | None) -> dict:
    demo = load(DEMO)
    return plan_inputs.of_experiment(demo, plan_inputs.metric_of(demo, name))


@pytest.mark.parametrize(
    ("size", "n"), [(Delta(0.02, relative=False), 2213), (Delta(0.02, relative=True), 752_703)]
)
def test_points_and_percent_are_not_the_same(size: Delta, n: int) -> None:
    assert service.plan(replace(POINTS, size=size)).row.n == (n, n)


def test_the_other_direction_needs_another_number() -> None:
    assert service.plan(replace(POINTS, direction="decrease")).row.n == (1506, 1506)


def test_a_sequential_test_takes_more_at_most_and_less_on_average() -> None:
    fixed = service.plan(POINTS).row
    found = service.plan(replace(POINTS, test="sequential")).row
    assert fixed.total < found.total < 1.6 * fixed.total
    assert found.expected_total is not None
    assert found.expected_total < fixed.total
    assert fixed.expected_total is None


def test_ways_of_looking_stand_side_by_side() -> None:
    """More looks cost more at most; whoever may stop early needs fewer on average."""
    ways = dict(service.plan(replace(POINTS, test="sequential")).looking)
    assert ways["fixed"] == service.plan(POINTS).row
    assert ways["sequential"] == service.plan(replace(POINTS, test="sequential")).row
    totals = [ways[how].total for how in ("fixed", "group-sequential", "sequential")]
    assert totals == sorted(totals)
    assert ways["group-sequential"].total / ways["fixed"].total == pytest.approx(1.0247, abs=1e-3)
    for how in ("group-sequential", "sequential"):
        assert ways[how].expected_total < ways["fixed"].total


def test_uneven_shares_are_kept_and_cost_more() -> None:
    even = service.plan(POINTS).row
    found = service.plan(replace(POINTS, shares=(0.9, 0.1))).row
    assert found.total > 2 * even.total
    assert found.n[0] / found.total == pytest.approx(0.9, abs=1e-3)


@pytest.mark.slow
def test_several_treatments_share_alpha_and_the_least_share_decides() -> None:
    one = service.plan(replace(POINTS, shares=numbers.parse_shares(None, 1))).row
    shares = numbers.parse_shares(None, 3)
    three = service.plan(replace(POINTS, shares=shares, comparisons=3)).row
    assert three.n[1] == three.n[2] == three.n[3] > one.n[1]
    starved = service.plan(replace(POINTS, shares=(0.4, 0.3, 0.2, 0.1), comparisons=3)).row
    assert starved.total > three.total
    margin = replace(POINTS, is_margin=True, one_sided=True)
    assert service.plan(replace(margin, comparisons=3)).row.n > service.plan(margin).row.n


def test_days_follow_from_traffic_and_what_they_find_from_days() -> None:
    answer = service.plan(replace(POINTS, units_per_day=numbers.parse_traffic_per_day("1000/day")))
    assert answer.row.days == pytest.approx(4.426)
    for days, size in answer.reach:
        assert size is not None
        again = service.plan(replace(answer.question, size=size)).row
        assert again.days == pytest.approx(days, rel=0.01)


def test_a_size_that_days_cannot_find() -> None:
    answer = service.plan(replace(POINTS, units_per_day=0.5))
    assert answer.reach[0] == (7.0, None)


def test_days_find_a_margin_that_is_larger_than_the_share_that_must_not_grow() -> None:
    errors = replace(
        POINTS,
        baseline=0.01,
        is_margin=True,
        direction="decrease",
        units_per_day=numbers.parse_traffic_per_day("200/day"),
    )
    _, size = service.plan(errors).reach[0]
    assert size is not None
    assert size.value > errors.baseline
    assert service.plan(replace(errors, size=size)).row.days == pytest.approx(7.0, rel=0.01)


def test_other_sizes_are_ordered_and_stay_possible() -> None:
    rows = service.plan(replace(POINTS, baseline=0.94)).trade_off
    assert [row.total for row in rows] == sorted((row.total for row in rows), reverse=True)
    assert max(0.94 + row.effect for row in rows) <= 1


def test_clusters_multiply() -> None:
    single = service.plan(POINTS).row.n[0]
    clustered = service.plan(replace(POINTS, design_effect=numbers.clustering(8, 1, 0.1))).row.n[0]
    assert clustered == pytest.approx(2.5 * single, abs=2)


def test_means() -> None:
    question = service.Question("mean", 20.0, Delta(0.5, relative=False), sd=12.5, test="fixed")
    assert service.plan(question).row.n[0] == 9812  # 2 ((1.959964 + 0.841621) 12.5 / 0.5)^2
    relative = replace(question, size=Delta(0.025, relative=True))
    assert service.plan(relative).row.n == service.plan(question).row.n


def test_a_file_gives_what_was_asked() -> None:
    primary = of_demo(None)
    assert primary["size"] == Delta(0.02, relative=False)
    assert primary["shares"] == (0.9, 0.1)
    assert (primary["is_margin"], primary["one_sided"], primary["comparisons"]) == (False, True, 1)
    guardrail = of_demo("errors")
    assert guardrail["is_margin"]
    assert service.plan(service.Question(baseline=0.001, **guardrail)).row.total > 0
    latency = of_demo("latency")
    assert (latency["kind"], latency["quantile"]) == ("quantile", 0.95)
    with pytest.raises(UsageError, match="standard deviation of the logarithm"):
        service.plan(service.Question(baseline=0.2, **latency))
    assert service.plan(service.Question(baseline=0.2, sd=0.5, **latency)).row.total > 0
    with pytest.raises(UsageError, match="'speed'"):
        of_demo("speed")


@pytest.mark.parametrize(
    ("text", "per_day"), [("10000/day", 10_000), ("2/s", 172_800), ("7/week", 1), ("1/min", 1440)]
)
def test_traffic(text: str, per_day: float) -> None:
    assert numbers.parse_traffic_per_day(text) == pytest.approx(per_day)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: numbers.parse_traffic_per_day("10000"),
        lambda: numbers.parse_traffic_per_day("0/day"),
        lambda: numbers.parse_baseline("5", "proportion"),
        lambda: numbers.parse_baseline("0.05", "proportion"),
        lambda: numbers.parse_baseline("five", "mean"),
        lambda: numbers.parse_baseline("5%", "mean"),
        lambda: numbers.parse_baseline("9" * 400, "mean"),
        lambda: numbers.parse_baseline("0%", "proportion"),
        lambda: numbers.parse_shares("90/20", None),
        lambda: numbers.parse_shares("100/0", None),
        lambda: numbers.parse_shares("90/10", 2),
        lambda: numbers.parse_shares(None, 0),
        lambda: numbers.clustering(0, 0, 0),
        lambda: service.plan(replace(POINTS, kind="mean")),
        lambda: service.plan(replace(POINTS, power=0.01)),
        lambda: service.plan(replace(POINTS, power=0.05, alpha=0.05)),
    ],
)
def test_wrong_usage_is_said(wrong) -> None:
    with pytest.raises(UsageError) as caught:
        wrong()
    assert caught.value.exit_code == 2


def test_no_room_for_the_effect() -> None:
    with pytest.raises(SpecError, match="leaves 0% to 100%"):
        service.plan(replace(POINTS, baseline=0.99))
    with pytest.raises(SpecError, match="effect of 0"):
        service.plan(replace(POINTS, size=Delta(0.0, relative=False)))


def test_the_command_gives_unrounded_numbers_to_machines(capsys) -> None:
    assert run(["plan", "--baseline", "5%", "--mde", "2pp", "--test", "fixed", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["n"], found["total"]) == ("Plan", [2213, 2213], 4426)
    assert found["tradeOff"][0]["size"] == "1pp"


def test_the_command_shows_people_a_table(capsys) -> None:
    assert run(["plan", str(DEMO), "--baseline", "91%", "--traffic", "5000/day"]) == 0
    shown = capsys.readouterr().out
    assert "finds a change from 91% to 93%" in shown
    assert "14 days find" in shown
    first, second = (line.split("  ") for line in shown.splitlines() if "CONTROL" in line)
    for header in (first, second):
        names = [name.strip() for name in header if name.strip()]
        assert len(names) == len(set(names)), "two columns of one name"
    assert "5 (O'Brien-Fleming)" in shown
    assert run(["plan", str(DEMO), "--metric", "errors", "--baseline", "0.4%"]) == 0
    assert "still at 0.4% is not at 5.4%" in capsys.readouterr().out


def test_pairs_stand_beside_the_split(capsys) -> None:
    """A shadow needs a fraction of the requests, and labels where answers differ."""
    assert run(["plan", str(DEMO), "--baseline", "93%", "--mde", "1pp", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    z = NormalDist().inv_cdf(0.95) * math.sqrt(0.05) + NormalDist().inv_cdf(0.8) * math.sqrt(
        0.05 - 0.01**2
    )
    assert found["pairs"] == {
        "n": math.ceil((z / 0.01) ** 2),
        "labels": math.ceil(math.ceil((z / 0.01) ** 2) * 0.05),
        "answersDifferRatio": 0.05,
    }
    assert found["pairs"]["n"] < found["total"] / 5
    options = ["--baseline", "93%", "--mde", "1pp", "--answers-differ", "3%"]
    assert run(["plan", str(DEMO), *options]) == 0
    assert "3% of the answers differ" in " ".join(capsys.readouterr().out.split())
    for other in (
        ["--metric", "errors", "--baseline", "1%"],
        ["--baseline", "50%", "--mde", "9pp"],
    ):
        assert run(["plan", str(DEMO), *other, "-o", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["pairs"] is None
    for wrong in (
        ["--answers-differ", "0%"],
        ["--answers-differ", "5"],
        ["--kind", "rate", "--answers-differ", "3%"],
    ):
        assert run(["plan", "--baseline", "5%", "--mde", "1pp", *wrong]) == 2
        assert "--answers-differ" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mde", "2"], "--mde '2' could be points or percent"),
        ([], "no mde"),
        (["--mde", "2pp", "--margin", "1pp"], "both --mde and --margin"),
    ],
)
def test_a_bare_number_is_an_error_with_a_hint(options, says, capsys) -> None:
    assert run(["plan", "--baseline", "5%", *options]) == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert "hint:" in shown


def test_many_treatments_that_are_alike_are_one_column(capsys) -> None:
    options = ["plan", "--baseline", "5%", "--mde", "2pp", "--treatments"]
    assert run([*options, "1000"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "EACH OF 1,000" in lines[0]
    assert max(map(len, lines)) < 100
    assert run([*options, "3", "--split", "40/30/20/10"]) == 0
    assert "T1" in capsys.readouterr().out
    assert run([*options, "1000000000"]) == 2
    assert "must be from 1 to 1,000" in capsys.readouterr().err


def test_a_quantile_of_the_file_may_be_planned_as_a_mean(capsys) -> None:
    options = ["--metric", "latency", "--kind", "mean", "--baseline", "0.2", "--sd", "0.5"]
    assert run(["plan", str(DEMO), *options, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["kindOfMetric"] == "mean"


def test_another_split_keeps_the_correction_for_several_primaries(tmp_path, capsys) -> None:
    text = DEMO.read_text(encoding="utf-8")
    file = tmp_path / "two.yaml"
    primary = text.replace("role: guardrail", "role: primary")
    file.write_text(
        primary.replace("margin: 5pp", "mde: 5pp").replace("margin: 100%", "mde: 100%"),
        encoding="utf-8",
    )
    asked = plan_inputs.of_experiment(load(file), plan_inputs.metric_of(load(file), None))
    assert asked["comparisons"] > 1
    found = []
    for split in ([], ["--split", "50/50"], ["--split", "40/30/30"]):
        options = ["plan", str(file), "--baseline", "90%", "--mde", "2pp", "-o", "json"]
        assert run([*options, *split]) == 0
        found.append(json.loads(capsys.readouterr().out)["comparisons"])
    assert found == [asked["comparisons"], asked["comparisons"], 2 * asked["comparisons"]]


def test_another_calculator_says_less_where_it_takes_the_controls_variance_alone() -> None:
    """20% to 25%: 1,094, as R's power.prop.test has it; by the control's variance alone 1,030."""
    asked = service.Question("proportion", 0.2, Delta(0.05, relative=False), test="fixed")
    assert service.plan(asked).row.n == (1094, 1094)
    z_alpha, z_power = NormalDist().inv_cdf(0.975), NormalDist().inv_cdf(0.8)
    control, treatment = 0.2 * 0.8, 0.25 * 0.75
    other = z_alpha * math.sqrt(2 * control) + z_power * math.sqrt(control + treatment)
    assert round((other / 0.05) ** 2) == 1030


def test_it_says_why_other_calculators_say_less() -> None:
    question = service.Question("proportion", 0.2, Delta(0.05, relative=False), test="fixed")
    answer = service.plan(question)
    assert (answer.row.n[0], answer.elsewhere) == (1094, 1031)  # others round 1030.2 down
    margin = replace(question, is_margin=True, direction="decrease")
    assert service.plan(margin).elsewhere is None


def test_a_horizon_takes_little_more_than_one_look() -> None:
    fixed, found = (service.plan(replace(POINTS, test=test)).row for test in ("fixed", "horizon"))
    assert 1.05 * fixed.total < found.total < 1.12 * fixed.total
    assert found.expected_total < 0.78 * fixed.total


def test_a_quantile_of_latency_is_found_as_often_as_planned() -> None:
    """By simulation: two-sided at 5%, the p90 of lognormal values, a tenth more."""
    question = service.Question(
        "quantile", 0.2, Delta(0.1, relative=True), sd=0.6, quantile=0.9, test="fixed"
    )
    n = service.plan(question).row.n[0]
    rng, runs, z_90 = np.random.default_rng(1), 800, NormalDist().inv_cdf(0.9)
    found = [
        np.quantile(q * np.exp(0.6 * (rng.standard_normal((runs, n)) - z_90)), 0.9, axis=1)
        for q in (0.2, 0.22)
    ]
    difference = found[1] - found[0]
    z = difference / difference.std()
    assert float(np.mean(z > NormalDist().inv_cdf(0.975))) == pytest.approx(0.8, abs=0.05)
    assert difference.mean() == pytest.approx(0.02, rel=0.05)


RAMPED = replace(
    POINTS,
    one_sided=True,
    units_per_day=1500.0,
    ramp=(Step((0.95, 0.05), days=1.0), Step((0.8, 0.2), days=0.5)),
)


def test_a_ramp_is_found_as_often_as_planned() -> None:
    """By simulation, periods compared for themselves; one without its ramp would be too small."""
    row = service.plan(RAMPED).row
    ramp = np.array([[step.days * 1500.0 * share for share in step.shares] for step in RAMPED.ramp])
    power = {}
    for name, n in (("ramp", row.n), ("plain", service.plan(replace(RAMPED, ramp=())).row.n)):
        rest = (sum(n) - ramp.sum()) / 2.0
        periods = np.rint([*ramp, (rest, rest)])
        rng, runs = np.random.default_rng(1), 20_000
        a, b = (
            rng.binomial(size.astype(int), rate, (runs, 3))
            for size, rate in zip(periods.T, (0.05, 0.07), strict=True)
        )
        n_a, n_b = periods.T
        weight, level = n_a * n_b / (n_a + n_b), (a + b) / (n_a + n_b)
        difference = ((b / n_b - a / n_a) * weight).sum(axis=1)
        z = difference / np.sqrt((weight * level * (1.0 - level)).sum(axis=1))
        power[name] = float(np.mean(z > NormalDist().inv_cdf(0.95)))
    assert power["ramp"] == pytest.approx(0.8, abs=0.02)
    assert power["plain"] < 0.75
    assert row.days == pytest.approx(row.total / 1500.0)


def test_a_ramp_at_the_last_split_is_none_and_one_that_is_never_left_is_its_first_step() -> None:
    plain = service.plan(replace(RAMPED, ramp=(), test="horizon")).row
    same = replace(RAMPED, ramp=(Step((0.5, 0.5), days=1.0),), test="horizon")
    found = service.plan(same).row
    assert found.n == plain.n
    assert found.expected_total == pytest.approx(plain.expected_total, rel=1e-3)
    for_ever = service.plan(replace(RAMPED, ramp=(Step((0.95, 0.05), days=1e4),))).row
    canary = service.plan(replace(RAMPED, ramp=(), shares=(0.95, 0.05))).row
    assert for_ever.n == canary.n


def test_the_command_plans_a_ramp(capsys) -> None:
    asked = ["plan", "--baseline", "5%", "--mde", "2pp", "--ramp", "95/5:1d,80/20:12h"]
    assert run([*asked, "--traffic", "1500/day", "--test", "fixed", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["n"] == list(service.plan(replace(RAMPED, one_sided=False)).row.n)
    assert found["ramp"][1] == {"shares": [0.8, 0.2], "days": 0.5}
    for wrong, says in ((asked, "--traffic"), ([*asked[:-1], "95/5"], "no time")):
        assert run(wrong) == 2
        assert says in capsys.readouterr().err


@pytest.mark.parametrize("is_margin", [False, True])
def test_rates_are_sized_by_their_variance(is_margin: bool) -> None:
    size, baseline = 0.005, 0.02
    question = service.Question(
        "rate",
        baseline,
        Delta(size, relative=False),
        is_margin=is_margin,
        direction="decrease" if is_margin else "increase",
        one_sided=True,
        test="fixed",
    )
    n = service.plan(question).row.n[0]
    z_alpha, z_power = NormalDist().inv_cdf(0.95), NormalDist().inv_cdf(0.8)
    under_null = 2 * baseline + size  # of a margin the treatment is over it, else as it is
    otherwise = 2 * baseline if is_margin else under_null
    wanted = (z_alpha * under_null**0.5 + z_power * otherwise**0.5) ** 2 / size**2
    assert n == pytest.approx(wanted, abs=1)


def users_of(rng: np.random.Generator, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """Revenue and orders of users: those who order more spend more an order, too."""
    orders = 1.0 + rng.poisson(rng.gamma(2.0, 2.0, shape))
    return orders * rng.gamma(3.0, 4.0, shape) * (0.8 + 0.05 * orders), orders


@pytest.mark.slow
def test_a_ratio_is_found_as_often_as_planned() -> None:
    """By simulation with the declared coefficients of variation: two-sided at 5%, 4% more."""
    rng = np.random.default_rng(3)
    revenue, orders = users_of(rng, 2_000_000)
    cvs = (
        revenue.std() / revenue.mean(),
        orders.std() / orders.mean(),
        float(np.corrcoef(revenue, orders)[0, 1]),
    )
    baseline = revenue.sum() / orders.sum()
    question = service.Question(
        "ratio", baseline, Delta(0.04, relative=True), cvs=cvs, test="fixed", one_sided=True
    )
    n, other = service.plan(question).row.n
    assert n == other
    looks, found = 2500, list[float]()
    for _ in range(looks):
        sides = []
        for factor in (1.0, 1.04):
            spent, made = users_of(rng, n)
            r = factor * spent.sum() / made.sum()
            rest = factor * spent - r * made
            sides.append((r, rest.var() / made.mean() ** 2 / n))
        (a, va), (b, vb) = sides
        found.append((b - a) / math.sqrt(va + vb))
    power = float(np.mean(np.array(found) > NormalDist().inv_cdf(0.95)))
    assert power == pytest.approx(0.8, abs=0.02 + 2 * math.sqrt(0.8 * 0.2 / looks))


def test_a_ratio_of_users_who_are_alike_needs_a_deviation_or_is_no_plan() -> None:
    asked = service.Question("ratio", 12.0, Delta(0.02, relative=True), test="fixed")
    for wrong in (
        asked,
        replace(asked, cvs=(0.0, 0.0, 0.0)),
        replace(asked, cvs=(1.0, -1.0, 0.0)),
        replace(asked, cvs=(1.0, 1.0, 1.5)),
        replace(asked, baseline=0.0, cvs=(1.0, 0.0, 0.0)),
    ):
        with pytest.raises(UsageError):
            service.plan(wrong)
    # Who orders twice as much spends exactly twice as much.
    with pytest.raises(SpecError, match="variance of a unit"):
        service.plan(replace(asked, cvs=(1.0, 1.0, 1.0)))
    # Of a denominator that does not vary it is a mean: its variance is that of the numerator.
    mean = service.Question("mean", 12.0, asked.size, sd=12.0 * 1.5, test="fixed")
    assert service.plan(replace(asked, cvs=(1.5, 0.0, 0.0))).row.n == service.plan(mean).row.n


def shown(metric: Metric, effect: Result, seconds: float) -> Analysis:
    """What an experiment of so long shows of a metric."""
    even = Split(("control", "treatment"), (5000, 5000))
    result = MetricResult(
        metric.name,
        metric.role,
        metric.kind,
        metric.of,
        metric.direction,
        quantile=None,
        mde=None,
        margin=None,
        method="ratio",
        selectors={},
        remarks=(),
        polls=1,
        comparisons=(Comparison("treatment", effect, ()),),
    )
    return Analysis(
        "shop",
        at=seconds,
        source="prometheus",
        preset="abctl",
        unit="user",
        test="fixed",
        alpha=0.05,
        started=0.0,
        elapsed_seconds=seconds,
        min_duration_seconds=1.0,
        max_duration_seconds=seconds,
        epochs=(EpochResult(0, 0.0, seconds, even, counted=True),),
        variants=(),
        metrics=(result,),
        srm=None,
        notes=(),
        verdict=Verdict("continue", None, ()),
    )


def test_what_a_running_experiment_shows_is_planned_with() -> None:
    """The variance between users gives the size at which their ratio is known as well as wanted."""
    rng, users, buckets = np.random.default_rng(5), 20_000, 64
    place = rng.integers(buckets, size=(2, users))
    spent, made = users_of(rng, 2, users)
    sides = [
        Buckets(
            np.bincount(place[i], spent[i], buckets)[None],
            np.bincount(place[i], made[i], buckets)[None],
        )
        for i in range(2)
    ]
    effect = ratio.estimate(Stream(*sides, epoch=0), Plan())
    metric = Metric("basket", "primary", "ratio", "spent", "increase", over="order")
    found = shown(metric, effect, seconds=86_400.0)
    rest = spent - spent.sum() / made.sum() * made
    # By bucket a variance is known as well as 63 values in each variant tell.
    per_order = rest.std() / math.sqrt(made.mean())
    assert plan_inputs.deviation(found, "basket") == pytest.approx(per_order, rel=0.2)
    assert plan_inputs.units_per_day(found, metric) == pytest.approx(made.sum())
    late = replace(metric, maturity_seconds=43_200.0)
    assert plan_inputs.units_per_day(found, late) == pytest.approx(2 * made.sum())
    nothing = NotEstimable("ratio", Remark("noVarianceOfBuckets"), (0.0, 0.0))
    with pytest.raises(SourceError, match="how much units vary"):
        plan_inputs.deviation(shown(metric, nothing, seconds=1.0), "basket")
