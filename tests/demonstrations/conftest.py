"""A real Prometheus that has histories from its disk, and `abctl analyze` of them."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from histories import Histories
from prometheus_server import serving

from abctl.cli.main import run
from abctl.cluster.directory import DirectoryClient
from abctl.core.ledger import Entry
from abctl.core.split import Split
from abctl.forms.ledger import ledger_of, new_object, with_ledger
from abctl.session import local_world
from abctl.sources.prometheus import Prometheus
from abctl.spec import load

FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {{name: {name}}}
spec:
  platform: envoy
  assignment: {{unit: request}}
  variants:
    - {{name: control, split: {control}%, model: {{name: m, version: v1}}}}
    - {{name: treatment, split: {treatment}%, model: {{name: m, version: v2}}}}
  metrics:
    - {{name: conversion, role: primary, kind: proportion, of: conversion, direction: increase,
       mde: 1pp}}
    - {{name: errors, role: guardrail, kind: proportion, of: errors, direction: decrease,
       margin: 1pp}}
  design: {{minDuration: 1m, maxDuration: 1d, settle: 1s}}
"""


# By the address of the Prometheus that has the histories.
ENDS: dict[str, float] = {}


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Histories], str]]:
    """Starts a Prometheus that has some histories; gives its address."""
    with ExitStack() as held:

        def start(histories: Histories) -> str:
            folder = tmp_path_factory.mktemp("prometheus")
            url = held.enter_context(serving(folder, history=[histories.text()]))
            ENDS[url] = histories.end
            return url

        yield start


@pytest.fixture
def analyze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """`abctl analyze -o json` of an experiment with these shares of the treatment since.

    It is asked when the histories end, however long it took to serve them.
    """

    def ask(name: str, url: str, shares: Mapping[float, int]) -> dict[str, Any]:
        monkeypatch.chdir(tmp_path)
        for clock in (Prometheus, DirectoryClient):
            monkeypatch.setattr(clock, "now", lambda _: ENDS[url])
        first, *later = shares.items()
        file = Path(f"{name}.yaml")
        file.write_text(FILE.format(name=name, control=100 - first[1], treatment=first[1]))
        experiment = load(file)
        obj = new_object(experiment, Entry(first[0], "me", None, experiment.split, "", "applied"))
        for at, share in later:
            split = Split(("control", "treatment"), (10_000 - 100 * share, 100 * share))
            entry = Entry(at, "me", None, split, "more", "applied")
            obj = with_ledger(obj, ledger_of(obj).with_entry(entry))
        DirectoryClient(Path("state") / local_world.WORLD).create(obj)
        capsys.readouterr()
        assert run(["analyze", str(file), "--state", "state", "--prometheus", url, "-ojson"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return ask
