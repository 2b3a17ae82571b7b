"""Tables on narrow terminals: prose goes on in the next line, words and numbers are never cut."""

import sys

import pytest
from rich.console import Group
from rich.table import Table

from abctl.cli._output import Output, emit


def printed(
    table: object, columns: int, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
) -> str:
    patch.setattr(sys.stdout, "isatty", lambda: True)
    patch.setenv("COLUMNS", str(columns))
    emit("Test", {}, Output.table, lambda _: table)
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 200])
def test_no_number_is_cut_off(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Table("VARIANT", box=None, pad_edge=False)
    cells = [f"{1_234_567 + i:,}" for i in range(9)]
    for i in range(len(cells)):
        shown.add_column(f"COLUMN {i}", justify="right")
    shown.add_row("a-rather-long-name", *cells)
    out = printed(Group(shown, "", "a remark"), columns, capsys, monkeypatch)
    assert "…" not in out
    assert out.splitlines()[1].split() == ["a-rather-long-name", *cells]


def test_prose_in_the_last_column_keeps_to_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Table("CHECK", "FOUND", box=None, pad_edge=False)
    prose = "every one of these words is here and none of them is cut off"
    shown.add_row("a name of words", prose)
    lines = printed(shown, 40, capsys, monkeypatch).splitlines()[1:]
    assert max(map(len, lines)) <= 40
    assert lines[0].startswith("a name of words ")
    assert " ".join(line[15:].strip() for line in lines) == prose
