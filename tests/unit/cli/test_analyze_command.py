"""`abctl analyze` through the real command line, on pages that were scraped before."""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from own_ports import free_ports
from pages import parsed, require_sound, said, values

from abctl.cli.main import run

METRICS = """\
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 5pp}
    - {name: errors, role: guardrail, kind: proportion, of: errors,
       direction: decrease, margin: 5pp}
  design: {minDuration: 1m, maxDuration: 1d, settle: 1s}
"""
SECONDS = 120
SILENT = ["--state", "state"]


@pytest.fixture(autouse=True)
def _started(start_experiment: Callable[..., None]) -> None:
    """An experiment that was started two minutes ago."""
    start_experiment(METRICS, time.time() - SECONDS)


def pages(
    right: float, *, wrong_split: bool = False, failing: float = 0.01, rate: float = 15.0
) -> None:
    """Two minutes of pages; `right` is the accuracy of the treatment, that of the control 0.7."""
    rng = np.random.default_rng(7)
    totals: dict[str, int] = {}
    with Path("pages.jsonl").open("w") as file:
        for at in np.arange(time.time() - SECONDS - 5, time.time()):
            for variant, accuracy in (("control", 0.7), ("treatment", right)):
                lines = []
                for bucket in range(16):
                    n = int(
                        rng.poisson(rate / 3 if variant == "treatment" and wrong_split else rate)
                    )
                    failed = int(rng.binomial(n, failing if variant == "treatment" else 0.01))
                    hits = int(rng.binomial(n, accuracy))
                    mine = f'variant="{variant}",bucket="{bucket}"'
                    outcome = f'{mine},outcome="accuracy"'
                    for name, add in {
                        f'ab_requests_total{{{mine},code="2xx"}}': n - failed,
                        f'ab_requests_total{{{mine},code="5xx"}}': failed,
                        f"ab_outcome_count_total{{{outcome}}}": n,
                        f'ab_outcome_sum_total{{{outcome},sign="positive"}}': hits,
                    }.items():
                        totals[name] = totals.get(name, 0) + add
                        lines.append(f"{name} {totals[name]}")
                target = {"job": "scrape", "instance": variant}
                file.write(json.dumps({"at": at, **target, "samples": lines}) + "\n")


def analyze(*options: str) -> int:
    return run(["analyze", "iris.yaml", *SILENT, *options])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "kind", "code", "says"),
    [
        ({"right": 0.8}, "SHIP treatment", 0, "primary accuracy of treatment is better"),
        ({"right": 0.7}, "CONTINUE", 10, "not proven better yet"),
        ({"right": 0.8, "failing": 0.2}, "STOP treatment", 11, "guardrail errors of treatment is"),
        ({"right": 0.8, "wrong_split": True}, "INVALID", 12, "does not follow the split"),
    ],
)
def test_the_exit_code_is_the_verdict_if_that_is_asked_for(
    made: dict[str, Any], kind: str, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pages(**made)
    assert analyze("--exit-code") == code
    out, err = capsys.readouterr()
    assert f"\n{kind}\n" in out
    assert says in out
    assert err.startswith("hint: ")
    assert analyze() == 0
    assert analyze("--fail-on", "stop, invalid") == (code if code in (11, 12) else 0)


def test_a_verdict_that_there_is_not_is_refused_before_anything_is_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert analyze("--fail-on", "stop,sink") == 2
    assert (
        "--fail-on sink, must be some of ship, continue, stop, invalid" in capsys.readouterr().err
    )


@pytest.mark.slow
def test_machines_get_a_versioned_document_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pages(0.8)
    assert analyze("-o", "json") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["apiVersion"], found["kind"], err) == ("abctl.dev/v1", "Analysis", "")
    assert found["verdict"]["kind"] == "ship"
    effect = found["metrics"][0]["comparisons"][0]["effect"]
    assert effect["interval"][0] < effect["effect"] < effect["interval"][1]
    selectors = found["metrics"][0]["selectors"]["treatment"]
    assert selectors["n"].startswith('ab_outcome_count_total{variant="treatment"')
    assert analyze("-o", "yaml") == 0
    assert yaml.safe_load(capsys.readouterr().out).keys() == found.keys()


def test_too_few_samples_are_an_honest_continue(capsys: pytest.CaptureFixture[str]) -> None:
    pages(0.8, rate=0.002)
    assert analyze("--exit-code") == 10
    assert "primary accuracy of treatment: not proven better yet: " in capsys.readouterr().out


def test_pages_with_holes_are_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    pages(0.8)
    whole = Path("pages.jsonl").read_text().splitlines(keepends=True)
    Path("pages.jsonl").write_text("".join(whole[:60] + whole[-60:]))
    assert analyze("--exit-code") == 12
    assert "of the time, must be 90%" in capsys.readouterr().out


@pytest.mark.slow
def test_a_plan_that_changed_is_invalid(capsys: pytest.CaptureFixture[str]) -> None:
    pages(0.8)
    text = Path("iris.yaml").read_text()
    Path("iris.yaml").write_text(text.replace("mde: 5pp", "mde: 1pp"))
    assert analyze("--exit-code") == 12
    assert "metrics: differ from the plan that was locked" in capsys.readouterr().out


