"""`abctl why` says of a decision what `abctl analyze` says, with codes and facts."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from abctl.cli.main import run
from abctl.core.reasons import WORDS, camel, facts_of

FORMS = Path(__file__).parents[2] / "golden" / "forms_2026_11"
SAVED = [
    str(Path(__file__).parents[2] / "golden" / "saved_evidence.json.gz"),
    str(FORMS / "saved_evidence.json.gz"),
]
READERS = {"json": json.loads, "yaml": yaml.safe_load}


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run([*words]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("saved", SAVED)
@pytest.mark.parametrize("output", READERS)
def test_machines_have_of_a_decision_what_analyze_has(
    saved: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    why, analysis = (
        READERS[output](asked(capsys, command, "--from", saved, "-o", output))
        for command in ("why", "analyze")
    )
    assert why.pop("kind") == "Decision"
    assert why.items() <= analysis.items()
    assert {"verdict", "notes", "noteCodes"} <= why.keys()


@pytest.mark.parametrize("saved", SAVED)
def test_every_text_has_its_code_and_all_facts_of_it(
    saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    why = json.loads(asked(capsys, "why", "--from", saved, "-o", "json"))
    verdicts: list[dict[str, Any]] = [why["verdict"], *why["verdict"]["treatments"]]
    pairs = [(why["notes"], why["noteCodes"])]
    pairs += [(each["reasons"], each["reasonCodes"]) for each in verdicts]
    assert all(each["reasons"] for each in verdicts)
    for texts, coded in pairs:
        assert len(texts) == len(coded)
        for each in coded:
            assert each["code"] in WORDS
            assert set(each["facts"]) == set(map(camel, facts_of(each["code"])))


@pytest.mark.slow
@pytest.mark.parametrize("saved", SAVED)
def test_people_see_each_reason_with_its_code_and_facts_in_80_columns(
    saved: str, capsys: pytest.CaptureFixture[str]
) -> None:
    why = json.loads(asked(capsys, "why", "--from", saved, "-o", "json"))
    shown = asked(capsys, "why", "--from", saved)
    words = " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 80
    assert words.startswith(why["verdict"]["kind"].upper())
    for text in (*why["verdict"]["reasons"], *why["notes"]):
        assert text in words
    for each in (*why["verdict"]["reasonCodes"], *why["noteCodes"]):
        assert each["code"] in words
        assert all(f"{name} " in words for name in each["facts"])


def test_one_of_both_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["iris.yaml", "--from", SAVED[0]]):
        assert run(["why", *words]) == 2
        assert "give either an experiment file or --from FILE" in capsys.readouterr().err
