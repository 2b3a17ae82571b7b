"""A table of events through the real command line and DuckDB, against numpy and tea-tasting."""

import csv
import gzip
import io
import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
import tea_tasting as tt
from pyarrow import parquet
from scipy import stats

from abctl.cli.main import run

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LOG = ["--variant", "model_version", "--unit", "user_id"]
ACCURACY = ["--metric", "accuracy: mean(correct)"]
COLUMNS = ("user_id", "model_version", "correct", "latency_ms")


def log(users=1500, effect=0.05, seed=1, names=("v1", "v2")):
    """Several predictions of each user, alike in how hard and how slow they are."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        arm = int(rng.integers(2))
        share, slow = rng.beta(8, 2), rng.lognormal(4, 0.5)
        for _ in range(rng.integers(1, 12)):
            right = int(rng.random() < min(1.0, share + effect * arm))
            rows.append((f"u{user}", names[arm], right, round(slow * rng.lognormal(0, 0.3), 2)))
    return rows


def write(path, rows, columns=COLUMNS):
    with Path(path).open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(columns)
        writer.writerows(rows)
    return str(path)


@pytest.fixture
def analyze(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(events, *words, code=None):
        returned = run(["analyze", "--events", str(events), *words, "-o", "json", "--exit-code"])
        out, err = capsys.readouterr()
        if code is not None:
            assert returned == code, err
            return err
        assert returned in (0, 11, 12), err
        found = json.loads(out)
        assert returned == {"ship": 0, "stop": 11, "invalid": 12}[found["verdict"]["kind"]]
        return found

    return call


def effect(found, name):
    metric = next(each for each in found["metrics"] if each["name"] == name)
    return metric["comparisons"][0]["effect"]


def codes(found):
    return [each["code"] for each in found["noteCodes"]]


def per_user(rows, value, arm):
    users = {}
    for row in rows:
        if row[1] == arm:
            s, n = users.get(row[0], (0.0, 0))
            users[row[0]] = s + value(row), n + 1
    return np.array(list(users.values())).T


def as_table(rows):
    users = {}
    for user, arm, right, _ in rows:
        before = users.get(user, (arm, 0, 0))
        users[user] = arm, before[1] + right, before[2] + 1
    arms, s, n = zip(*users.values(), strict=True)
    columns = {"variant": [int(arm == "v2") for arm in arms], "s": s, "n": n}
    return pa.table(columns)


def test_one_user_with_half_of_the_rows_is_one_user(analyze) -> None:
    """A load test, pinned to one variant: it proved whatever it does, at p < 0.001."""
    rows = log(users=400, effect=0.0)
    many = 3 * len(rows) // 4
    rows += [("load-test", "v2", 0, 5.0)] * many
    found = analyze(
        write("log.csv", rows), *LOG, *ACCURACY, "--metric", "latency: p90(latency_ms)",
        "--metric", "right: sum(correct)",
    )  # fmt: skip
    for name in ("accuracy", "latency"):
        assert effect(found, name)["code"] == "fewUnitsHoldAll"
    assert effect(found, "right")["p"] > 0.05


@pytest.mark.parametrize("mde", [[], ["--mde", "5pp"]], ids=["", "mde"])
@pytest.mark.parametrize("alpha", ["1e-17", "1e-300", "5e-324", "0.499"])
def test_error_rates_as_small_as_numbers_are(analyze, alpha, mde) -> None:
    found = analyze(write("log.csv", log(300)), *LOG, *ACCURACY, "--alpha", alpha, *mde)
    assert effect(found, "accuracy")["p"] < 0.4


@pytest.mark.parametrize("alpha", ["0", "0.5", "0.6", "0.999999", "1", "nan", "-1"])
def test_error_rates_that_no_side_can_have_are_refused(analyze, alpha) -> None:
    said = analyze(write("log.csv", log(30)), *LOG, *ACCURACY, "--alpha", alpha, code=2)
    assert "--alpha" in said


def test_ratios_and_sums_per_unit_are_tea_tastings(analyze) -> None:
    rows = log()
    found = analyze(
        write("log.csv", rows), *LOG, *ACCURACY, "--metric", "right: sum(correct)",
        "--metric", "rows: count(*)",
    )  # fmt: skip
    wanted = tt.Experiment(
        accuracy=tt.RatioOfMeans("s", "n", equal_var=False, use_t=True),
        right=tt.Mean("s", equal_var=False, use_t=True),
        rows=tt.Mean("n", equal_var=False, use_t=True),
    ).analyze(as_table(rows))
    for name in ("accuracy", "right", "rows"):
        mine, theirs = effect(found, name), wanted[name]
        assert mine["control"] == pytest.approx(theirs.control, rel=1e-12)
        assert mine["effect"] == pytest.approx(theirs.effect_size, rel=1e-9)
        assert mine["p"] == pytest.approx(theirs.pvalue, rel=1e-8)
        ends = theirs.effect_size_ci_lower, theirs.effect_size_ci_upper
        assert mine["interval"] == pytest.approx(ends, rel=1e-8)


def test_all_formats_are_one_table(analyze, monkeypatch) -> None:
    rows = log(400)
    path = Path(write("log.csv", rows))
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    parquet.write_table(pa.table(columns), "log.parquet")
    lines = [json.dumps(dict(zip(COLUMNS, row, strict=True))) for row in rows]
    Path("log.jsonl").write_text("\n".join(lines), encoding="utf-8")
    Path("log.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    Path("parts").mkdir()
    write("parts/[1]*'.csv", rows[:700])
    write("parts/2.csv", rows[700:])
    asked = [*LOG, *ACCURACY, "--metric", "p95: p95(latency_ms)"]
    wanted = analyze("log.csv", *asked)
    names = ("log.parquet", "log.jsonl", "log.csv.gz", "parts/*.csv")
    found = [analyze(name, *asked) for name in names]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    found.append(analyze("-", *asked))
    for each in found:
        assert each["srm"]["observed"] == wanted["srm"]["observed"]
        for name in ("accuracy", "p95"):
            for key in ("control", "treatment", "p"):
                mine, theirs = effect(each, name)[key], effect(wanted, name)[key]
                assert mine == pytest.approx(theirs, rel=1e-9)


def test_a_cap_is_of_what_a_unit_has_in_all(analyze, tmp_path) -> None:
    rng, rows = np.random.default_rng(5), []
    for user in range(3000):
        arm = ("v1", "v2")[user % 2]
        spent = rng.pareto(1.3, rng.integers(1, 4)).round(4).tolist()
        rows += [(f"u{user}", arm, each) for each in spent]
    path = write(tmp_path / "log.csv", rows, ("user_id", "model_version", "spent"))
    totals: dict[str, dict[str, float]] = {"v1": {}, "v2": {}}
    for user, arm, each in rows:
        totals[arm][user] = totals[arm].get(user, 0.0) + each
    both = [np.array(list(each.values())) for each in totals.values()]
    share = float(np.quantile(np.concatenate(both), 0.99, method="inverted_cdf"))
    for written, cap in (("99%", share), ("2.5", 2.5)):
        asked = ["--metric", f"spent: sum(spent) cap {written}, higher"]
        found = analyze(path, *LOG, *asked, "--guardrail", "rows: count(*) cap 2 +10%")
        (effect,) = [each["effect"] for each in found["metrics"][0]["comparisons"]]
        a, b = (np.minimum(each, cap) for each in both)
        assert effect["control"] == pytest.approx(a.mean(), rel=1e-12)
        assert effect["effect"] == pytest.approx(b.mean() - a.mean(), rel=1e-9)
        assert effect["p"] == pytest.approx(stats.ttest_ind(b, a, equal_var=False).pvalue, rel=1e-6)
        told = {each["code"]: each["facts"] for each in found["metrics"][0]["remarkCodes"]}
        assert told["capped"]["cap"] == pytest.approx(cap, rel=1e-12)
        assert found["metrics"][1]["comparisons"][0]["effect"]["control"] <= 2
    for wrong in ("mean(spent) cap 9", "sum(spent) cap 20%", "sum(spent) cap 0", "sum(spent) cap"):
        assert "cap" in analyze(path, *LOG, "--metric", f"spent: {wrong}", code=2)
    assert "--paired" in analyze(path, *LOG, "--paired", *asked, code=2)


@pytest.mark.parametrize("written", ["iso", "seconds", "zone"])
def test_retention_is_of_units_whose_window_is_over(analyze, tmp_path, written) -> None:
    rng, rows, day = np.random.default_rng(6), [], 86_400.0
    start = datetime(2026, 10, 1, tzinfo=UTC).timestamp()
    shown = {
        "iso": lambda at: datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat(" "),
        "seconds": repr,
        "zone": lambda at: datetime.fromtimestamp(at, ZoneInfo("Asia/Tokyo")).isoformat(),
    }[written]
    came = {"v1": [0, 0], "v2": [0, 0]}
    last = start + 40 * day
    for user in range(800):
        arm, first = ("v1", "v2")[user % 2], start + float(rng.integers(0, 39 * 86_400))
        later = [first + d * day for d in rng.choice([0.5, 1.0, 2.0, 2.5, 3.0, 5.0], 2)]
        rows += [(f"u{user}", arm, at) for at in (first, *later)]
        if first + 3 * day <= last:
            came[arm][0] += any(1 * day <= at - first < 3 * day for at in later)
            came[arm][1] += 1
    rows = [row for row in rows if row[2] < last]
    rows.append(("late", "v1", last))
    rng.shuffle(rows)
    text = [(user, arm, shown(float(at)), "ab"[len(user) % 2]) for user, arm, at in rows]
    text.append(("u1", "v2", "yesterday", "a"))
    path = write(tmp_path / "log.csv", text, ("user_id", "model_version", "ts", "country"))
    asked = ["--metric", "back: retention(1d, 3d)", "--at", "ts"]
    found = analyze(path, *LOG, *asked, "--segment", "country")
    (effect,) = [each["effect"] for each in found["metrics"][0]["comparisons"]]
    (a, n), (b, m) = came.values()
    assert [effect["control"], effect["treatment"]] == pytest.approx([a / n, b / m], rel=1e-12)
    assert effect["n"] == [n, m]
    pooled = (a + b) / (n + m)
    z = (b / m - a / n) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    assert effect["p"] == pytest.approx(2 * stats.norm.sf(abs(z)), rel=0.02)
    notes = {each["code"]: each["facts"] for each in found["noteCodes"]}
    assert notes["unitsOpen"]["unitsCount"] == 801 - n - m
    assert notes["rowsWithoutTime"]["rowsCount"] == 1


def test_what_retention_needs_is_named(analyze, tmp_path) -> None:
    columns = ("user_id", "model_version", "ts")
    path = write(tmp_path / "log.csv", [("u1", "v1", "now"), ("u2", "v2", "now")], columns)
    back, at = ["--metric", "back: retention(1d, 3d)"], ["--at", "ts"]
    assert "--at" in analyze(path, *LOG, *back, code=2)
    assert "--unit" in analyze(path, *LOG[:2], *back, *at, code=2)
    assert "no such column" in analyze(path, *LOG, *back, "--at", "when", code=2)
    assert "no time in it" in analyze(path, *LOG, *back, *at, code=6)
    assert "leave out --at ts" in analyze(path, *LOG, "--metric", "n: count(*)", *at, code=2)
    assert "--paired" in analyze(path, *LOG, *back, *at, "--paired", code=2)
    for wrong in ("3d", "3d, 1d", "0d, 1d", "a, b", "1d, 2d, 3d", ""):
        said = analyze(path, *LOG, *at, "--metric", f"back: retention({wrong})", code=2)
        assert "retention(7d, 14d)" in said
    rows = [(f"u{i}", f"v{i % 2 + 1}", f"{i}") for i in range(99)]
    open_ = write(tmp_path / "open.csv", rows, columns)
    found = analyze(open_, *LOG, *back, *at)
    assert "windowsOpen" in json.dumps(found["metrics"][0])


def test_a_quantile_by_unit_is_the_samples_and_knows_that_rows_are_alike(analyze) -> None:
    rows = log(1500, seed=3)
    asked = ["--metric", "p90: p90(latency_ms)"]
    by_unit = effect(analyze(write("log.csv", rows), *LOG, *asked), "p90")
    by_row = effect(analyze("log.csv", *LOG[:2], *asked), "p90")
    for side, arm in (("control", "v1"), ("treatment", "v2")):
        exact = np.quantile([row[3] for row in rows if row[1] == arm], 0.9)
        assert by_unit[side] == pytest.approx(exact, rel=0.01)
        assert by_row[side] == pytest.approx(exact, rel=0.01)

    # An independent oracle of its spread: users drawn anew.
    rng = np.random.default_rng(4)
    spread = 0.0
    for arm in ("v1", "v2"):
        users = {}
        for row in rows:
            if row[1] == arm:
                users.setdefault(row[0], []).append(row[3])
        groups = [np.array(each) for each in users.values()]
        drawn = (rng.integers(len(groups), size=len(groups)) for _ in range(300))
        found = [np.quantile(np.concatenate([groups[i] for i in who]), 0.9) for who in drawn]
        spread += np.var(found)
    width = (by_unit["interval"][1] - by_unit["interval"][0]) / (2 * 1.96)
    assert width == pytest.approx(np.sqrt(spread), rel=0.2)
    assert width > 1.3 * (by_row["interval"][1] - by_row["interval"][0]) / (2 * 1.96)


@pytest.mark.parametrize(
    ("control", "treatment", "p", "digits"),
    [
        # ab_data: landing pages, https://www.kaggle.com/datasets/zhangluyuan/ab-testing
        ((145_274, 17_489), (145_310, 17_264), 0.1899, 4),
        # Cookie Cats, gate_30 and gate_40: retention after 1 and after 7 days
        ((44_700, 20_034), (45_489, 20_119), 0.0744, 4),
        ((44_700, 8_502), (45_489, 8_279), 0.00155, 5),
    ],
)
def test_published_tables(analyze, control, treatment, p, digits) -> None:
    rows = [
        (f"{name}{i}", name, "true" if i < hits else "false")
        for name, (n, hits) in (("control", control), ("treatment", treatment))
        for i in range(n)
    ]
    write("users.csv", rows, ("user", "group", "converted"))
    asked = ["--variant", "group", "--unit", "user", "--metric", "conversion: share(converted)"]
    # The gates of Cookie Cats did not get equal shares: p 0.009 of the split.
    found = effect(analyze("users.csv", *asked), "conversion")
    assert round(found["p"], digits) == p
    assert (found["control"], found["treatment"]) == (
        pytest.approx(control[1] / control[0]),
        pytest.approx(treatment[1] / treatment[0]),
    )


def test_what_is_no_number_is_told_and_no_zero(analyze) -> None:
    rows = [list(row) for row in log(1000)]
    wanted = effect(analyze(write("whole.csv", rows), *LOG, *ACCURACY), "accuracy")
    for i, junk in enumerate(("", "nan", "n/a", "inf")):
        rows += [[row[0], row[1], junk, 1.0] for row in rows[i:400:40]]
    rows += [["", "v1", 1, 1.0], ["u1", "", 1, 1.0]]
    found = analyze(write("log.csv", rows), *LOG, *ACCURACY)
    for key in ("control", "treatment", "p"):
        assert effect(found, "accuracy")[key] == pytest.approx(wanted[key], rel=1e-9)
    told = [each["facts"] for each in found["noteCodes"] if each["code"] == "valuesMissing"]
    assert sum(each["nullCount"] for each in told) == 10
    assert sum(each["infiniteCount"] for each in told) == 20
    assert sum(each["textCount"] for each in told) == 10
    assert {"n/a"} >= {each["example"] for each in told} - {""}
    assert {"rowsWithoutUnit", "rowsWithoutVariant"} <= set(codes(found))


def test_values_that_one_variant_lacks_more_often_are_no_evidence(analyze) -> None:
    rows = [list(row) for row in log(1000)]
    for row in rows[::3]:
        row[2] = row[2] if row[1] == "v1" else ""
    found = analyze(write("log.csv", rows), *LOG, *ACCURACY)
    assert effect(found, "accuracy")["code"] == "missingDiffers"
    assert found["verdict"]["kind"] == "stop"


def test_units_of_several_variants_are_told_and_too_many_refused(analyze) -> None:
    rows = log(1000)
    few = [*rows, *((f"u{i}", "v1" if a == "v2" else "v2", 1, 1.0) for i, a in arms(rows, 3))]
    found = analyze(write("few.csv", few), *LOG, *ACCURACY)
    assert sum(found["srm"]["observed"]) == 997
    told = next(each for each in found["noteCodes"] if each["code"] == "unitsMixedFew")
    assert told["facts"]["unitsCount"] == 3
    # Of which nothing is left: neither dropped in part nor counted for their first variant.
    left = [row for row in few if row[0] not in ("u0", "u1", "u2")]
    without = analyze(write("without.csv", left), *LOG, *ACCURACY, "--metric", "p: p50(latency_ms)")
    found = analyze("few.csv", *LOG, *ACCURACY, "--metric", "p: p50(latency_ms)")
    wanted = effect(without, "accuracy")
    assert effect(found, "accuracy")["effect"] == pytest.approx(wanted["effect"], rel=1e-9)
    wanted = effect(without, "p")
    assert effect(found, "p")["effect"] == pytest.approx(wanted["effect"], abs=0.3)
    assert effect(found, "p")["n"] == pytest.approx(wanted["n"], rel=0.02)
    many = [*rows, *((f"u{i}", "v1" if a == "v2" else "v2", 1, 1.0) for i, a in arms(rows, 20))]
    found = analyze(write("many.csv", many), *LOG, *ACCURACY)
    assert found["verdict"]["kind"] == "invalid"
    assert found["verdict"]["reasonCodes"][0]["code"] == "unitsMixed"


def arms(rows, count):
    of = {row[0]: row[1] for row in rows}
    return [(i, of[f"u{i}"]) for i in range(count)]


def test_the_split_is_checked(analyze) -> None:
    rows = [row for row in log(1500) if row[1] == "v1" or int(row[0][1:]) % 3 == 0]
    found = analyze(write("log.csv", rows), *LOG, *ACCURACY)
    assert found["verdict"]["reasonCodes"][0]["code"] == "unitsMismatch"
    assert "splitAssumed" in codes(found)
    found = analyze("log.csv", *LOG, *ACCURACY, "--split", "75/25")
    assert found["srm"]["p"] > 0.001
    assert "splitAssumed" not in codes(found)
    assert found["verdict"]["kind"] != "invalid"


def test_three_variants_have_exact_thirds_and_unknown_ones_are_told(analyze) -> None:
    rows = [(f"u{i}", ("a", "b", "c")[i % 3], i % 7 < 3, 1.0) for i in range(90_000)]
    found = analyze(write("log.csv", rows), *LOG, "--metric", "x: share(correct)")
    assert found["srm"]["p"] == 1.0
    found = analyze("log.csv", *LOG, "--metric", "x: share(correct)", "--split", "a=50%,b=50%")
    assert [each["name"] for each in found["variants"]] == ["a", "b"]
    told = next(each for each in found["noteCodes"] if each["code"] == "variantsUnknown")
    assert told["facts"] == {"variants": ["c"], "rowsCount": 30_000}


def test_guardrails_block(analyze) -> None:
    rows = [(u, v, c, t * (1.5 if v == "v2" else 1)) for u, v, c, t in log(1500, 0.08)]
    write("log.csv", rows)
    assert analyze("log.csv", *LOG, *ACCURACY)["verdict"]["kind"] == "ship"
    guarded = [*ACCURACY, "--guardrail", "latency: p95(latency_ms) +10%"]
    found = analyze("log.csv", *LOG, *guarded)
    assert found["verdict"]["kind"] == "stop"
    assert found["verdict"]["reasonCodes"][0]["code"] == "harmProven"
    assert "directionAssumed" in codes(found)
    guarded[-1] = "latency: p95(latency_ms) 100% lower is better"
    assert analyze("log.csv", *LOG, *guarded)["verdict"]["kind"] == "ship"


def test_hostile_names_and_values_are_but_names(analyze) -> None:
    names = ("control", "'; DROP TABLE x; --")
    columns = ('us"er; SELECT', "va'riant)", 'c "o" (r)', "x")
    write("log.csv", log(800, names=names), columns)
    found = analyze(
        "log.csv", "--variant", columns[1], "--unit", columns[0],
        "--metric", f"""x: mean("{columns[2].replace('"', '""')}")""",
    )  # fmt: skip
    assert [each["name"] for each in found["variants"]] == list(names)
    assert effect(found, "x")["p"] < 0.05
    write("log.csv", log(800, names=("control", "\x1b[31mred")))
    found = analyze("log.csv", *LOG, *ACCURACY)
    assert found["variants"][1]["name"] == "\\x1b[31mred"


