"""Segments in SQL: the values of a column are numbered, so that no text has to be compared again.

Engines order texts in ways of their own; numbers have one order, and need no quotes.
"""

from dataclasses import dataclass

from abctl.tables.written import text

MOST_VALUES = 20
"""Of a column of segments: rarer ones are in none."""
EMPTY, RARE, SEVERAL = -1, -2, -3
"""Segments of units whose column is empty, has a rarer value, or has several."""


@dataclass(frozen=True)
class By:
    """A column of segments.

    >>> print(By("device", ("it's",)).code("t.device"))
    CASE WHEN t.device IS NULL THEN NULL WHEN t.device = 'it''s' THEN 0 ELSE -2 END

    Attributes:
        column: of the table.
        values: those that are told apart; each is a segment, called by its place.
    """

    column: str
    values: tuple[str, ...] = ()

    def code(self, read: str) -> str:
        """The segment of a row whose column is read so; NULL where it is empty."""
        each = (f"WHEN {read} = {text(v)} THEN {i} " for i, v in enumerate(self.values))
        return f"CASE WHEN {read} IS NULL THEN NULL {''.join(each)}ELSE {RARE} END"

    def value(self, code: int) -> str | None:
        """What a segment is called; None where it has no value."""
        return self.values[code] if code >= 0 else None


def only(low: str, high: str) -> str:
    """The segment of a unit, from the least and the largest of its rows, which may be empty."""
    return f"CASE WHEN {low} <> {high} THEN {SEVERAL} ELSE COALESCE({low}, {EMPTY}) END"
