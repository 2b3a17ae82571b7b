"""The JSON Schema of an analysis says what `-o json` prints, and the shipped one is current."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from abctl.cli.main import run
from abctl.core.look import USUAL_LOOKS
from abctl.forms import document

GOLDEN = Path(__file__).parents[2] / "golden"
SCHEMA: dict[str, Any] = json.loads(document.schema())
SAVED = [GOLDEN / "saved_evidence.json.gz", GOLDEN / "forms_2026_11/saved_evidence.json.gz"]
Screen = pytest.CaptureFixture[str]


def errors(analysis: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [error.json_path for error in validator.iter_errors(analysis)]


def test_the_shipped_schema_is_the_current_one() -> None:
    shipped = document.SHIPPED.read_text(encoding="utf-8")
    assert shipped == document.schema(), "run: abctl schema analysis > abctl/analysis.schema.json"


def test_the_command_prints_it(capsys: Screen) -> None:
    assert run(["schema", "analysis"]) == 0
    assert capsys.readouterr() == (document.schema(), "")


def test_it_is_a_schema_with_every_key_described() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for name, part in SCHEMA["$defs"].items():
        assert part["description"], name
        for key, value in part["properties"].items():
            assert value["description"], f"{name}.{key}"


@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.parent.name)
def test_an_analysis_fits(path: Path, capsys: Screen) -> None:
    assert run(["analyze", "--from", str(path), "-o", "json"]) == 0
    analysis = json.loads(capsys.readouterr().out)
    assert errors(analysis) == []
    # What is not said of a field is not printed either.
    for key in analysis:
        assert key in SCHEMA["$defs"]["Analysis"]["properties"]


@pytest.mark.slow
@pytest.mark.parametrize("path", SAVED, ids=lambda path: path.parent.name)
def test_a_comparison_has_its_standard_error_and_on_request_its_path(
    path: Path, capsys: Screen
) -> None:
    assert run(["analyze", "--from", str(path), "-o", "json", "--path"]) == 0
    analysis = json.loads(capsys.readouterr().out)
    assert errors(analysis) == []
    told = [each for metric in analysis["metrics"] for each in metric["comparisons"]]
    told = [each for each in told if "effect" in each["effect"]]
    assert [each for each in told if each["effect"]["se"]]
    for comparison in told:
        effect, points = comparison["effect"], comparison["path"]
        if effect["se"]:
            ratio = effect["effect"] / effect["se"]
            assert effect["statistic"] == pytest.approx(ratio, rel=1e-6)
        last = points[-1]
        assert (last["effect"], last["interval"]) == (effect["effect"], effect["interval"])
        assert (last["p"], last["n"]) == (effect["p"], sum(effect["n"]))
        times = [point["at"] for point in points]
        assert analysis["epochs"][0]["start"] < times[0]
        assert times == sorted(set(times))
        assert times[-1] <= analysis["at"]
        sizes = [point["n"] for point in points]
        assert 1 < len(sizes) <= USUAL_LOOKS
        assert sizes == sorted(sizes)


def test_without_the_request_there_is_no_path_and_people_are_told_how_to_ask(
    capsys: Screen,
) -> None:
    assert run(["analyze", "--from", str(SAVED[0]), "-o", "json"]) == 0
    analysis = json.loads(capsys.readouterr().out)
    assert {c["path"] for m in analysis["metrics"] for c in m["comparisons"]} == {None}
    assert run(["analyze", "--from", str(SAVED[0]), "--path"]) == 2
    assert "--path -o json" in capsys.readouterr().err


def test_every_golden_analysis_fits() -> None:
    assert errors(json.loads((GOLDEN / "analysis_json.txt").read_text())) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"verdict": {"kind": "ship"}}, "$.verdict"),
        ({"alpha": "0.05"}, "$.alpha"),
        ({"apiVersion": "abctl.dev/v2"}, "$.apiVersion"),
        ({"epochs": [{}]}, "$.epochs[0]"),
        ({"unit": "person"}, "$.unit"),
    ],
)
def test_what_is_none_does_not_fit(change: dict[str, Any], place: str, capsys: Screen) -> None:
    assert run(["analyze", "--from", str(SAVED[0]), "-o", "json"]) == 0
    analysis = json.loads(capsys.readouterr().out)
    assert set(errors(analysis | change)) == {place}


def test_either_an_estimate_or_why_there_is_none(capsys: Screen) -> None:
    assert run(["analyze", "--from", str(SAVED[0]), "-o", "json"]) == 0
    analysis = json.loads(capsys.readouterr().out)
    effect = analysis["metrics"][0]["comparisons"][0]["effect"]
    effect["reason"] = "both"
    assert errors(analysis) == ["$.metrics[0].comparisons[0].effect"]


def test_old_names_stay_beside_the_new_ones(capsys: Screen) -> None:
    assert run(["analyze", "--from", str(SAVED[0]), "-o", "json"]) == 0
    for variant in json.loads(capsys.readouterr().out)["variants"]:
        assert variant["unassignedRequests"] == variant["outside"]
        for new, old in (
            ("excludedRequests", "leftOut"),
            ("requestsBeforeFirstScrape", "unseen"),
            ("unexplainedResets", "falls"),
            ("lostTargets", "gone"),
            ("ambiguousRatio", "doubtfulRatio"),
        ):
            assert variant["coverage"][new] == variant["coverage"][old]
