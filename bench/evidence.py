"""Seconds and memory of reading evidence, against the full raw pull by the client of Prometheus.

Blocks of Prometheus are built by promtool (once, below ~/.cache/abctl/bench), a real Prometheus
serves them, and each way to read them is a process of its own.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from _blocks import BEGIN, COUNTERS, INTERVAL_SECONDS, Shape, blocks
from _table import machine, markdown, target
from prometheus_api_client import PrometheusConnect

from abctl.core import polls
from abctl.core.polls import Window
from abctl.evidence.cache import Cache
from abctl.evidence.read import read
from abctl.local.ports import kept
from abctl.sources.prometheus import Prometheus

FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "abctl" / "bench"
SHORT, LONG = Shape(pods=2, scrapes=10_420), Shape(pods=8, scrapes=20_840)
_RAW_CHUNK_SECONDS = 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="64 million samples instead of 8")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(json.loads(arguments.child))
        return
    program = Path(os.environ.get("ABCTL_PROMETHEUS") or shutil.which("prometheus") or "prometheus")
    promtool = program.with_name("promtool")
    if not promtool.exists():
        sys.exit("error: no Prometheus with promtool\nhint: make bench, or set ABCTL_PROMETHEUS")
    shape = LONG if arguments.long else SHORT
    print(f"building {shape.samples:,} samples in {FOLDER}, once ...", file=sys.stderr)
    data = blocks(shape, FOLDER, str(promtool))
    with serving(data, program) as (url, server), tempfile.TemporaryDirectory() as cache:
        print(report(shape, url, server, Path(cache)))


def report(shape: Shape, url: str, server: int, cache: Path) -> str:
    base = {"url": url, "server": server, "end": shape.end, "variants": "ab"}
    base["even"] = polls.EVEN_POLLS
    full = run({**base, "way": "full"})
    cold = run({**base, "way": "thin", "cache": str(cache)})
    warm = run({**base, "way": "thin", "cache": str(cache)})
    rows = [
        ("full raw pull", *figures(full, full), "", "", ""),
        (
            "cold",
            *figures(cold, full),
            *target(cold["seconds"] / full["seconds"], 0.1, "x", at_least=False),
        ),
        (
            "warm",
            *figures(warm, full),
            *target(warm["seconds"] / full["seconds"], 0.01, "x", at_least=False),
        ),
        ("memory of cold", *figures(cold, full), *target(cold["mib"], 500, " MiB", at_least=False)),
    ]
    half = BEGIN + (shape.end - BEGIN) / 2
    quarter = BEGIN + (shape.end - BEGIN) / 4
    grown = [
        ("a quarter of the time", {"end": quarter}),
        ("half of the time", {"end": half}),
        ("half of the series", {"variants": "a"}),
        ("half of the polls", {"even": polls.EVEN_POLLS // 2}),
        ("twice the polls", {"even": polls.EVEN_POLLS * 2}),
    ]
    heads = ("seconds", "of CPU", "of full", "MiB", "polls")
    table = markdown(("", *heads, "measured", "wanted", ""), rows)
    growth = markdown(
        ("cold", *heads),
        [(name, *figures(run({**base, "way": "thin", **change}), full)) for name, change in grown],
    )
    head = f"{shape.samples:,} samples of {shape.series:,} series; {machine()}"
    assert full["total"] >= shape.samples
    assert cold["total"] == warm["total"] > 0
    return f"{head}\n\n{table}\n\n{growth}"


def figures(found: dict, full: dict) -> tuple[str, ...]:
    used = found["cpu_seconds"]
    of_full = "" if found is full else f"{used / full['cpu_seconds']:.3f}x"
    numbers = (f"{found['seconds']:.2f}", f"{used:.2f}", of_full)
    return (*numbers, f"{found['mib']:.0f}", f"{found['polls']}")


def run(task: dict) -> dict:
    command = [sys.executable, __file__, "--child", json.dumps(task)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    print(task["way"], found, file=sys.stderr)
    return found


def child(task: dict) -> None:
    selectors = [f'{c}_total{{variant="{v}"}}' for v in task["variants"] for c in COUNTERS]
    begin, used = time.perf_counter(), cpu_seconds(task["server"])
    found = full_pull(task, selectors) if task["way"] == "full" else thin(task, selectors)
    seconds = time.perf_counter() - begin
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu = cpu_seconds(task["server"]) - used
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "mib": mib, **found}))


def cpu_seconds(server: int) -> float:
    """What this process and the server have used: more telling than seconds on a busy machine."""
    fields = Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def full_pull(task: dict, selectors: list[str]) -> dict:
    """Every sample, one selector and hour after the other; only what the client makes of them."""
    client = PrometheusConnect(task["url"])
    count = 0
    for selector in selectors:
        for end in np.arange(BEGIN, task["end"], _RAW_CHUNK_SECONDS) + _RAW_CHUNK_SECONDS:
            query = f"{selector}[{_RAW_CHUNK_SECONDS}s]"
            answer = client.custom_query(query, {"time": str(end)})
            count += sum(len(entry["values"]) for entry in answer)
    return {"polls": "", "total": count}


def thin(task: dict, selectors: list[str]) -> dict:
    import abctl.cli  # noqa: F401, PLC0415 - the command looks for garbage less often

    polls.EVEN_POLLS = task["even"]
    source = Prometheus(task["url"])
    end = task["end"]
    # One change of the split after a third of the time.
    middle = BEGIN + (end - BEGIN) // 3
    first = BEGIN + 20 * INTERVAL_SECONDS
    windows = [Window(0, float(first), middle - 0.5), Window(1, middle + 60.25, end)]
    cache = None
    if "cache" in task:
        cache = Cache(Path(task["cache"]), source.cached_as, source.now())
    samples = read(source, windows, selectors, end, cache=cache)
    grid = samples.polls(selectors)
    total = sum(float(samples.rows(selector, grid).total().sum()) for selector in selectors)
    return {"polls": len(grid.epoch), "total": total}


@contextmanager
def serving(data: Path, program: Path) -> Iterator[tuple[str, int]]:
    """The address and pid of a Prometheus that serves the blocks; they are left as they are."""
    with tempfile.TemporaryDirectory() as folder, kept(1) as (port,):
        for block in data.iterdir():
            shutil.copytree(block, Path(folder) / block.name)
        (config := Path(folder) / "prometheus.yaml").write_text("global: {}\n")
        url = f"127.0.0.1:{port}"
        command = [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}",
            "--storage.tsdb.retention.time=100y",
            "--storage.tsdb.min-block-duration=2h",
            "--storage.tsdb.max-block-duration=2h",
            f"--web.listen-address={url}",
            "--log.level=error",
        ]
        with subprocess.Popen(command) as process:
            try:
                until_ready(f"http://{url}/-/ready", process)
                yield f"http://{url}", process.pid
            finally:
                process.terminate()


def until_ready(url: str, process: subprocess.Popen) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("error: Prometheus did not start")


if __name__ == "__main__":
    main()
