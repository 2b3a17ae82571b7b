"""The engine reads the declared files, and nothing else of the machine."""

import pytest

from abctl.errors import SourceError
from abctl.tables.engine import opened


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('{other}')",
        "SELECT * FROM '{other}'",
        "COPY (SELECT 1) TO '{other}.csv'",
        "ATTACH '{other}' AS other",
        "SELECT * FROM 'https://127.0.0.1:9/x.csv'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '64GB'",
        "SET enable_external_access = true",
    ],
)
def test_nothing_else_can_be_read_written_or_loaded(tmp_path, statement) -> None:
    events, other = tmp_path / "log.csv", tmp_path / "other.csv"
    events.write_text("a,b\n1,2\n")
    other.write_text("secret\n1\n")
    with opened(str(events)) as table:
        assert table.columns == ["a", "b"]
        with pytest.raises(SourceError):
            table.rows(statement.format(other=other))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.csv", "other.csv"]


def test_no_variable_of_this_process_is_a_table(tmp_path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    here = pyarrow.table({"a": [1]})
    (tmp_path / "log.csv").write_text("a,b\n1,2\n")
    with opened(str(tmp_path / "log.csv")) as table, pytest.raises(SourceError):
        table.rows("SELECT * FROM here")
    assert here.num_rows == 1
