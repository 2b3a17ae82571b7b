"""A real Prometheus that has histories from its disk, and `abctl analyze` of them."""

import json
import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from histories import Histories

from abctl.cli.main import run
from abctl.cluster.directory import DirectoryDoor
from abctl.core.epochs import Entry, ledger_of, new_object, with_ledger
from abctl.core.split import Split
from abctl.services import world
from abctl.services.load import load

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


def _prometheus() -> Path:
    found = os.environ.get("ABCTL_PROMETHEUS") or shutil.which("prometheus")
    if found and (binary := Path(found)).with_name("promtool").exists():
        return binary
    message = "no Prometheus with promtool: set ABCTL_PROMETHEUS to the binary (.ci/prometheus)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Histories], str]]:
    """Starts a Prometheus that has some histories; gives its address."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(histories: Histories) -> str:
        binary, folder = _prometheus(), tmp_path_factory.mktemp("prometheus")
        (folder / "pages").write_text(histories.text())
        (folder / "prometheus.yaml").write_text("{}\n")
        promtool = binary.with_name("promtool")
        subprocess.run(
            [promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", "pages", "data"],
            cwd=folder,
            check=True,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        log = folder / "log"
        with log.open("wb") as file:
            command = [binary, "--config.file=prometheus.yaml", "--storage.tsdb.path=data"]
            processes.append(
                subprocess.Popen(
                    [*command, f"--web.listen-address={address}"],
                    cwd=folder,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                )
            )
        while not _ready(url := f"http://{address}"):
            assert processes[-1].poll() is None, log.read_text()
        return url

    yield start
    for process in processes:
        process.terminate()
        process.wait(30)


@pytest.fixture
def analyze(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """`abctl analyze -o json` of an experiment with these shares of the treatment since."""

    def ask(name: str, url: str, shares: Mapping[float, int]) -> dict[str, Any]:
        monkeypatch.chdir(tmp_path)
        first, *later = shares.items()
        file = Path(f"{name}.yaml")
        file.write_text(FILE.format(name=name, control=100 - first[1], treatment=first[1]))
        experiment = load(file)
        obj = new_object(experiment, Entry(first[0], "me", None, experiment.split, "", "applied"))
        for at, share in later:
            split = Split(("control", "treatment"), (10_000 - 100 * share, 100 * share))
            entry = Entry(at, "me", None, split, "more", "applied")
            obj = with_ledger(obj, ledger_of(obj).with_entry(entry))
        DirectoryDoor(Path("state") / world.WORLD).create(obj)
        capsys.readouterr()
        assert run(["analyze", str(file), "--state", "state", "--prometheus", url, "-ojson"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return ask
