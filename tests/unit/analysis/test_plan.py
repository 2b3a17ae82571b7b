"""Planning: the published sizes, the options, the file, and what people see."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from abctl import demo
from abctl.analysis import plan as service
from abctl.cli.main import run
from abctl.errors import SpecError, UsageError
from abctl.report import plan as numbers
from abctl.spec import load
from abctl.stats.estimate import Delta

POINTS = service.Question("proportion", 0.05, Delta(0.02, relative=False), test="fixed")
DEMO = Path(demo.__file__).with_name("demo.yaml")


def of_demo(name: str | None) -> dict:
    demo = load(DEMO)
    return service.of_experiment(demo, service.metric_of(demo, name))


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
    with pytest.raises(UsageError, match="latency"):
        of_demo("latency")
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
    assert "still at 0.4% is not at 0.9%" in capsys.readouterr().out


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
