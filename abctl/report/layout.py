"""Tables for people, no wider than the terminal, nor than 80 columns where none is.

What is too long to share a line has one of its own: a long name stands above its row, and where
many columns do not fit they go on in a table below.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

from rich.text import Text

from abctl.foreign import in_one_line, shown
from abctl.report.prose import prose, width

GAP = "  "
# A last column of prose with less room than that is hard to read.
READABLE = 30
# Of the first column: what is longer may have a line of its own.
_NARROWEST = 8


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        cells: by column; the first is what the row is about.
        below: what is said of it, in lines of its own.
        style: of the row.
        mark: the style of its first cell.
    """

    cells: dict[str, str]
    below: Sequence[str] = field(default_factory=tuple)
    style: str = ""
    mark: str = ""


def table(rows: Sequence[Row], *, left: Collection[str] = (), last: str | None = None) -> Text:
    """Rows under the names of their columns, which are those of the first row.

    Args:
        rows: at least one.
        left: columns of words; the others are of numbers, at the right. The first is of words.
        last: the last column, if it is of prose.
    """
    rows = [_readable(row, last) for row in rows]
    names = list(rows[0].cells)
    groups = _groups(names, rows, last)
    if last is not None and len(groups) > 1:
        # What does not fit beside the rest is said below it.
        return table([_told_below(row, last) for row in rows], left=left)
    grids = [_Grid(group, left, last) for group in groups]
    *others, end = grids
    shown = [*(grid.text(rows, told=False) for grid in others), end.text(rows, told=True)]
    return Text("\n\n").join(shown)


def _readable(row: Row, last: str | None) -> Row:
    """As it is measured and shown: a name from elsewhere begins no line of its own."""
    cells = {
        name: shown(cell) if name == last else in_one_line(cell) for name, cell in row.cells.items()
    }
    return replace(row, cells=cells)


def _told_below(row: Row, name: str) -> Row:
    cells = dict(row.cells)
    paragraphs = cells.pop(name, "").split("\n")
    return replace(row, cells=cells, below=[*paragraphs, *row.below])


def _groups(names: Sequence[str], rows: Sequence[Row], last: str | None) -> list[list[str]]:
    """The columns of each table, of which the first is in all."""
    first = max(len(names[0]), _NARROWEST)
    together = _fitting(names, rows, last, first)
    # Where one table is not enough anyway, only very long names are put on lines of their own.
    return together if len(together) == 1 else _fitting(names, rows, last, width() // 3)


def _fitting(
    names: Sequence[str], rows: Sequence[Row], last: str | None, most: int
) -> list[list[str]]:
    """The same, if the first column takes so much at most."""
    first, *others = names
    least = _widest(first, rows, most)
    groups, used = [[first]], least
    for name in others:
        wide = len(GAP) + _widest(name, rows, READABLE if name == last else None)
        if used + wide > width() and len(groups[-1]) > 1:
            groups.append([first])
            used = least
        groups[-1].append(name)
        used += wide
    return groups


def _widest(name: str, rows: Sequence[Row], most: int | None = None) -> int:
    found = max(len(name), *(len(row.cells.get(name, "-")) for row in rows))
    return found if most is None else min(found, most)


@dataclass(frozen=True)
class _Grid:
    """Columns that fit beside one another."""

    names: Sequence[str]
    left: Collection[str]
    last: str | None

    def text(self, rows: Sequence[Row], *, told: bool) -> Text:
        """The names of the columns and all rows; with what is said below them, if it is to be."""
        first, *others = self.names
        widths = {name: _widest(name, rows) for name in others if name != self.last}
        used = sum(len(GAP) + each for each in widths.values())
        prose_least = len(GAP) + _widest(self.last, rows, READABLE) if self.last else 0
        room = max(len(first), width() - used - prose_least)
        labels = [len(first), *(len(row.cells[first]) for row in rows)]
        widths = {first: max(each for each in labels if each <= room), **widths}
        lines: list[Text] = []
        for row in (Row({name: name for name in self.names}), *rows):
            lines += self._row(row, widths, width() - used - widths[first] - len(GAP))
            if told:
                lines += [Text(prose(each, 2, 4)) for each in row.below]
        return Text("\n").join(lines)

    def _row(self, row: Row, widths: dict[str, int], prose_room: int) -> Iterator[Text]:
        first, *others = widths
        label = row.cells[first]
        if len(label) > widths[first]:
            yield Text(label, row.mark or row.style)
            label = ""
        cells = [row.cells.get(name, "-") for name in others]
        placed = [
            cell.ljust(widths[name]) if name in self.left else cell.rjust(widths[name])
            for name, cell in zip(others, cells, strict=True)
        ]
        start = GAP.join([label.ljust(widths[first]), *placed])
        ends = self._ends(row, prose_room)
        for number, end in enumerate(ends):
            line = Text(f"{start}{GAP}{end}".rstrip(), row.style)
            if row.mark and number == 0:
                line.stylize(row.mark, 0, len(label))
            yield line
            start = " " * len(start)

    def _ends(self, row: Row, room: int) -> list[str]:
        """The lines of the last column, if it is of prose."""
        if self.last is None:
            return [""]
        paragraphs = row.cells.get(self.last, "-").split("\n")
        return [line for each in paragraphs for line in prose(each, 0, 0, room).split("\n")]
