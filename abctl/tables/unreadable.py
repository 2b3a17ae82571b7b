"""What the engine says of a file that it cannot read, in words and with a hint that fits."""

from collections.abc import Mapping

from abctl.errors import SourceError
from abctl.tables.written import printable

MEMORY = "2GB"
_WHERE = ("Line:", "CSV", "Expected Number of Columns")
_OTHERWISE = "say what it is: --format csv|jsonl|parquet"


def unreadable(error: Exception, place: str, links: Mapping[str, str]) -> SourceError:
    """What the engine has said, with the names that the user knows.

    Args:
        error: of the engine.
        place: what the table is called.
        links: the names that the user knows, by those that the engine knows.
    """
    said = str(error).partition("LINE 1:")[0]
    for link, name in links.items():
        said = said.replace(link, name)
    first = next((line for line in said.splitlines() if line.strip()), type(error).__name__)
    lines = [line.strip() for line in said.splitlines() if line.startswith(_WHERE)]
    detail = printable(" ".join(dict.fromkeys([first.strip(), *lines])))
    lower = said.lower()
    if "out of memory" in lower:
        return SourceError(
            f"{place} takes more memory than {MEMORY}: {detail}",
            "quantiles hold every value; share(COLUMN > NUMBER) holds none",
        )
    if "not utf-8" in lower or "invalid unicode" in lower:
        return SourceError(
            f"{place} is not UTF-8: {detail}", "iconv -f LATIN1 -t UTF-8 FILE > utf8.csv"
        )
    hint = _OTHERWISE
    if "malformed json" in lower:
        hint = "JSON lines have one object a line; of an array: jq -c '.[]' FILE > log.jsonl"
    elif "sniffing file" in lower or "number of columns" in lower:
        hint = "a CSV is text in UTF-8, with as many cells in each line as in the first"
    elif "column" in detail:
        hint = "write names of columns as the table has them, capitals too"
    return SourceError(f"{place} cannot be read: {detail}", hint)