@pytest.mark.parametrize(
    ("content", "words", "code"),
    [
        ("", LOG, 6),
        ("user_id,model_version,correct\n", LOG, 6),
        ("user_id,model_version,correct\n1,v1,1\n2,v1,0\n", LOG, 6),
        ("user_id,model_version,correct\n1,v1,a\n2,v2,\n", LOG, 6),
        ("user_id,model_version,correct\n1,x,1\n2,y,0\n", LOG, 2),
        ("user_id,model_version,correct\n1,v1,1\n2,v2,0\n", ["--variant", "no"], 2),
        ("user_id,model_version,correct\n1,v1,1\n2,v2,0\n", [*LOG, "--unit", "no"], 2),
        ("user_id,model_version,correct\n1,v1,1\n2,v2,0\n", [*LOG, "--control", "no"], 2),
        ("user_id,model_version,correct\n1,v1,1\n2,v2,0\n", [*LOG, "--split", "a=10%,b=90%"], 2),
        ("user_id,model_version,correct\n1,v1,1\n2,v2,0\n", [*LOG, "--split", "1/2/3"], 2),
        ("user_id,model_version,correct\n1,v1,1\n2,v2,0\n", [*LOG, "--format", "xml"], 2),
        ("user_id,model_version,correct\n1,v1,1\n2,v2,0\n", [*LOG, "--format", "parquet"], 6),
    ],
)
def test_what_cannot_be_analyzed_is_an_error(analyze, content, words, code) -> None:
    Path("log.csv").write_text(content, encoding="utf-8")
    analyze("log.csv", *words, *ACCURACY, code=code)


