"""The scraper of abctl, where this machine has no Prometheus."""

import sys
from collections.abc import Sequence
from pathlib import Path

from abctl.local.plan import Command
from abctl.local.stack import HOST, Server

# What it writes, in the folder of the stack.
SCRAPES = "scrapes.jsonl"


def command(
    port: int,
    servers: tuple[Server, ...],
    scrape_seconds: float,
    state_dir: Path,
    *,
    others: Sequence[int] = (),
    envoy_admin: int | None = None,
) -> Command:
    """How it is started; it is a process of its own, so that it is watched like all others.

    `others` are ports of whoever else counts.
    """
    ports = [*(server.metrics_port for server in servers), *others]
    targets = [f"{HOST}:{each}" for each in ports]
    if envoy_admin is not None:
        targets.append(f"http://{HOST}:{envoy_admin}/stats/prometheus")
    program = (sys.executable, "-m", "abctl.sources.scrape")
    return Command(
        name="scraper",
        argv=(*program, str(port), str(scrape_seconds), str(state_dir / SCRAPES), *targets),
        folder=state_dir,
        environment={},
        ready_port=port,
        ready_path="/",
    )
