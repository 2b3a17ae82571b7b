"""A plan in a notebook: what each size of effect takes, as a table, a dict or a frame."""

from dataclasses import dataclass
from typing import Any

from abctl.analysis.plan import Answer
from abctl.notebook.frame import frame_of
from abctl.report import layout
from abctl.report.page.part import tables_part
from abctl.report.plan import document, remarks, size_rows, way_rows


@dataclass(frozen=True, repr=False)
class Sizes:
    """How many units an experiment needs; a notebook shows the tables of `abctl plan`.

    Attributes:
        answer: everything; `abctl.analysis.plan` says what it has.
    """

    answer: Answer

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data: what `abctl plan -o json` prints."""
        return {"apiVersion": "abctl.dev/v1", "kind": "Plan", **document(self.answer)}

    def to_frame(self, *, library: str = "pandas") -> Any:
        """A row for each size of effect: units of each variant, in total, and days.

        Args:
            library: pandas or polars; or dict, which needs neither: a list for each column.

        Raises:
            UsageError: no such library, or it is not installed.
        """
        rows = document(self.answer)["tradeOff"]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        return frame_of(columns, library)

    def _repr_html_(self) -> str:
        rows = size_rows(self.answer, wide=True), way_rows(self.answer)
        titles = "What each size of effect takes", "What each way of looking takes"
        return tables_part(titles, rows, list(remarks(self.answer)))

    def __str__(self) -> str:
        said = size_rows(self.answer, wide=False), way_rows(self.answer)
        tables = (str(layout.table(rows)) for rows in said)
        return "\n\n".join([*tables, "\n".join(remarks(self.answer))])

    def __repr__(self) -> str:
        return f"<{'; '.join(remarks(self.answer))}>"
