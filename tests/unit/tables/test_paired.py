"""Tables in which both variants answered each request, through the real command line and DuckDB."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from abctl.cli.main import run

pytestmark = pytest.mark.slow

LOG = ["--paired", "--variant", "variant", "--unit", "request_id"]
ACCURACY = ["--metric", "accuracy: mean(correct)"]
COLUMNS = ("request_id", "variant", "prediction", "correct", "error")


def shadow(requests=3000, seed=1):
    """Answers of both variants: class, whether it is right, and an error that both share."""
    rng = np.random.default_rng(seed)
    rows = []
    for request in range(requests):
        label, hard = int(rng.integers(3)), rng.exponential()
        right = [rng.random() < 0.9]
        right.append(rng.random() < 0.3 if not right[0] else rng.random() < 0.99)
        for name, ok in zip(("v1", "v2"), right, strict=True):
            answer = label if ok else (label + 1) % 3
            rows.append((f"r{request}", name, answer, int(ok), hard + 0.1 * rng.random()))
    return rows


def write(rows, columns=COLUMNS):
    with Path("shadow.csv").open("w", newline="", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(columns)
        writer.writerows(rows)
    return "shadow.csv"


@pytest.fixture
def analyze(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*words, code=0):
        events = ["analyze", "--events", "shadow.csv"]
        returned = run([*events, *words, "-o", "json", "--exit-code"])
        out, err = capsys.readouterr()
        assert code is None or returned == code, err
        return json.loads(out) if out else err

    return call


def effect(found, which=0):
    return found["metrics"][which]["comparisons"][0]["effect"]


def codes(found):
    return [each["code"] for each in found["noteCodes"]]


def alone(rows):
    """Requests in which v2 alone was right, and v1 alone."""
    right = np.array([row[3] for row in rows]).reshape(-1, 2)
    return int(np.sum(right[:, 1] > right[:, 0])), int(np.sum(right[:, 0] > right[:, 1]))


def test_squared_errors_of_models_that_mostly_agree_are_those_of_scipy(analyze) -> None:
    """Of 1e8 each, and a hundredth of them differ by about 1: p was 0.9955 in place of 0.35."""
    rng = np.random.default_rng(4)
    a = np.square(rng.normal(0.0, 1e4, 2000))
    b = a + np.where(rng.random(2000) < 0.01, rng.normal(0.3, 1.0, 2000), 0.0)
    rows = [
        (f"r{i}", name, 0, 0, repr(float(value)))
        for i, two in enumerate(zip(a, b, strict=True))
        for name, value in zip(("v1", "v2"), two, strict=True)
    ]
    write(rows)
    found = effect(analyze(*LOG, "--metric", "error: mean(error)", code=None))
    wanted = stats.ttest_1samp(b - a, 0.0)
    assert found["p"] == pytest.approx(wanted.pvalue, rel=1e-3)
    assert found["effect"] == pytest.approx(float((b - a).mean()), rel=1e-3)


def test_shares_of_right_answers_are_compared_by_mcnemar(analyze) -> None:
    write(rows := shadow())
    found = analyze(*LOG, *ACCURACY)
    better, worse = alone(rows)
    assert effect(found)["method"] == "mcnemar"
    assert effect(found)["p"] == pytest.approx(stats.binomtest(better, better + worse).pvalue)
    assert effect(found)["effect"] == pytest.approx((better - worse) / 3000)
    assert found["verdict"]["kind"] == "ship"
    assert "pairsSayNot" in codes(found)
    assert "unitsUnpaired" not in codes(found)


def test_errors_are_compared_by_their_differences(analyze) -> None:
    write(rows := shadow())
    found = analyze(*LOG, "--metric", "error: mean(error)", "--guardrail",
                    "accuracy: share(correct) 1pp", code=None)  # fmt: skip
    errors = np.array([row[4] for row in rows]).reshape(-1, 2)
    wanted = stats.ttest_rel(errors[:, 1], errors[:, 0])
    assert effect(found)["p"] == pytest.approx(wanted.pvalue, rel=1e-6)
    assert effect(found)["interval"] == pytest.approx(tuple(wanted.confidence_interval()), rel=1e-6)
    assert effect(found, 1)["method"] == "paired_proportion"


def test_labels_of_different_answers_alone_tell_the_same_difference(analyze) -> None:
    rows = shadow()
    write(rows)
    wanted = effect(analyze(*LOG, *ACCURACY))
    answers = [row[2] for row in rows]
    differ = [answers[i - i % 2] != answers[i - i % 2 + 1] for i in range(len(rows))]
    few = [(*row[:3], row[3] if d else "", row[4]) for row, d in zip(rows, differ, strict=True)]
    write(few)
    found = analyze(*LOG, *ACCURACY, "--answer", "prediction")
    assert effect(found)["p"] == pytest.approx(wanted["p"])
    assert effect(found)["effect"] == pytest.approx(wanted["effect"])
    assert effect(found)["lift"] is None
    assert "agreementsUnlabelled" in codes(found)
    # A random half of the labels: the same difference, less surely.
    rng = np.random.default_rng(2)
    labelled = {f"r{request}" for request in np.flatnonzero(rng.random(3000) < 0.5)}
    half = [row if row[0] in labelled else (*row[:3], "", row[4]) for row in few]
    write(half)
    thinned = analyze(*LOG, *ACCURACY, "--answer", "prediction", code=0)
    kept = [row for row, d in zip(rows, differ, strict=True) if d and row[0] in labelled]
    (better, worse), share = alone(kept), sum(differ) / len(rows)
    wanted = share * (better - worse) / (len(kept) / 2)
    assert effect(thinned)["effect"] == pytest.approx(wanted, rel=0.01)
    assert "labelsOfSome" in codes(thinned)


def test_what_lacks_a_pair_is_left_out_of_both_and_told(analyze) -> None:
    rows = shadow()
    write([row for row in rows if row[:2] not in (("r1", "v2"), ("r2", "v1"))] + [rows[6]])
    found = analyze(*LOG, *ACCURACY)
    told = next(each for each in found["noteCodes"] if each["code"] == "unitsUnpaired")
    assert told["facts"]["pairsCount"] == 2997
    assert told["facts"]["withoutTreatmentCount"] == 1
    assert told["facts"]["withoutControlCount"] == 1
    assert told["facts"]["repeatedCount"] == 1
    left = [row for row in rows if row[0] not in ("r1", "r2", "r3")]
    better, worse = alone(left)
    assert effect(found)["effect"] == pytest.approx((better - worse) / 2997)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([*LOG[:3], *ACCURACY], "--paired without --unit"),
        ([*LOG, "--metric", "latency: p95(error)"], "pairs have mean and share"),
        ([*LOG, *ACCURACY, "--split", "50/50"], "--paired with --split"),
        ([*LOG[1:], *ACCURACY, "--answer", "prediction"], "--answer works only with --paired"),
        ([*LOG, *ACCURACY, "--answer", "nothing"], "nothing"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_what_pairs_cannot_be_is_one_clear_error(analyze, words, said) -> None:
    write(shadow(5))
    assert said in analyze(*words, code=2)