@pytest.mark.slow
def test_a_watch_ends_with_a_verdict_and_survives_a_source_that_is_away(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages(0.7)
    waits: list[float] = []

    def meanwhile(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 1:
            Path("pages.jsonl").rename("away.jsonl")
        else:
            pages(0.8)

    monkeypatch.setattr("abctl.cli._watch.time.sleep", meanwhile)
    assert analyze("--watch", "--interval", "5s", "--exit-code") == 0
    out, err = capsys.readouterr()
    assert waits == [5, 5]
    assert (out.count("\nCONTINUE\n"), out.count("\nSHIP treatment\n")) == (1, 1)
    assert "pages.jsonl: no page was scraped yet; looking again every 5s\n" in err
    assert analyze("--watch", "--interval", "0s") == 2


def test_a_watch_ends_with_what_no_time_will_heal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages(0.7)
    monkeypatch.setattr(
        "abctl.cli._watch.time.sleep", lambda _: Path("pages.jsonl").write_text("x\n")
    )
    assert analyze("--watch", "--exit-code") == 6
    assert "pages.jsonl" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("output", "answers"), [("table", 2), ("json", 4)])
def test_a_watch_answers_people_when_there_is_news_and_machines_each_time(
    output: str, answers: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages(0.7)
    waits: list[float] = []

    def meanwhile(seconds: float) -> None:
        waits.append(seconds)
        pages(0.7 if len(waits) < 3 else 0.8, rate=15.0 + len(waits))

    monkeypatch.setattr("abctl.cli._watch.time.sleep", meanwhile)
    assert analyze("--watch", "--interval", "5s", "-o", output) == 0
    out = capsys.readouterr().out
    said = "\nCONTINUE\n" if output == "table" else '"kind": "continue"'
    assert out.count("iris: by user, " if output == "table" else '"kind": "Analysis"') == answers
    assert said in out
    assert len(waits) == 3


@pytest.mark.slow
def test_on_a_terminal_a_watch_shows_what_matters_first_and_in_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages(0.7)
    for name, value in {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr("abctl.cli._watch.time.sleep", lambda _: pages(0.8))
    assert analyze("--watch", "--interval", "5s") == 0
    enter, leave, home = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"
    shown, _, left = capsys.readouterr().out.partition(enter)[2].partition(leave)
    plain = [re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", frame) for frame in shown.split(home)[1:]]
    first, last = (frame for frame in plain if frame.strip())
    for frame, verdict in ((first, "CONTINUE"), (last, "SHIP treatment")):
        lines = [line.strip() for line in frame.splitlines()]
        assert lines[2] == verdict
        assert sum(line.startswith(("accuracy ", "errors ")) for line in lines) == 2
        assert len(lines) <= 24
    assert left.count("iris: by user, ") == 1
    assert "\nSHIP treatment\n" in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", left)


def test_what_cannot_be_read_is_one_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    for options, code, message in [
        ((), 6, "error: pages.jsonl: no page was scraped yet\n"),
        (("--prometheus", url), 6, f"error: nothing answers at {url}\n"),
        (("--prometheus", "prometheus:9090"), 6, "is not the address of a Prometheus\n"),
        (("--state", "elsewhere"), 5, "error: experiment iris was not started"),
    ]:
        assert run(["analyze", "iris.yaml", *SILENT, *options]) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert "hint: " in err


def test_pages_without_a_counter_of_ours_are_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    page = {"at": time.time(), "job": "a", "instance": "b", "samples": ["up 1"]}
    Path("pages.jsonl").write_text(json.dumps(page) + "\n")
    assert analyze("--exit-code") == 6
    assert "has no sample of ab_requests_total" in capsys.readouterr().err
    Path("pages.jsonl").write_text("[]\n")
    assert analyze() == 6
    assert "pages.jsonl" in capsys.readouterr().err


@pytest.mark.slow
def test_a_plan_takes_traffic_and_baseline_from_what_runs(capsys: pytest.CaptureFixture) -> None:
    pages(0.7)
    capsys.readouterr()
    assert run(["plan", "iris.yaml", "--live", *SILENT, "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    requests_a_second = 15 * 16 * 2
    assert found["unitsPerDay"] == pytest.approx(86_400 * requests_a_second, rel=0.1)
    assert found["baseline"] == pytest.approx(0.7, abs=0.02)
    assert found["days"] == pytest.approx(found["total"] / found["unitsPerDay"])
    assert run(["plan", "iris.yaml", "--live", *SILENT, "--baseline", "60%", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == 0.6


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--live", "--baseline", "5%", "--mde", "2pp"], "--live"), (["--mde", "2pp"], "baseline")],
)
def test_a_plan_without_its_numbers_is_refused(
    options: list[str], says: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(["plan", *options]) == 2
    assert says in capsys.readouterr().err


@pytest.mark.slow
def test_a_running_experiment_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    pages(0.8)
    assert run(["report", "iris.yaml", *SILENT, "-o", "-"]) == 0
    page = parsed(capsys.readouterr().out)
    require_sound(page)
    (analysis, ledger) = (values(page)[name] for name in ("analysis", "ledger"))
    assert analysis["verdict"]["kind"] == "ship"
    assert [each["why"] for each in ledger] == ["start"]
    assert "abctl promote iris.yaml treatment" in said(page)
    requests = [variant["requests"] for variant in analysis["variants"]]
    counted = [each["requests"] for each in values(page)["traffic"]]
    assert [sum(each) for each in zip(*counted, strict=True)] == requests
