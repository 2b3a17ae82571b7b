"""Prometheus: the real server, where this machine has one."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from abctl.errors import UsageError
from abctl.local.plan import Command
from abctl.local.stack import HOST, Server


def find(environment: Mapping[str, str] = os.environ) -> Path | None:
    """The binary: ABCTL_PROMETHEUS, else `prometheus` in PATH, else None.

    Raises:
        UsageError: ABCTL_PROMETHEUS names no program.
    """
    if named := environment.get("ABCTL_PROMETHEUS"):
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise UsageError(
                f"ABCTL_PROMETHEUS={named}: no such program",
                "name the program, or unset it: abctl then uses the one on the PATH, or scrapes",
            )
        return Path(named).resolve()
    found = shutil.which("prometheus", path=environment.get("PATH"))
    return Path(found) if found else None


def command(
    program: Path,
    port: int,
    configuration: Mapping[str, object],
    state_dir: Path,
) -> Command:
    """Write the configuration and say how it is started."""
    data = state_dir / "prometheus"
    data.mkdir()
    path = state_dir / "prometheus.json"  # JSON is YAML
    path.write_text(json.dumps(configuration, indent=1))
    options = {
        "config.file": path,
        "storage.tsdb.path": data,
        "web.listen-address": f"{HOST}:{port}",
        "log.level": "warn",
    }
    return Command(
        name="prometheus",
        argv=(str(program), *(f"--{name}={value}" for name, value in options.items())),
        folder=state_dir,
        environment={},
        ready_port=port,
        ready_path="/-/ready",
    )


def configuration(
    servers: tuple[Server, ...],
    envoy_admin_port: int,
    scrape_seconds: float,
    collector: int | None = None,
    access_log: int | None = None,
) -> dict[str, object]:
    """What is scraped: every model server with its variant as a label, Envoy, and who counts.

    Those are the collector, and the reader of the access log; each says whose its counts are.
    """
    interval = f"{round(scrape_seconds * 1000)}ms"
    targets = [
        {"targets": [f"{HOST}:{s.metrics_port}"], "labels": {"variant": s.variant}} for s in servers
    ]
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            *(
                {
                    "job_name": name,
                    "honor_labels": True,
                    "static_configs": [{"targets": [f"{HOST}:{port}"]}],
                }
                for name, port in (("collector", collector), ("access-log", access_log))
                if port
            ),
            # The runtime's own metrics say their variant themselves.
            {"job_name": "mlserver", "honor_labels": True, "static_configs": targets},
            {
                "job_name": "envoy",
                "metrics_path": "/stats/prometheus",
                "static_configs": [{"targets": [f"{HOST}:{envoy_admin_port}"]}],
            },
        ],
    }
