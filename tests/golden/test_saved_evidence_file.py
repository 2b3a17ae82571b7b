"""Evidence that an abctl of before has saved is read by every later one, to the same numbers.

`saved_evidence.json.gz` is never written anew: where its format cannot be read any more, FORMAT
goes up, and a file of the new one lies beside it. `saved_evidence_counts.json` is what it says
before any statistics: to write it anew run this file with ABCTL_GOLDEN=write, and read the
difference.
"""

import gzip
import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from abctl.cli.main import run
from abctl.evidence import saved
from abctl.forms.units import FORMAT

HERE = Path(__file__).parent
SAVED, COUNTS = HERE / "saved_evidence.json.gz", HERE / "saved_evidence_counts.json"


def assert_close(found: Any, wanted: Any, place: str = "") -> None:
    """The same but for the last digits, in which versions of numpy and scipy may differ."""
    if isinstance(wanted, float) and isinstance(found, float | int):
        assert math.isclose(found, wanted, rel_tol=1e-6, abs_tol=1e-9), place
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), place
        for key, value in wanted.items():
            assert_close(found[key], value, f"{place}.{key}")
    elif isinstance(wanted, list):
        assert len(found) == len(wanted), place
        for i, value in enumerate(wanted):
            assert_close(found[i], value, f"{place}[{i}]")
    else:
        assert found == wanted, place


def test_it_says_what_it_said_when_it_was_saved(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "--from", str(SAVED), "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"]["kind"] == "continue"
    found = {key: document[key] for key in ("experiment", "at", "source", "epochs", "variants")}
    found["polls"] = {metric["name"]: metric["polls"] for metric in document["metrics"]}
    if os.environ.get("ABCTL_GOLDEN") == "write":
        COUNTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert_close(found, json.loads(COUNTS.read_text()))


def test_nothing_of_it_is_lost_or_added(tmp_path: Path) -> None:
    again = tmp_path / "again.json.gz"
    saved.save(again, saved.load(SAVED))
    old, new = (json.loads(gzip.decompress(path.read_bytes())) for path in (SAVED, again))
    for key in ("apiVersion", "kind", "format", "evidence", "arrays"):
        assert new[key] == old[key], f"{key}: what was saved before is read otherwise: raise FORMAT"


def test_the_next_step_after_a_file_is_no_look_at_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["analyze", "--from", str(SAVED)]) == 0
    said = capsys.readouterr().err
    assert "hint: this is all that was saved at 2023-11-14T22:13:20Z" in said
    assert "abctl analyze" not in said


def test_a_newer_format_is_one_error_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.loads(gzip.decompress(SAVED.read_bytes()))
    document |= {"format": FORMAT + 1, "evidence": {"something": "else"}}
    document["writtenBy"]["abctl"] = "9.0.0"
    newer = tmp_path / "newer.json.gz"
    newer.write_bytes(gzip.compress(json.dumps(document).encode()))
    assert run(["analyze", "--from", str(newer)]) == 6
    error, *hint = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {newer}: written by abctl 9.0.0 as format ")
    assert hint == ["hint: use a newer abctl: abctl 9.0.0"]
