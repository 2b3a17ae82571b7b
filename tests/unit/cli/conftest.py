"""An experiment as the commands find it: its file, and a world with its ledger."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from abctl.cluster.directory import DirectoryClient
from abctl.core.ledger import Entry
from abctl.forms.ledger import ledger_of, new_object, with_ledger
from abctl.session import local_world
from abctl.spec import load

_HEAD = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: iris}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: s, buckets: 16}
  variants:
    - {name: control, split: 50%, model: {name: iris, version: v1}}
    - {name: treatment, split: 50%, model: {name: iris, version: v2}}
  source: {scrape: {file: pages.jsonl}}
"""


@pytest.fixture
def start_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Starts one in a folder of its own: `iris.yaml`, and the ledger in `state`.

    It is given the metrics and the design, when it was started (unix seconds), what happened to it
    later, and what is to be otherwise in its file. Time stands still: how long a test takes to
    write its pages and to read them is no gap between them.
    """
    monkeypatch.chdir(tmp_path)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)

    def start(rest: str, at: float, *later: Entry, edits: Iterable[tuple[str, str]] = ()) -> None:
        text = f"{_HEAD}{rest}"
        for old, new in edits:
            assert old in text
            text = text.replace(old, new)
        Path("iris.yaml").write_text(text)
        experiment = load(Path("iris.yaml"))
        first = Entry(at, "me", None, experiment.split, "start", "applied")
        obj = new_object(experiment, first)
        for entry in later:
            obj = with_ledger(obj, ledger_of(obj).with_entry(entry))
        DirectoryClient(Path("state") / local_world.WORLD).create(obj)

    return start
