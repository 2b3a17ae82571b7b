"""`import abctl`: its names, what they give, and that nobody pays for them who does not ask."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints
from xml.etree.ElementTree import Element

import html5lib
import pytest

import abctl
from abctl.cli.main import run
from abctl.core.experiment import Source
from abctl.evidence import saved

SAVED = Path(__file__).parents[1] / "golden" / "saved_evidence.json.gz"
EXPERIMENT = Path(__file__).parents[1] / "golden" / "experiment.yaml"


@pytest.fixture(scope="module")
def found() -> abctl.Findings:
    return abctl.judge(SAVED)


def part(text: str) -> Element:
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    found: Element = parser.parseFragment(text)
    for each in found.iter():
        each.tag = str(each.tag).rpartition("}")[2]
    return found


def test_every_public_name_is_there_and_documented() -> None:
    assert sorted(abctl.__all__) == abctl.__all__
    for name in set(abctl.__all__) - {"__version__"}:
        assert getattr(abctl, name).__doc__, name
    for name in ("load", "analyze", "judge", "plan"):
        assert "return" in get_type_hints(getattr(abctl, name))
    with pytest.raises(AttributeError, match="no attribute 'judgement'"):
        _ = abctl.judgement


@pytest.mark.process
def test_the_import_loads_nothing_that_is_not_asked_for() -> None:
    said = "import sys, abctl; print(sorted(n for n in sys.modules if n.startswith('abctl')))"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['abctl', 'abctl.version']"


@pytest.mark.slow
def test_saved_evidence_says_what_the_command_says(
    found: abctl.Findings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", "--from", str(SAVED), "-o", "json", "--path"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    mine = json.loads(json.dumps(found.to_dict()))
    assert mine["verdict"] == told["verdict"]
    assert mine.keys() == told.keys()
    assert run(["analyze", "--from", str(SAVED)]) == 0
    assert str(found) == capsys.readouterr().out.rstrip("\n")
    assert found.verdict.kind == "continue"
    assert "CONTINUE" in repr(found)


def test_a_notebook_shows_verdict_and_pictures_and_keeps_its_style_to_itself(
    found: abctl.Findings,
) -> None:
    text = found._repr_html_()
    root = part(text)
    assert len([*root.iter("svg")]) == len(found.analysis.metrics)
    (style,) = root.iter("style")
    rules = "".join(style.itertext()).strip()
    assert rules.startswith(".abctl {")
    assert rules.count("{") == rules.count("}")
    depth = 0
    for i, each in enumerate(rules):
        depth += (each == "{") - (each == "}")
        assert depth > 0 or i in (*range(len(".abctl ")), len(rules) - 1)
    assert not [*root.iter("script")]
    names = [each.get("id") for each in root.iter() if each.get("id")]
    other = abctl.Findings(found.analysis, found.history)._repr_html_()
    assert len(names) == len(set(names)) > 0
    assert names == [each.get("id") for each in part(other).iter() if each.get("id")]
    assert found.to_html().startswith("<!doctype html>")


def test_frames_have_a_row_for_each_effect_and_each_look(found: abctl.Findings) -> None:
    effects = found.to_frame(library="dict")
    pairs = [(m.name, c.treatment) for m in found.analysis.metrics for c in m.comparisons]
    assert list(zip(effects["metric"], effects["treatment"], strict=True)) == pairs
    assert {len(each) for each in effects.values()} == {len(pairs)}
    looks = found.to_frame("looks", library="dict")
    assert len(looks["at"]) > len(pairs)
    for library in ("pandas", "polars"):
        pytest.importorskip(library)
        assert list(found.to_frame(library=library)["metric"]) == effects["metric"]


def test_what_is_not_installed_is_a_clear_error(
    found: abctl.Findings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(abctl.AbctlError, match="pandas is not installed") as told:
        found.to_frame()
    assert "dict" in told.value.hint


def test_a_plan_says_what_the_command_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--baseline", "5%", "--mde", "2pp", "--traffic", "1000/day"]) == 0
    words = capsys.readouterr().out.split()
    sizes = abctl.plan(baseline="5%", mde="2pp", traffic="1000/day")
    assert str(sizes).split() == words
    assert run(["plan", str(EXPERIMENT), "--baseline", "91%", "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert json.loads(json.dumps(abctl.plan(EXPERIMENT, baseline="91%").to_dict())) == told
    assert abctl.plan(abctl.load(EXPERIMENT), baseline="91%").to_dict() == told
    assert len([*part(sizes._repr_html_()).iter("table")]) == 2
    assert sizes.to_frame(library="dict")["total"][2] == sizes.answer.row.total


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ({"baseline": "5%"}, "hint: add mde 2pp (percentage points) or mde 2% (relative)"),
        ({"baseline": "5%", "mde": "2pp", "kind": "odd"}, "proportion, mean"),
        ({"base": "5%"}, "must be one of alpha, answers_differ, baseline"),
    ],
)
def test_an_error_has_its_hint_in_words_of_a_notebook(asked: Any, hint: str) -> None:
    with pytest.raises(abctl.AbctlError) as told:
        abctl.plan(**asked)
    (note,) = told.value.__notes__
    assert hint in note


def test_a_command_in_a_hint_can_be_copied() -> None:
    with pytest.raises(abctl.AbctlError) as told:
        abctl.judge("none.json.gz")
    (note,) = told.value.__notes__
    assert note == "hint: to write one: abctl analyze EXPERIMENT --save FILE"


@pytest.mark.slow
def test_an_experiment_is_analyzed_in_its_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = Source("file", {"path": str(SAVED)})
    experiment = replace(saved.load(SAVED).experiment, source=source)
    found = abctl.analyze(experiment, state="here")
    assert found.verdict.kind == "continue"
    assert found.to_frame("looks", library="dict")["n"]
    Path("iris.yaml").write_text(EXPERIMENT.read_text())
    with pytest.raises(abctl.AbctlError, match="was not started") as told:
        abctl.analyze("iris.yaml", state="here")
    assert told.value.exit_code == 5
