"""Labels that come later: rows of a file, sent as feedback through an experiment's entrance."""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from abctl import files
from abctl.core.address import Entrance
from abctl.core.assignment import VARIANT_HEADER
from abctl.core.experiment import Experiment
from abctl.core.number import parse_number
from abctl.errors import UnreachableError, UsageError
from abctl.foreign import in_one_line

_MOST_BYTES = 1 << 30
_AT_ONCE = 500
_TIMEOUT_SECONDS = 60.0
_MOST_ANSWER = 1 << 20
_FEW = 5
_COLUMNS = ("token", "outcome", "value", "id", "at")
_EXAMPLE = "token,outcome,value"
_LINES = (".jsonl", ".ndjson")
Report = dict[str, Any]


@dataclass
class Sent:
    """What became of the rows.

    Attributes:
        counted: how many were new.
        duplicates: how many the collector had already.
        refused: how many, by why.
        first: where the first rows of each kind of refusal are.
    """

    counted: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first: dict[str, list[str]] = field(default_factory=dict)


def rows(path: Path, experiment: Experiment) -> list[tuple[str, Report]]:
    """The reports of a CSV file, or of JSON lines, each with its place.

    A row has `token` and `value`; `outcome` where several are declared; `id` of what may happen
    many times; `at`, when it happened, in seconds since 1970.

    Raises:
        UsageError: the experiment declares no outcomes, or a row is not of this form; its place.
    """
    if not _declared(experiment):
        raise UsageError(
            f"{experiment.name} declares no outcomes, so it has no collector",
            "spec.outcomes: [{name: accuracy, kind: binary, maturity: 2h}]",
        )
    found = [(place, _report(place, row, experiment)) for place, row in _read(path)]
    if not found:
        raise UsageError(f"{path} has no rows", f"its first line names the columns: {_EXAMPLE}")
    return found


def send(
    entrance_url: str,
    experiment: Experiment,
    reports: Sequence[tuple[str, Report]],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Sent:
    """Send reports in batches; what was sent twice counts once.

    Raises:
        UnreachableError: nobody answers there, or not as a collector does; what was sent counts.
    """
    sent = Sent()
    for first in range(0, len(reports), _AT_ONCE):
        batch = reports[first : first + _AT_ONCE]
        body = {"items": [report for _, report in batch]}
        answers = _post(entrance_url, experiment, body)
        if len(answers) != len(batch):
            raise UnreachableError(
                f"{entrance_url}/feedback answered {len(answers)} of {len(batch)} reports",
                "does a collector run? abctl local status",
            )
        for (place, _), answer in zip(batch, answers, strict=True):
            _note(sent, place, answer)
        progress(first + len(batch), len(reports))
    return sent


def _note(sent: Sent, place: str, answer: Any) -> None:
    if answer.get("counted"):
        sent.counted += 1
    elif "duplicate" in answer:
        sent.duplicates += 1
    else:
        why = in_one_line(str(answer.get("refused", "no reason given")))
        sent.refused[why] += 1
        if len(places := sent.first.setdefault(why, [])) < _FEW:
            places.append(place)


def _read(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        text = files.read(path, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8", "save it as UTF-8") from None
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "name a file that you can read") from None
    if path.suffix in _LINES:
        for i, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"{path}, line {i}", _json(f"{path}, line {i}", line)
        return
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if not {"token", "value"} <= set(table.fieldnames or ()):
        names = ", ".join(map(in_one_line, table.fieldnames or ())) or "nothing"
        raise UsageError(f"{path}: its first line has {names}, must have token and value", _EXAMPLE)
    try:
        for row in table:
            yield f"{path}, line {table.line_num}", row
    except csv.Error as error:
        raise UsageError(f"{path}, line {table.line_num}: {error}", "is it CSV?") from None


def _json(place: str, line: str) -> Any:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{place}: not a JSON object", '{"token": "...", "value": 1}')
    return found


def _declared(experiment: Experiment) -> list[str]:
    """What is reported: who returns, servers tell."""
    return [outcome.name for outcome in experiment.outcomes if outcome.kind != "return"]


def _report(place: str, row: Any, experiment: Experiment) -> Report:
    if strange := next((name for name in row if name not in _COLUMNS), None):
        shown = "more values than columns" if strange is None else in_one_line(str(strange))
        raise UsageError(f"{place}: {shown}", f"columns: {', '.join(_COLUMNS)}")
    given = {name: value for name, value in row.items() if value not in (None, "")}
    declared = _declared(experiment)
    if "outcome" not in given and len(declared) == 1:
        given["outcome"] = declared[0]
    for name in ("token", "outcome", "value"):
        if name not in given:
            raise UsageError(f"{place}: has no {name}", f"{_EXAMPLE}")
    if given["outcome"] not in declared:
        raise UsageError(
            f"{place}: outcome {in_one_line(str(given['outcome']))!r} is not declared",
            f"declared: {', '.join(declared)}",
        )
    for name in ("value", "at"):
        if name in given:
            given[name] = _number(place, name, given[name])
    return {name: str(value) if name == "id" else value for name, value in given.items()}


def _number(place: str, name: str, value: Any) -> float:
    try:
        found = parse_number(value) if isinstance(value, str) else float(value)
    except (ValueError, TypeError):
        found = math.nan
    if not math.isfinite(found):
        shown = in_one_line(str(value))[:60]
        raise UsageError(f"{place}: {name} {shown!r}, must be a number", "a yes is 1, a no is 0")
    return found


def _post(entrance_url: str, experiment: Experiment, body: Any) -> Sequence[Any]:
    entrance = Entrance.parse(entrance_url)
    url = f"{entrance_url.rstrip('/')}/feedback"
    headers = {"content-type": "application/json", VARIANT_HEADER: experiment.control.name}
    request = Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - parsed above
    # What is on this machine is not asked for by a proxy.
    opener = build_opener(*([ProxyHandler({})] if entrance.loopback else []))
    try:
        with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
            found = json.loads(answer.read(_MOST_ANSWER))["items"]
    except HTTPError as error:
        with error:
            said = in_one_line(error.read(200).decode(errors="replace"))
        raise UnreachableError(
            f"{url} answered HTTP {error.code}: {said}", "send the file again: nothing counts twice"
        ) from None
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UnreachableError(
            f"no answer from {url}: {reason}", "send the file again: nothing counts twice"
        ) from None
    except (ValueError, LookupError, TypeError):
        raise UnreachableError(
            f"{url} does not answer as a collector does", "is it the entrance of this experiment?"
        ) from None
    return found if isinstance(found, list) else ()
