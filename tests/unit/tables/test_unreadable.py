"""What cannot be read as a table is refused with its cause, its place and what helps."""

import pytest

from abctl.errors import AbctlError
from abctl.tables.engine import opened

HEAD = "variant,correct\n"
ROWS = "v1,1\nv2,0\n" * 600


@pytest.mark.parametrize(
    ("name", "content", "said", "hint"),
    [
        ("latin.csv", (HEAD + "für,1\n" * 50).encode("latin-1"), "not UTF-8", "iconv"),
        ("short.csv", (HEAD + ROWS + "v1\n" + ROWS).encode(), "Line: 1202", "as many cells"),
        ("long.csv", (HEAD + ROWS + "v1,1,9\n" + ROWS).encode(), "Line: 1202", "as many cells"),
        ("wide.csv", (HEAD + ROWS).encode("utf-16"), "wide.csv", "UTF-8"),
        ("array.json", b'[{"variant":"v1"},{"variant":"v2"}]', "array.json", "jq -c"),
        ("pretty.json", b'[\n {"variant":"v1",\n"correct":1}]', "line 2", "jq -c"),
        ("half.jsonl", b'{"variant":"v1"}\n{"var', "half.jsonl", "one object a line"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_its_cause(
    tmp_path, name: str, content: bytes, said: str, hint: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AbctlError) as caught:
        _read(str(tmp_path / name))
    assert name in caught.value.message
    assert said in caught.value.message
    assert hint in caught.value.hint
    assert "such column" not in caught.value.message


def _read(name: str) -> None:
    with opened(name) as table:
        table.require("variant", "--variant")
        table.rows("SELECT * FROM abctl_events")


def test_of_two_columns_of_one_name_none_is_taken(tmp_path) -> None:
    (tmp_path / "log.csv").write_text("variant,correct,correct,right,right_1\nv1,1,0,1,0\n")
    with opened(str(tmp_path / "log.csv")) as table:
        table.require("right", "metric a: column")
        with pytest.raises(AbctlError, match="several"):
            table.require("correct", "metric a: column")


def test_a_table_may_have_one_column(tmp_path) -> None:
    (tmp_path / "log.csv").write_text("variant\nv1\n")
    with opened(str(tmp_path / "log.csv")) as table:
        table.require("variant", "--variant")
        with pytest.raises(AbctlError, match="no such column"):
            table.require("model", "--variant")
