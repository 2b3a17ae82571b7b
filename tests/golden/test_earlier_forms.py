"""Everything that an abctl of before has written is read by every later one.

`forms_2026_11` was written by the wheel of that month, and is never written anew: an experiment on
a local stack that was shifted to 30% and rolled back, what `analyze` saved and said of it between,
the stack's state, and a folder of the cache. `clusters` was written by the code of that month.
"""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluator import Server, source
from generated import SELECTORS, START, calm

from abctl.cli.main import run
from abctl.core.polls import Window
from abctl.errors import AbctlError, ClusterError, SourceError
from abctl.evidence import cache, saved
from abctl.evidence.cache import Cache
from abctl.evidence.read import read
from abctl.forms.ledger import ledger_of
from abctl.forms.plan import as_locked, first_difference
from abctl.local import lifecycle, plan, stack
from abctl.spec import load

FORMS = Path(__file__).parent / "forms_2026_11"


def paths(found: object, place: str = "") -> set[str]:
    """The fields of a document, whatever their values; items of lists count as one."""
    if isinstance(found, dict):
        return {place}.union(*(paths(value, f"{place}.{key}") for key, value in found.items()))
    if isinstance(found, list):
        return {place}.union(*(paths(value, f"{place}[]") for value in found))
    return {place}


def test_the_ledger_and_its_plan() -> None:
    ledger = ledger_of(json.loads((FORMS / "ledger.json").read_text()))
    assert [entry.phase for entry in ledger.entries] == 3 * ["intent", "applied"]
    assert str(ledger.desired) == "control 100%, treatment 0%"
    assert ledger.entries[2].why == "a first step"
    assert ledger.plan == (FORMS / "plan.json").read_text()
    assert ledger.changed_since(load(FORMS / "iris.yaml")) == ()


@pytest.mark.parametrize("path", sorted((FORMS / "clusters").glob("*.yaml")), ids=lambda p: p.stem)
def test_what_a_file_leaves_out_means_what_it_meant_when_it_was_locked(
    path: Path, tmp_path: Path
) -> None:
    ledger = ledger_of(json.loads(path.with_suffix(".json").read_text())["ledger"])
    assert ledger.changed_since(load(path)) == ()
    assert as_locked(ledger, load(path)).design.test == "sequential"
    # Whoever writes it means it.
    changed = tmp_path / path.name
    changed.write_text(path.read_text() + "  design: {test: horizon}\n")
    assert ledger.changed_since(load(changed)) == ("design",)
    assert first_difference(ledger, load(changed)) == "design.test is horizon, was sequential"
    changed.write_text(path.read_text() + "  design: {alpha: 0.01}\n")
    assert first_difference(ledger, load(changed)) == "design.alpha is 0.01, was 0.05"


def test_saved_evidence_and_the_fields_of_its_analysis(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["analyze", "--from", str(FORMS / "saved_evidence.json.gz"), "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = json.loads((FORMS / "analysis.json").read_text())
    assert found["verdict"]["kind"] == wanted["verdict"]["kind"]
    pairs = zip(found["epochs"], wanted["epochs"], strict=True)
    assert all(then.items() <= now.items() for now, then in pairs)
    assert sorted(paths(wanted) - paths(found)) == []


def test_the_state_of_a_stack(tmp_path: Path) -> None:
    shutil.copy(FORMS / "stack_state.json", tmp_path / stack.STATE_FILE)
    found = stack.read(tmp_path)
    assert found.experiment == "iris"
    assert [server.variant for server in found.servers] == ["control", "treatment"]
    assert {process.name for process in found.dead} > {"supervisor", "envoy", "prometheus"}


def test_what_the_cache_kept_is_not_asked_for_again(tmp_path: Path) -> None:
    kept = shutil.copytree(FORMS / "cache", tmp_path / "cache")
    first = START / 1000
    now = first + 600 * 15.0
    windows = [Window(0, first, now - 600)]
    alone, again = Server(calm(640), True), Server(calm(640), True)
    read(source(alone), windows, SELECTORS, now)
    read(source(again), windows, SELECTORS, now, cache=Cache(kept, "there", now))
    assert again.asked < alone.asked


def newer(document: dict[str, object], author: object = "abctl 9.0.0") -> dict[str, object]:
    return document | {"format": 99, "writtenBy": author}


def refused(error: AbctlError, place: str, exit_code: int) -> bool:
    told = place in error.message and "abctl 9.0.0" in error.message and "99" in error.message
    return told and error.hint.startswith("use a newer abctl") and error.exit_code == exit_code


def test_a_newer_ledger_is_refused() -> None:
    obj = json.loads((FORMS / "ledger.json").read_text())
    obj["data"] = {**obj["data"], "format": "99", "writtenBy": "abctl 9.0.0", "plan.json": "?"}
    with pytest.raises(ClusterError) as caught:
        ledger_of(obj)
    assert refused(caught.value, "configmap/abctl-iris", 5)


def test_a_newer_state_of_a_stack_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / stack.STATE_FILE
    path.write_text(json.dumps(newer({"experiment": "another form"})))
    for wanted in (stack.read, lifecycle.stop):
        (tmp_path / lifecycle.LOCK_FILE).touch()
        with pytest.raises(ClusterError) as caught:
            wanted(tmp_path)
        assert refused(caught.value, str(path), 5)
    assert path.exists()


def test_a_newer_plan_of_a_supervisor_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(newer({})))
    with pytest.raises(ClusterError) as caught:
        plan.read(tmp_path)
    assert refused(caught.value, str(path), 5)


def test_newer_saved_evidence_is_refused(tmp_path: Path) -> None:
    document = json.loads(gzip.decompress((FORMS / "saved_evidence.json.gz").read_bytes()))
    path = tmp_path / "newer.json.gz"
    path.write_bytes(gzip.compress(json.dumps(newer(document, {"abctl": "9.0.0"})).encode()))
    with pytest.raises(SourceError) as caught:
        saved.load(path)
    assert refused(caught.value, str(path), 6)


def test_a_newer_cache_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    Cache(tmp_path, "there", 0.0).save(["q"], {"text": np.zeros(1), "numbers": np.zeros(1)})
    monkeypatch.undo()
    assert Cache(tmp_path, "there", 0.0).load(["q"]) is None
