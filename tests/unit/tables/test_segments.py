"""Results by segments of a log: what each segment's own file would say, corrected by Holm."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from abctl.cli.main import run

pytestmark = pytest.mark.slow

HEAD = ("user", "arm", "right", "ms", "spent", "country", "de\"v'ice")
ODD = "o'd\"d; DROP [red]"
SHARES = {"DE": 0.45, "it's": 0.3, ODD: 0.15, "": 0.08, "few": 0.02}


def log(users=2400, *, lost=0.0, seed=1):
    """Predictions of users; those of `lost` are not logged in one country of one variant."""
    rng, rows = np.random.default_rng(seed), []
    for i in range(users):
        arm, country = ("v1", "v2")[rng.integers(2)], rng.choice(list(SHARES), p=[*SHARES.values()])
        device = ("ios", "android")[rng.integers(2)]
        if arm == "v2" and country == "it's" and rng.random() < lost:
            continue
        slow, share = rng.lognormal(3 + (country == "DE"), 0.5), rng.beta(8, 2)
        share += 0.15 * (1 - share) * (arm == "v2" and country == "DE")
        for _ in range(rng.integers(1, 6)):
            right, ms = int(rng.random() < share), round(slow * rng.lognormal(0, 0.3), 2)
            rows.append([f"u{i}", arm, right, ms, round(rng.lognormal(), 3), country, device])
    return rows


def write(path, rows):
    with Path(path).open("w", newline="", encoding="utf-8") as target:
        csv.writer(target).writerows([HEAD, *rows])


@pytest.fixture
def analyze(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(rows, *words):
        write("log.csv", rows)
        given = ["--events", "log.csv", "--variant", "arm", "--unit", "user", *words]
        assert run(["analyze", *given, "-o", "json"]) == 0, capsys.readouterr().err
        return json.loads(capsys.readouterr().out)

    return call


METRICS = (
    ("--metric", "right: mean(right)"),
    ("--metric", "p90: p90(ms)"),
    ("--metric", "ever: share(ms > 60)"),
    ("--metric", "spent: sum(spent)"),
)


def all_of(*pairs):
    return [word for pair in pairs for word in pair]


def by_label(found, column="country"):
    return {each["value"]: each for each in found["segments"] if each["column"] == column}


def test_a_segment_says_what_a_file_of_it_alone_would_say(analyze) -> None:
    rows = log()
    found = analyze(rows, *all_of(*METRICS), "--segment", "country", "--segment", HEAD[-1])
    segments = by_label(found)
    assert list(segments) == ["DE", "it's", ODD, "few", None]  # the most frequent first
    assert [each["few"] for each in segments.values()] == [False, False, False, True, True]
    whole = analyze(rows, *all_of(*METRICS))["verdict"]
    assert found["verdict"]["kind"] == whole["kind"]
    assert found["verdict"]["reasons"] == whole["reasons"]
    assert [each["few"] for each in by_label(found, HEAD[-1]).values()] == [False, False]
    for value in ("DE", "it's", ODD):
        alone = analyze([row for row in rows if row[5] == value], *all_of(*METRICS))
        for metric, mine in zip(alone["metrics"], segments[value]["effects"], strict=True):
            theirs = metric["comparisons"][0]["effect"]
            # Cells of a quantile are where the whole file has its values.
            rel = 0.02 if metric["name"] == "p90" else 1e-9
            for name in ("control", "treatment"):
                assert mine["result"][name] == pytest.approx(theirs[name], rel=rel)
            assert mine["result"]["n"] == pytest.approx(theirs["n"], rel=5 * rel)
            if metric["name"] != "p90":
                assert mine["result"]["p"] == pytest.approx(theirs["p"], rel=1e-6)


def test_effects_and_their_correction_are_scipys_and_statsmodels(analyze) -> None:
    rows = log(seed=3)
    found = analyze(rows, *all_of(METRICS[3]), "--segment", "country")
    judged = [each for each in found["segments"] if not each["few"]]
    tests = list[object]()
    for each in judged:
        sums = {"v1": {}, "v2": {}}
        for user, arm, *_, spent, country, _ in rows:
            if country == each["value"]:
                sums[arm][user] = sums[arm].get(user, 0.0) + spent
        assert each["units"] == [len(sums["v1"]), len(sums["v2"])]
        given = list(sums["v2"].values()), list(sums["v1"].values())
        tests.append(stats.ttest_ind(*given, equal_var=False))
    right, wanted, *_ = multipletests([t.pvalue for t in tests], method="holm")
    for each, test, p, rejected in zip(judged, tests, wanted, right, strict=True):
        (mine,) = each["effects"]
        assert mine["pAdjusted"] == pytest.approx(p, rel=1e-6)
        assert mine["differs"] == rejected
        ends = test.confidence_interval(1 - mine["result"]["alpha"])
        assert mine["result"]["interval"] == pytest.approx(list(ends), rel=1e-6)
        low, high = mine["result"]["interval"]
        assert (low > 0 or high < 0) == mine["differs"]


def test_a_segment_that_lost_users_makes_the_evidence_invalid(analyze) -> None:
    rows = log(lost=0.35, seed=2)
    found = analyze(rows, *all_of(METRICS[0]), "--segment", "country", "--split", "50/50")
    p = {}
    for value, each in by_label(found).items():
        if not each["few"]:
            p[value] = stats.chisquare(each["units"]).pvalue
    _, wanted, *_ = multipletests([*p.values()], method="holm")
    for value, adjusted in zip(p, wanted, strict=True):
        assert by_label(found)[value]["pAdjusted"] == pytest.approx(adjusted, rel=1e-6)
    reasons = [each["code"] for each in found["verdict"]["reasonCodes"]]
    assert found["verdict"]["kind"] == "invalid"
    assert "segmentMismatch" in reasons
    (facts,) = (
        each["facts"]
        for each in found["verdict"]["reasonCodes"]
        if each["code"] == "segmentMismatch"
    )
    assert facts["value"] == "it's"


def test_who_has_several_values_or_a_rare_one_is_in_no_segment(analyze) -> None:
    rows = log(seed=4)
    twice = [row for row in rows if row[0].endswith("7")]
    rows += [[*row[:5], "FR" if row[5] else "", row[6]] for row in twice]
    rows += [[f"x{i}", "v1", 1, 1.0, 1.0, f"rare {i}", "ios"] for i in range(40)]
    rows += [[*rows[0][:5], "", rows[0][6]]] * 3  # an empty cell is no other value
    found = analyze(rows, *all_of(METRICS[0]), "--segment", "country", "--segment", "user")
    notes = {(n["code"], n["facts"].get("column")): n["facts"] for n in found["noteCodes"]}
    users = {row[0] for row in twice if row[5]}
    assert notes["segmentsSeveral", "country"]["unitsCount"] == len(users)
    known = sum(sum(each["units"]) for each in by_label(found).values())
    rare = notes["segmentsRare", "country"]["unitsCount"]
    assert rare == 40 + 5 - 20  # four countries and FR, which nobody has alone
    assert known + rare + len(users) == len({row[0] for row in rows})
    assert notes["segmentsFew", "user"]["valuesCount"] == 20
    assert not any(each["effects"] for each in by_label(found, "user").values())


def test_people_see_them_wherever_they_look(analyze, capsys, tmp_path) -> None:
    write("log.csv", log(1500))
    given = ["--events", "log.csv", "--variant", "arm", "--unit", "user", "--segment", "country"]
    given += ["--metric", "right: mean(right)"]
    for output in ("table", "wide", "markdown"):
        assert run(["analyze", *given, "-o", output]) == 0
        said = capsys.readouterr().out
        assert "right by segment (decides nothing; P and intervals by Holm)" in said
        assert "country=DE" in said
        assert "as ordered in 3" in said
    assert run(["report", *given, "-o", "page.html"]) == 0, capsys.readouterr().err
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "country=it&#x27;s" in page or "country=it's" in page or "country=it&#39;s" in page
    assert run(["analyze", *given, "--segment", "nope"]) == 2
    assert "--segment 'nope'" in capsys.readouterr().err
