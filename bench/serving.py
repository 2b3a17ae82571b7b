"""Requests per second and latency: the local stack against naive.py, in interleaved rounds.

Only ratios of one round are compared; their medians are printed. Run it by `make bench`.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from _table import machine, markdown, target

from abctl.local.ports import kept
from abctl.session import local_stack
from abctl.spec import parse

HERE = Path(__file__).parent
MODELS = HERE.parent / "model_servers"
FLOWER = [5.1, 3.5, 1.4, 0.2]
V2 = {"inputs": [{"name": "predict", "shape": [1, 4], "datatype": "FP32", "data": FLOWER}]}
INFER = "/v2/models/iris/infer"
USERS = 2000
EXPERIMENT = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: bench}
spec:
  platform: envoy
  assignment: {unit: user, key: x-user-id, salt: bench-1, override: x-force}
  variants:
    - {name: control,   split: 50%, model: {name: iris, version: v1}}
    - {name: treatment, split: 50%, model: {name: iris, version: v2}}
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 2pp}
"""


@dataclass(frozen=True)
class Load:
    """What wrk asks, and where."""

    name: str
    url: str
    path: str
    body: str
    connections: int
    pids: tuple[int, ...]
    headers: tuple[str, ...] = ()

    def run(self, seconds: int) -> dict[str, float]:
        """Requests per second (rps), latencies in ms, CPU time of the servers for a request."""
        wrk = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "-s", str(HERE / "wrk.lua")]
        arguments = [self.url, "--", self.path, self.body, str(USERS), *self.headers]
        cpu_before = cpu_seconds(self.pids)
        done = subprocess.run([*wrk, *arguments], check=True, capture_output=True, text=True)
        cpu = cpu_seconds(self.pids) - cpu_before
        found = json.loads(done.stdout.splitlines()[-1])
        if found["failed"]:
            sys.exit(f"error: {self.name}: {found['failed']} of {found['requests']} failed")
        rps, cpu_us = found["requests"] / found["seconds"], 1e6 * cpu / found["requests"]
        return {**found, "rps": rps, "cpu_us": cpu_us}


def cpu_seconds(pids: tuple[int, ...]) -> float:
    """What these processes have used so far, in user and kernel mode."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


@contextmanager
def watch_others(pids: tuple[int, ...], found: list[float]) -> Iterator[None]:
    """Append the share of the machine that other processes took, in the meantime."""

    def own() -> float:
        wrk = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cpu_seconds(pids) + time.process_time() + wrk.ru_utime + wrk.ru_stime

    def busy() -> tuple[float, float]:
        ticks = [
            int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        ]
        return sum(ticks), sum(ticks) - ticks[3] - ticks[4]  # all, and without idle and I/O wait

    own_before, (all_before, busy_before) = own(), busy()
    yield
    all_after, busy_after = busy()
    own_ticks = (own() - own_before) * os.sysconf("SC_CLK_TCK")
    found.append((busy_after - busy_before - own_ticks) / (all_after - all_before))


@contextmanager
def naive() -> Iterator[tuple[str, int]]:
    """naive.py as a process of its own; gives its URL and process id."""
    with kept(1) as (port,):
        uvicorn = [sys.executable, "-m", "uvicorn", "naive:app", "--app-dir", str(HERE)]
        options = ["--port", str(port), "--log-level", "warning"]
        process = subprocess.Popen([*uvicorn, *options], env={"OMP_NUM_THREADS": "1"})
        try:
            url = f"http://127.0.0.1:{port}"
            while not answers(f"{url}/docs"):
                if process.poll() is not None:
                    sys.exit("error: naive.py did not start")
                time.sleep(0.1)
            yield url, process.pid
        finally:
            process.terminate()
            process.wait()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def stack() -> Iterator[local_stack.Stack]:
    """The local stack, as `abctl local up` starts it."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "stack"
        try:
            yield local_stack.up(
                parse(EXPERIMENT, "bench"),
                state_dir=state,
                models_dir=MODELS,
                tied=True,
                report=lambda line: print(line, file=sys.stderr),
            )
        finally:
            local_stack.down(state)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="for each of the five in a round")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        sys.exit("error: wrk is not installed\nhint: apt install wrk")
    with naive() as (naive_url, naive_pid), stack() as running:
        server, entrance = running.servers[0].url, running.entrance_url
        body, flower = json.dumps(V2), json.dumps({"features": FLOWER})
        pids = {process.name: process.pid for process in running.processes}
        one = pids["mlserver-control"]
        both = (one, pids["mlserver-treatment"], pids["envoy"])
        forced = ("x-force", "control")
        loads = (
            Load("naive, 16 connections", naive_url, "/predict", flower, 16, (naive_pid,)),
            Load("one MLServer, 16 connections", server, INFER, body, 16, (one,)),
            Load("Envoy, split over both, 16 connections", entrance, INFER, body, 16, both),
            Load("one MLServer, 1 connection", server, INFER, body, 1, (one,)),
            Load("Envoy to that one, 1 connection", entrance, INFER, body, 1, both, forced),
        )
        for load in loads:
            load.run(1)
        rounds: list[list[dict[str, float]]] = []
        others: list[float] = []
        with watch_others((naive_pid, *pids.values()), others):
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
                rounds.append([load.run(options.seconds) for load in loads])
    show(loads, rounds, others[0])


def show(loads: tuple[Load, ...], rounds: list[list[dict[str, float]]], others: float) -> None:
    def median(which: int, key: str) -> float:
        return statistics.median(each[which][key] for each in rounds)

    def ratio(one: int, other: int, key: str) -> float:
        return statistics.median(each[one][key] / each[other][key] for each in rounds)

    added_ms = statistics.median(each[4]["p50_ms"] - each[3]["p50_ms"] for each in rounds)
    print(f"{len(rounds)} interleaved rounds; {machine()}")
    doubt = ": too much to trust these figures" if others > BUSY else ""
    print(f"other processes took {max(others, 0):.0%} of the machine{doubt}\n")
    print(
        markdown(
            ("medians", "requests/s", "p50 ms", "p99 ms", "CPU us/request"),
            [
                (load.name, *(f"{median(i, key):.{d}f}" for key, d in KEYS))
                for i, load in enumerate(loads)
            ],
        )
    )
    print()
    print(
        markdown(
            ("medians of the ratios", "measured", "wanted", ""),
            [
                (
                    "one MLServer / naive, requests/s",
                    *target(ratio(1, 0, "rps"), 7, "x", at_least=True),
                ),
                (
                    "Envoy and both / naive, requests/s",
                    *target(ratio(2, 0, "rps"), 4, "x", at_least=True),
                ),
                (
                    "Envoy and both / naive, p99",
                    *target(ratio(2, 0, "p99_ms"), 1.0, "x", at_least=False),
                ),
                ("Envoy's added p50, 1 connection", *target(added_ms, 0.5, " ms", at_least=False)),
            ],
        )
    )


BUSY = 0.1
KEYS = (("rps", 0), ("p50_ms", 2), ("p99_ms", 2), ("cpu_us", 0))

if __name__ == "__main__":
    main()
