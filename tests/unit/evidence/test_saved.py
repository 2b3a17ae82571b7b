"""Evidence that was saved comes back as it was, or is refused with the place of what is wrong."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from abctl.errors import SourceError
from abctl.evidence import saved
from abctl.metrics import presets
from abctl.metrics.queries import MetricQueries
from abctl.sources import file

SAVED = Path(__file__).parents[2] / "golden/forms_2026_11/saved_evidence.json.gz"


def document_of(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    del found["sha256"]
    return found


def write(path: Path, document: dict[str, Any]) -> None:
    """With a right digest."""
    head = json.dumps(document)[:-1].encode() + b",\n"
    digest = file._digest(head + file._DIGEST).encode()
    path.write_bytes(gzip.compress(head + file._DIGEST + digest + b'"}'))


def put(*way: Any) -> Callable[[dict[str, Any]], None]:
    *steps, last, value = way

    def change(document: dict[str, Any]) -> None:
        at: Any = document["evidence"]
        for step in steps:
            at = at[step]
        at[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.pop("evidence"), "evidence"),
        (lambda document: document["evidence"].pop("place"), "evidence: .*`place`"),
        (put("now", "1.5"), "evidence.now: .*float.*str"),
        (put("now", True), "evidence.now: .*float.*bool"),
        (put("place", 7), "evidence.place: .*str.*int"),
        (put("ledger", None), "evidence.ledger: "),
        (put("ledger", "entries", 0, "phase", "dream"), r"evidence.ledger.entries\[0\].phase: "),
        (put("samples", "windows", 0, "epoch", 2.5), r"evidence.samples.windows\[0\].epoch: "),
        (put("experiment", "split", "shares_bp", [1, 2]), "evidence.experiment: split .* 0.03%"),
        (put("experiment", "design", "alpha", 7.0), "evidence.experiment: .*alpha 7.0"),
        (put("samples", "starts", [[1]]), r"evidence.samples.starts\[0\]: .*"),
        (put("samples", "scraped", [[[], 10**6]]), "1000000, must be the number of an array"),
        (put("samples", "scraped", [[[], -1]]), "-1, must be the number of an array"),
        (put("samples", "scraped", [[[], False]]), "False, must be the number of an array"),
    ],
)
def test_what_is_not_as_it_must_be_is_told_with_its_place(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    document, path = document_of(SAVED), tmp_path / "e.json.gz"
    change(document)
    write(path, document)
    with pytest.raises(SourceError, match=message) as caught:
        saved.load(path)
    assert caught.value.message.startswith(f"{path}: damaged: ")
    assert caught.value.hint


def test_a_series_with_more_times_than_values_is_damaged(tmp_path: Path) -> None:
    document, path = document_of(SAVED), tmp_path / "e.json.gz"
    series = next(iter(document["evidence"]["samples"]["found"].values()))[0]
    document["arrays"].append({"$float64": [1]})
    series["values"] = len(document["arrays"]) - 1
    write(path, document)
    with pytest.raises(SourceError, match=r"evidence.samples.found\[.*\]: \d+ times of 1 values"):
        saved.load(path)


@pytest.mark.parametrize("name", presets.names())
def test_every_preset_is_read_as_it_was_saved(name: str) -> None:
    """Else what is judged from a file would be judged otherwise than where it was counted."""
    asked = MetricQueries(name, presets.preset(name), {"control": {"variant": ("control",)}})
    assert saved._telemetry(saved._telemetry_form(asked)) == asked