@pytest.mark.parametrize(
    "metric",
    ["accuracy", "accuracy: mean()", "a: median_of(x)", "a: mean(correct) +10", "a: p95(x > 3)",
     "a: sum(correct); DROP", "a: mean(nowhere)"],
)  # fmt: skip
def test_a_metric_that_cannot_be_read_is_an_error(analyze, metric) -> None:
    write("log.csv", log(50))
    analyze("log.csv", *LOG, "--metric", metric, code=2)


def test_options_that_do_not_go_together(analyze) -> None:
    write("log.csv", log(50))
    analyze("log.csv", *LOG, code=2)
    analyze("nowhere.csv", *LOG, *ACCURACY, code=2)
    analyze("log.csv", "--variant", "model_version", "--metric", "a: sum(correct)", code=2)
    analyze("log.csv", *LOG, *ACCURACY, "--guardrail", "latency: p95(latency_ms)", code=2)
    analyze("log.csv", *LOG, *ACCURACY, "--primary", "other", code=2)
    analyze("log.csv", *LOG, *ACCURACY, "--watch", code=2)
    assert run(["analyze", "--metric", "a: mean(b)", "iris.yaml"]) == 2


def test_few_values_are_no_answer_rather_than_a_wrong_one(analyze) -> None:
    found = analyze(write("log.csv", log(20)), *LOG, *ACCURACY)
    assert effect(found, "accuracy")["code"] == "tooFewValues"
    assert found["verdict"]["kind"] == "stop"


