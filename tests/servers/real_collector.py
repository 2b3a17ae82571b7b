"""A collector process that tests start, and what its page says."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import requests
from own_ports import free_ports
from prometheus_client.parser import text_string_to_metric_families

from ab_runtime.token import Answer, Keys

DEADLINE_SECONDS = 300.0


class RealCollector:
    """A process, its file of settings and its memory."""

    def __init__(self, folder: Path, maturity_seconds: float, buckets: int = 4) -> None:
        (port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{port}"
        self.folder = folder
        (folder / "keys.json").write_text(Keys.fresh())
        self.keys = Keys.from_file(folder / "keys.json")
        outcomes = [
            {"name": "click", "kind": "binary", "per": ["outcome", "user"]},
            {"name": "spent", "kind": "number", "times": "many"},
            {"name": "back", "kind": "return", "afterSeconds": 1.2, "per": ["user"]},
        ]
        settings = {
            "variants": ["control", "treatment"],
            "buckets": buckets,
            "outcomes": [each | {"maturitySeconds": maturity_seconds} for each in outcomes],
            "keys": str(folder / "keys.json"),
            "memory": str(folder / "memory.db"),
            "port": port,
        }
        (folder / "collector.json").write_text(json.dumps(settings))
        self.start()

    def matures_in(self, seconds: float) -> None:
        """Start again, with another maturity of all outcomes and a new memory."""
        self.kill()
        for each in self.folder.glob("memory.db*"):
            each.unlink()
        settings = json.loads((self.folder / "collector.json").read_text())
        for each in settings["outcomes"]:
            each["maturitySeconds"] = seconds
        (self.folder / "collector.json").write_text(json.dumps(settings))
        self.start()

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "ab_runtime.collector",
            str(self.folder / "collector.json"),
        ]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + DEADLINE_SECONDS
        while not self._ready():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < end
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/ready", timeout=5).ok
        except requests.ConnectionError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def token(self, variant: str, unit: str, at_ms: int | None = None) -> str:
        moment = time.time_ns() // 1_000_000 if at_ms is None else at_ms
        return self.keys.token(Answer(variant, str(len(unit) % 4), moment, unit))

    def post(self, body: Any, path: str = "/feedback", **headers: str) -> requests.Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return requests.post(self.url + path, raw, headers=headers, timeout=30)

    def sum(self, name: str, **labels: str) -> float:
        page = requests.get(f"{self.url}/metrics", timeout=30).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(page)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def until_counted(self, wanted: float, name: str, **labels: str) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while (found := self.sum(name, **labels)) != wanted:
            assert found < wanted
            assert time.monotonic() < end, f"{name} {labels}: {found}, not {wanted}"
            time.sleep(0.1)
