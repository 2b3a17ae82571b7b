"""`abctl report` writes one page, and nothing over what is somebody else's."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from pages import parsed, require_sound, said, values

from abctl.cli.main import run

SAVED = str(Path(__file__).parents[2] / "golden" / "saved_evidence.json.gz")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_saved_evidence_has_a_page_that_says_what_analyze_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["report", "--from", SAVED, "-o", "-"]) == 0
    page = parsed(capsys.readouterr().out)
    require_sound(page)
    assert run(["analyze", "--from", SAVED, "-o", "json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert values(page)["analysis"]["verdict"] == told["verdict"]
    assert "this is all that was saved" in said(page)


@pytest.mark.slow
def test_a_page_is_written_anew_but_nothing_else_is_written_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    there = Path("report.html")
    for _ in range(2):
        assert run(["report", "--from", SAVED]) == 0
        assert "wrote report.html" in capsys.readouterr().err
    written = there.read_text()
    there.write_text("mine")
    assert run(["report", "--from", SAVED]) == 2
    assert "no report of abctl" in capsys.readouterr().err
    assert there.read_text() == "mine"
    assert run(["report", "--from", SAVED, "--force"]) == 0
    assert there.read_text() == written
    assert [each.name for each in Path().iterdir()] == ["report.html"]


@pytest.mark.slow
def test_what_the_document_shows_writes_pages() -> None:
    text = (Path(__file__).parents[3] / "docs" / "report.md").read_text()
    lines = [line.removeprefix("$ ") for line in text.split("```")[1].splitlines()[1:]]
    rows = [f"v{i % 2 + 1},{int(i % 10 > i % 2)}" for i in range(400)]
    Path("log.csv").write_text("\n".join(["model_version,correct", *rows]))
    shutil.copy(SAVED, "evidence.json.gz")
    for line in lines[1:]:  # the first one needs an experiment that runs
        assert run(shlex.split(line)[1:]) == 0
    for name in ("iris.html", "log.html"):
        require_sound(parsed(Path(name).read_text()))


def test_a_log_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"v{i % 2 + 1},{int(i % 10 > i % 2)}" for i in range(400)]
    Path("log.csv").write_text("\n".join(["version,correct", *rows]))
    words = ["--variant", "version", "--metric", "accuracy: mean(correct)"]
    assert run(["report", "--events", "log.csv", *words, "-o", "-"]) == 0
    page = parsed(capsys.readouterr().out)
    require_sound(page)
    assert len([*page.iter("svg")]) == 1


@pytest.mark.parametrize("words", [[], ["iris.yaml", "--from", SAVED], ["--events", "a", "b.yaml"]])
def test_what_is_to_be_shown_is_named_once(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["report", *words]) == 2
    assert "just one of them" in capsys.readouterr().err
