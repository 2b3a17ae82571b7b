"""Every mistake in an experiment file, and the very words that it is met with.

Each block of experiment_errors.txt is an edit of experiment.yaml and what `abctl lint` then says.
"""

from pathlib import Path

import pytest

from abctl.cli.main import run

HERE = Path(__file__).parent
BASE = (HERE / "experiment.yaml").read_text(encoding="utf-8")
BLOCKS = (HERE / "experiment_errors.txt").read_text(encoding="utf-8").split("\n\n")
CASES = [tuple(block.strip("\n").split("\n", 2)) for block in BLOCKS]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_file_that_is_edited_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    Path("iris.yaml").write_text(BASE, encoding="utf-8")
    assert run(["lint", "--strict", "iris.yaml"]) == 0
    assert capsys.readouterr() == ("iris.yaml: ok\n", "")


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new", "expected"), CASES, ids=lambda text: text[2:42])
def test_a_mistake_is_met_with_these_words(
    old: str, new: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = old.removeprefix("- ").removeprefix("-"), new.removeprefix("+ ").removeprefix("+")
    assert BASE.count(old) >= 1
    Path("iris.yaml").write_text(BASE.replace(old, new, 1), encoding="utf-8")
    assert run(["lint", "iris.yaml"]) == 2
    assert capsys.readouterr() == ("iris.yaml: wrong\n", f"{expected}\n")
