"""Tables and prose in 80 columns, or those of the terminal: nothing is cut, nothing is too wide."""

import re
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.report.layout import Row, table
from abctl.report.prose import prose, width

WORDS = st.text("abcdefghij_-", min_size=1, max_size=63)
UNITS = ("ms", "s", "min", "h", "d")
NUMBERS = st.one_of(
    st.integers(0, 10**12).map("{:,}".format),
    st.floats(-99, 99).map("{:+.2f}pp".format),
    st.builds("{:.3g} {}".format, st.floats(0, 999), st.sampled_from(UNITS)),
)
rows = st.lists(WORDS, min_size=1, max_size=9, unique=True).flatmap(
    lambda names: st.lists(
        st.tuples(WORDS, *[NUMBERS] * len(names)).map(
            lambda cells: dict(zip(("NAME", *names), cells, strict=True))
        ),
        min_size=1,
        max_size=4,
    )
)
sentences = st.lists(
    st.one_of(WORDS, NUMBERS, st.just("p < 0.0001"), st.just("p = 0.03")), min_size=1, max_size=60
).map(" ".join)


def terminal(columns: int, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sys.stdout, "isatty", lambda: True)
    patch.setenv("COLUMNS", str(columns))


@given(rows=rows)
def test_every_cell_is_whole_and_no_line_is_too_wide(rows: list[dict[str, str]]) -> None:
    shown = table([Row(cells) for cells in rows]).plain
    assert max(map(len, shown.splitlines())) <= 80
    for cells in rows:
        for cell in cells.values():
            assert re.search(rf"(^|\s){re.escape(cell)}($|\s)", shown, re.MULTILINE)
    for name in rows[0]:
        assert re.search(rf"(^|\s){re.escape(name)}($|\s)", shown, re.MULTILINE)


@given(rows=rows, note=sentences)
def test_what_is_told_of_a_row_is_told_once(rows: list[dict[str, str]], note: str) -> None:
    shown = table([Row(cells, [f"{i}: {note}"]) for i, cells in enumerate(rows)]).plain
    assert max(map(len, shown.splitlines())) <= 80
    flat = " ".join(shown.split())
    for i in range(len(rows)):
        assert flat.count(f"{i}: {' '.join(note.split())}") >= 1


@given(text=sentences)
def test_no_number_is_parted_from_its_unit(text: str) -> None:
    lines = prose(text, 2).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == " ".join(text.split())
    for before, after in pairwise(lines):
        assert not (before[-1].isdigit() and after.split()[0] in UNITS)
        assert before.split()[-1] not in ("=", "<")
        assert after.split()[0] not in ("=", "<")


def test_a_long_name_stands_above_its_row() -> None:
    long = "a_name_that_is_longer_than_what_is_left_beside_the_numbers_of_its_row"
    shown = table([Row({"NAME": name, "A": "1,234", "B": "5.6 ms"}) for name in ("x", long)])
    assert shown.plain.splitlines() == [
        "NAME      A       B",
        "x     1,234  5.6 ms",
        long,
        "      1,234  5.6 ms",
    ]


def test_columns_that_do_not_fit_go_on_below() -> None:
    cells = {f"COLUMN {i}": f"{1_234_567 + i:,}" for i in range(9)}
    one, other = table([Row({"NAME": "treatment", **cells})]).plain.split("\n\n")
    assert one.splitlines()[1].split() == ["treatment", *list(cells.values())[:6]]
    assert other.splitlines()[1].split() == ["treatment", *list(cells.values())[6:]]


@pytest.mark.parametrize("columns", [80, 100, 200])
def test_prose_in_the_last_column_keeps_to_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(columns, monkeypatch)
    words = "every one of these words is here and none of them is cut off at 1.25 ms; " * 3
    shown = table([Row({"": "ok", "CHECK": "a name", "FOUND": words.strip()})], last="FOUND")
    lines = shown.plain.splitlines()[1:]
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith("ok  a name  every one ")
    assert " ".join(line[12:].strip() for line in lines) == words.strip()


def test_prose_without_room_beside_the_rest_is_said_below() -> None:
    row = Row({"": "error", "CHECK": f"metric {'m' * 60}", "FOUND": "nothing there\n→ look again"})
    assert table([row], left={"CHECK"}, last="FOUND").plain.splitlines()[1:] == [
        f"error  metric {'m' * 60}",
        "  nothing there",
        "  → look again",
    ]


@pytest.mark.parametrize(("columns", "expected"), [(20, 80), (80, 80), (132, 132)])
def test_a_narrow_terminal_wraps_by_itself(
    columns: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert width() == 80
    terminal(columns, monkeypatch)
    assert width() == expected


def test_a_selector_goes_on_after_a_comma_and_stays_one() -> None:
    selector = f'{"x" * 40}{{variant="control",experiment=~"iris|",namespace=~"default|,b"}}'
    shown = prose(f"nothing has {selector} yet")
    assert max(map(len, shown.splitlines())) <= 80
    assert "".join(shown.split()) == f"nothinghas{selector}yet"
    assert '"default|,b"' in shown


def test_what_others_wrote_begins_no_line_and_moves_no_column() -> None:
    forged = "x\n\nSHIP treatment\n  primary accuracy is better"
    shown = table([Row({"NAME": forged, "N": "1"}), Row({"NAME": "\x1b[31mred", "N": "2"})]).plain
    assert not [line for line in shown.splitlines() if line.startswith(("SHIP", "  primary"))]
    ends = [line for line in shown.splitlines() if line.endswith(("1", "2", "N"))]
    assert len({len(line) for line in ends}) == 1
    assert "\x1b" not in shown
