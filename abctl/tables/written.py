"""Names and texts as SQL has them, whatever they hold (pure)."""


def quoted(name: str) -> str:
    """A name of a column, whatever it holds.

    >>> print(quoted('user "x"; DROP'))
    "user ""x""; DROP"
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def text(value: str) -> str:
    """A text, whatever it holds.

    >>> print(text("it's"))
    'it''s'
    """
    escaped = value.replace("'", "''")
    return f"'{escaped}'"


def printable(name: str) -> str:
    """A text of a table as a terminal may show it.

    >>> len(printable(chr(27) + "[31m"))  # four letters are written for the one that is none
    8
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
