"""Markdown and CSV say what the screen and the JSON say, and foreign text stays text."""

import csv
import io
import json
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from abctl.analysis.judge import judge
from abctl.cli.main import run
from abctl.core.analysis import Analysis
from abctl.core.look import USUAL_LOOKS
from abctl.evidence import saved
from abctl.forms.document import document
from abctl.report.effects import effect_rows
from abctl.report.markdown import markdown
from abctl.report.rows import HEAD, path_rows

SAVED = Path(__file__).parents[2] / "golden" / "saved_evidence.json.gz"


@pytest.fixture(scope="module")
def found() -> Analysis:
    return judge(saved.load(SAVED), looks=USUAL_LOOKS)


@pytest.mark.slow
def test_markdown_has_verdict_reasons_and_every_row(found: Analysis) -> None:
    lines = markdown(found, "abctl analyze iris.yaml").splitlines()
    assert lines[0].startswith("### ")
    assert "CONTINUE" in lines[0]
    text = unescape("\n".join(lines))
    for reason in (*found.verdict.reasons, *found.notes):
        assert reason.text in text
    assert "**Next:** abctl analyze iris.yaml" in text
    for row in effect_rows(found, wide=False):
        (line,) = [each for each in lines if each.startswith(f"| {row.cells['METRIC']} | ")]
        assert [unescape(cell) for cell in line.strip("| ").split(" | ")[:-1]] == [
            *row.cells.values()
        ]


@pytest.mark.parametrize(
    "evil",
    [
        "a|b",
        "</details><img src=x onerror=alert(1)>",
        "@team #1 [x](http://y)",
        "`a` *b* _c_ \\",
        "a\nb",
    ],
)
def test_foreign_text_is_no_markdown(evil: str, found: Analysis) -> None:
    metrics = tuple(replace(each, name=f"{i}{evil}") for i, each in enumerate(found.metrics))
    variants = tuple(
        replace(each, values={m.name: 1.0 for m in metrics}) for each in found.variants
    )
    told = markdown(replace(found, metrics=metrics, variants=variants, experiment=evil))
    plain = markdown(found)
    for sign in "<>|`#@[]*_\\":
        assert told.count(sign) - plain.count(sign) in (0, told.count("&#") - plain.count("&#"))
    assert len(told.splitlines()) == len(plain.splitlines())
    assert evil.replace("\n", "\\n") in unescape(told)


def test_each_look_has_a_row_with_the_numbers_of_the_json(found: Analysis) -> None:
    rows = [*csv.DictReader(io.StringIO(path_rows(found)))]
    assert tuple(rows[0]) == HEAD
    looks: list[dict[str, Any]] = [
        {"metric": metric["name"], "treatment": comparison["treatment"], **look}
        for metric in json.loads(json.dumps(document(found)))["metrics"]
        for comparison in metric["comparisons"]
        for look in comparison["path"]
    ]
    assert len(rows) == len(looks)
    for row, look in zip(rows, looks, strict=True):
        numbers = (look["effect"], *look["interval"], look["p"], look["n"])
        told = [row[name] for name in ("effect", "lower", "upper", "p", "n")]
        assert [float(each) if each else None for each in told] == list(numbers)
        assert [row[name] for name in ("metric", "treatment", "at")] == [
            look[name] for name in ("metric", "treatment", "at")
        ]


def test_no_name_is_a_formula(found: Analysis) -> None:
    metrics = tuple(replace(each, name="=HYPERLINK(1)") for each in found.metrics)
    rows = [*csv.reader(io.StringIO(path_rows(replace(found, metrics=metrics))))]
    assert {row[0] for row in rows[1:]} == {"'=HYPERLINK(1)"}


def test_without_a_path_there_is_the_one_look(found: Analysis) -> None:
    metrics = tuple(
        replace(m, comparisons=tuple(replace(c, path=None) for c in m.comparisons))
        for m in found.metrics
    )
    rows = [*csv.reader(io.StringIO(path_rows(replace(found, metrics=metrics))))]
    assert len(rows) == 1 + len(found.metrics)


@pytest.mark.slow
def test_the_command_line_has_both(capsys: pytest.CaptureFixture[str], found: Analysis) -> None:
    assert run(["analyze", "--from", str(SAVED), "-o", "csv"]) == 0
    assert capsys.readouterr().out == path_rows(found)
    assert run(["analyze", "--from", str(SAVED), "-o", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("### ")
    assert run(["analyze", "--from", str(SAVED), "-o", "markdown", "--path"]) == 2