def test_a_log_too_small_for_the_mde_is_told(analyze) -> None:
    found = analyze(write("log.csv", log(200, 0.0)), *LOG, *ACCURACY, "--mde", "1pp")
    assert "sizeNotReached" in codes(found)


def test_large_values_keep_their_digits(analyze) -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(0, 1, 2000)
    rows = [(f"u{i}", f"v{1 + i % 2}", float(1e9 + x[i]), 1) for i in range(2000)]
    found = effect(analyze(write("log.csv", rows), *LOG, *ACCURACY), "accuracy")
    assert found["effect"] == pytest.approx(x[1::2].mean() - x[::2].mean(), abs=1e-6)
    rows[0] = ("u0", "v1", "1e308", 1)
    found = analyze(write("log.csv", rows), *LOG, *ACCURACY)
    assert effect(found, "accuracy")["code"] == "tooLarge"


def test_the_commands_of_the_page_run(tmp_path, monkeypatch, capsys) -> None:
    """As they stand there, on a log as the page shows it."""
    monkeypatch.chdir(tmp_path)
    rows = log(1500)
    write("log.csv", rows)
    columns = dict(zip(COLUMNS, zip(*rows, strict=True), strict=True))
    parquet.write_table(pa.table(columns), "log.parquet")
    own_log(Path("predictions"))
    for page in ("docs/tables.md", "README.md"):
        shown = (ROOT / page).read_text(encoding="utf-8")
        lines = [line for line in shown.splitlines() if line.startswith("$ abctl analyze --events")]
        assert lines
        for line in lines:
            assert run(shlex.split(line)[2:]) == 0
            out = capsys.readouterr().out
            assert ("SHIP v2" in out) or ("predictions" in line and "SHIP treatment" in out)


def own_log(folder):
    """As abctl's runtime writes it, a file for each variant."""
    folder.mkdir()
    for variant, failing in (("control", 0.1), ("treatment", 0.02)):
        rng = np.random.default_rng(len(variant))
        lines = [
            {
                "at": "2026-11-30T04:00:00.000Z", "id": f"{variant}{i}",
                "unit": f"{variant}{i % 1000}", "bucket": i % 64, "variant": variant,
                "model": "iris", "version": "v1", "latencySeconds": rng.lognormal(-4, 0.3),
                "code": 500 if rng.random() < failing else 200, "prediction": {"predict": [1]},
            }
            for i in range(5000)
        ]  # fmt: skip
        text = "\n".join(map(json.dumps, lines))
        (folder / f"{variant}.jsonl").write_text(text, encoding="utf-8")


def test_without_duckdb_the_extra_is_named(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "duckdb", None)
    write("log.csv", log(50))
    assert run(["analyze", "--events", "log.csv", *LOG, *ACCURACY]) == 2
    assert "[tables]" in capsys.readouterr().err
