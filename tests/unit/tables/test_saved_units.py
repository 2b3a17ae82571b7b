"""What tables say is saved and judged elsewhere, to the same numbers: alone, and with counters."""

import gzip
import json
import os
from pathlib import Path

import pytest
from unit_tables import REVENUE, experiment_file, ledger, shop

from abctl.analysis.judge_units import OfUnits, judge_units
from abctl.analysis.meaning import meaning
from abctl.cli.main import run
from abctl.core.assignment import by_salted_hash
from abctl.forms import DamagedError
from abctl.forms.document import document
from abctl.forms.plan import locked_plan
from abctl.session import saved
from abctl.session.analyze import analyze_saved
from abctl.sources import file
from abctl.spec import parse
from abctl.tables.gather import gather
from abctl.tables.saved import evidence_of

GOLDEN = Path(__file__).parents[2] / "golden/forms_2026_12"
METRICS = (
    REVENUE.replace("window: 7d", "window: 7d, before: 7d, cap: 95%"),
    "{name: order, role: secondary, kind: mean, of: purchase, per: outcome, window: 3d, direction: increase}",  # noqa: E501
)
SHIFTS = ((0, 10), (6, 50))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    return tmp_path


def units(folder, days=20):
    shop(500, SHIFTS, days=12, visits=4, seed=5).write(folder)
    experiment = parse(experiment_file(*METRICS, more="      late: 12h"), "shop.yaml")
    of_ledger = ledger(*SHIFTS, plan=locked_plan(experiment, meaning(experiment)))
    now = of_ledger.began + days * 86_400.0
    return OfUnits(experiment, gather(experiment, of_ledger, now, by_salted_hash), of_ledger)


@pytest.mark.slow
def test_saved_tables_are_judged_to_the_same_numbers(here) -> None:
    given, path = units(here), here / "found.json.gz"
    saved.save(path, None, given)
    again = analyze_saved(path)
    assert document(again) == document(judge_units(given, given.evidence.asked.until))
    assert "unitsMoved" in [note.code for note in again.notes]
    saved.save(here / "twice.json.gz", None, saved.load(path)[1])
    assert (here / "twice.json.gz").read_bytes() == path.read_bytes()
    plain = gzip.decompress(path.read_bytes()).decode()
    assert json.loads(plain)["format"] == 2  # one that knows no tables must not judge without them
    assert str(here) not in plain


@pytest.mark.slow
def test_the_command_saves_and_reads(here, capsys) -> None:
    shop(300).write(here)
    text = experiment_file(*METRICS, more="      engine: duckdb")
    (here / "shop.yaml").write_text(text, encoding="utf-8")
    assert run(["analyze", "shop.yaml", "-o", "json", "--save", "found.json.gz"]) == 0
    now = json.loads(capsys.readouterr().out)
    (here / "exposures.csv").unlink()
    assert run(["analyze", "--from", "found.json.gz", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == now


@pytest.mark.slow
def test_what_is_damaged_is_told(here) -> None:
    saved.save(here / "found.json.gz", None, units(here))
    read, arrays = file.load(here / "found.json.gz")
    cells = read["units"]["cells"]
    for damaged in (
        {"cells": {**cells, "day": [*cells["day"], 0]}},
        {"cells": {**cells, "sums": cells["sums"][:1]}},
        {"cells": {**cells, "by_bucket": []}},
        {"experiment": None},
        {"first": "yesterday"},
    ):
        with pytest.raises(DamagedError):
            evidence_of({**read["units"], **damaged}, arrays)


def test_what_was_saved_before_says_what_it_said(here) -> None:
    path = GOLDEN / "saved_units.json.gz"
    if os.environ.get("ABCTL_GOLDEN") == "new":
        GOLDEN.mkdir(exist_ok=True)
        saved.save(path, None, units(here))
    found = analyze_saved(path)
    revenue, order = (metric.comparisons[0].effect for metric in found.metrics)
    assert (revenue.n, order.n) == ((242.0, 101.0), (70.0, 25.0))
    assert (found.verdict.kind, revenue.method, order.method) == (
        "continue", "cuped_horizon", "ratio_sequence",
    )  # fmt: skip
    assert revenue.effect == pytest.approx(1.827052613941956, rel=1e-6)
