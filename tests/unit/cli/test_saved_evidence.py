"""`abctl analyze --save` and `--from`: the same answer, number for number, from the file alone."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from abctl.cli.main import run
from abctl.core.ledger import Entry
from abctl.core.split import Split

METRICS = """\
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 5pp}
    - {name: errors, role: guardrail, kind: rate, of: errors, direction: decrease, margin: 50%}
    - {name: revenue, role: secondary, kind: mean, of: revenue, direction: increase, mde: 5%}
    - {name: latency, role: guardrail, kind: quantile, quantile: 0.7, of: latency,
       direction: decrease, margin: 20%}
    - {name: own, role: secondary, kind: proportion, of: answers, direction: increase,
       selectors: {n: 'ab_requests_total{variant="$variant",bucket!="none"}',
                   successes: 'ab_requests_total{variant="$variant",bucket!="none",code="2xx"}'}}
  design: {minDuration: 1m, maxDuration: 1d, settle: 1s}
"""
SECONDS = 90
CHANGE = 40
SAVED = "evidence.json.gz"


@pytest.fixture(params=["user", "request"])
def _world(request: Any, start_experiment: Callable[..., None]) -> None:
    """An experiment with a shift in it, a restart, and a server that comes later."""
    units = {"user": (), "request": (("unit: user, key: x-user-id", "unit: request"),)}
    now = time.time()
    before, after = (Split(("control", "treatment"), bp) for bp in ((5_000, 5_000), (8_000, 2_000)))
    shift = Entry(now - CHANGE, "you", before, after, "ö: why not?", "applied")
    start_experiment(METRICS, now - SECONDS, shift, edits=units[request.param])
    with Path("pages.jsonl").open("w") as file:
        file.writelines(_pages(now))


def _pages(now: float) -> Iterator[str]:
    rng = np.random.default_rng(3)
    totals: dict[str, float] = {}
    times = np.arange(now - SECONDS - 5, now)
    for at in times:
        for target, variant in (("c", "control"), ("t", "treatment"), ("t2", "treatment")):
            if target == "t2" and at < now - 60:
                continue
            if target == "c" and now - 20.5 < at < now - 19.5:
                totals = {k: 0.0 for k in totals if k.startswith("c ")} | {
                    k: v for k, v in totals.items() if not k.startswith("c ")
                }
            share = (0.5 if at < now - CHANGE else 0.8) if variant == "control" else None
            rate = 20 * (share or (0.25 if at < now - 60 else 0.125))
            add: dict[str, float] = {}
            for bucket in range(16):
                n = int(rng.poisson(rate))
                mine = f'variant="{variant}",bucket="{bucket}"'
                bad, hits, paid = rng.binomial(n, 0.02), rng.binomial(n, 0.8), rng.random(n)
                add[f'ab_requests_total{{{mine},code="2xx"}}'] = n - bad
                add[f'ab_requests_total{{{mine},code="5xx"}}'] = bad
                add[f'ab_outcome_count_total{{{mine},outcome="accuracy"}}'] = n
                add[f'ab_outcome_sum_total{{{mine},outcome="accuracy",sign="positive"}}'] = hits
                add[f'ab_outcome_count_total{{{mine},outcome="revenue"}}'] = n
                for sign in ("positive", "negative"):
                    name = f'ab_outcome_sum_total{{{mine},outcome="revenue",sign="{sign}"}}'
                    add[name] = paid.sum() if sign == "positive" else 0.1 * n
                add[f'ab_outcome_sumsq_total{{{mine},outcome="revenue"}}'] = (paid**2).sum() + n
            whole = int(rng.poisson(rate * 16))
            for le, share_of in (("0.001", 0.5), ("0.01", 0.9), ("+Inf", 1.0)):
                name = f'ab_request_duration_seconds_bucket{{variant="{variant}",le="{le}"}}'
                add[name] = int(whole * share_of)
            for name, more in add.items():
                totals[f"{target} {name}"] = totals.get(f"{target} {name}", 0.0) + float(more)
            lines = [
                f"{key.partition(' ')[2]} {value}"
                for key, value in totals.items()
                if key.startswith(f"{target} ")
            ]
            page = {"at": at, "job": "scrape", "instance": target, "samples": lines}
            yield json.dumps(page) + "\n"


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["analyze", *arguments, "-o", "json"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
@pytest.mark.usefixtures("_world")
def test_saved_evidence_gives_the_same_answer_number_for_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = answer(capsys, "iris.yaml", "--state", "state", "--save", SAVED)
    assert len(first["epochs"]) == 2
    assert first["variants"][0]["coverage"]["restarts"] == 1
    assert not [e for m in first["metrics"] if "reason" in (e := m["comparisons"][0]["effect"])]
    data = Path(SAVED).read_bytes()

    # Nothing is left but the file, on another machine.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / SAVED).write_bytes(data)
    Path("pages.jsonl").unlink()
    Path("iris.yaml").rename(elsewhere / "file.yaml")
    monkeypatch.chdir(elsewhere)
    assert answer(capsys, "--from", SAVED) == first

    # The same as the source of an experiment; what is saved of it is the same file.
    document = yaml.safe_load(Path("file.yaml").read_text())
    document["spec"]["source"] = {"file": {"path": SAVED}}
    Path("file.yaml").write_text(yaml.safe_dump(document))
    again = answer(capsys, "file.yaml", "--state", "nowhere", "--save", "again.json.gz")
    assert again == first
    assert Path("again.json.gz").read_bytes() == data


@pytest.mark.slow
@pytest.mark.usefixtures("_world")
def test_another_plan_than_the_saved_one_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "iris.yaml", "--state", "state", "--save", SAVED]) == 0
    capsys.readouterr()
    text = (
        Path("iris.yaml")
        .read_text()
        .replace("scrape: {file: pages.jsonl", f"file: {{path: {SAVED}")
    )
    for change, code, message in (
        (("mde: 5pp", "mde: 1pp"), 12, "metrics: differ from the plan"),
        (("of: revenue", "of: clicks"), 6, 'was not asked for ab_outcome_count_total{variant="'),
        (("name: treatment", "name: other"), 6, "asked for control, treatment, the experiment has"),
    ):
        Path("iris.yaml").write_text(text.replace(*change))
        assert run(["analyze", "iris.yaml", "--state", "state", "--exit-code"]) == code
        assert message in "".join(capsys.readouterr())


def test_evidence_comes_from_one_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for options, code, message in (
        ((), 2, "give either an experiment file or --from FILE"),
        (("iris.yaml", "--from", SAVED), 2, "give either an experiment file or --from FILE"),
        (("--from", SAVED, "--save", "x"), 2, "--from cannot be combined with --save"),
        (("--from", SAVED, "--watch"), 2, "--from cannot be combined with --save"),
        (("--from", SAVED), 6, f"{SAVED}: no such file"),
    ):
        assert run(["analyze", *options]) == code
        out, err = capsys.readouterr()
        assert (out, err.startswith("error: ")) == ("", True)
        assert message in err
