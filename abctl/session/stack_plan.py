"""What the local stack of an experiment consists of: processes, and the ports between them."""

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from abctl.core.experiment import Experiment, environment
from abctl.local import envoy, mlserver, ports, prometheus, scraper
from abctl.local.identity import Identity
from abctl.local.plan import Plan
from abctl.local.stack import HOST, Server, Stack
from abctl.platforms import platform
from abctl.platforms.envoy import bootstrap
from abctl.session import local_world

_PORTS, _PORTS_OF_SERVER = 3, 3


def ports_for(experiment: Experiment, port: int | None) -> AbstractContextManager[list[int]]:
    """The ports of its stack, that of the entrance first: the named one, if there is one."""
    count = _PORTS + _PORTS_OF_SERVER * len(experiment.served)
    return ports.kept(count, *([] if port is None else [port]))


def planned(
    experiment: Experiment,
    state_dir: Path,
    models_dir: Path,
    *,
    free: list[int],
    scrape_seconds: float,
    tied: bool,
) -> Plan:
    """Everything that runs for it, on free ports, and for how long.

    Raises:
        NotFoundError: a model is missing.
        SpecError: its models are others.
        UsageError: Envoy is not installed, or MLServer finds nothing in such a folder.
    """
    program = prometheus.find()
    entrance, admin, counters, *behind = free
    servers = tuple(
        Server(v.name, v.model.name, behind.pop(), behind.pop(), behind.pop())
        for v in experiment.served
    )
    commands = [
        mlserver.command(
            server, models_dir / v.model.version, environment(experiment, v.name), state_dir
        )
        for server, v in zip(servers, experiment.served, strict=True)
    ]
    static = bootstrap(
        experiment,
        listen=entrance,
        admin=admin,
        upstreams={server.variant: (HOST, server.http_port) for server in servers},
        routes_dir=str(
            state_dir
            / local_world.WORLD
            / "mounts"
            / platform(experiment.platform).target(experiment).name
        ),
        host=HOST,
    )
    commands.append(envoy.command(static, admin, state_dir))
    if program:
        commands.append(
            prometheus.command(
                program, counters, servers, admin, state_dir, scrape_seconds=scrape_seconds
            )
        )
    else:
        commands.append(scraper.command(counters, servers, scrape_seconds, state_dir))
    stack = Stack(
        experiment=experiment.name,
        state_dir=state_dir,
        started=time.time(),
        entrance_url=f"http://{HOST}:{entrance}",
        envoy_admin_url=f"http://{HOST}:{admin}",
        prometheus_url=f"http://{HOST}:{counters}" if program else None,
        servers=servers,
        processes=(),
    )
    return Plan(stack, tuple(commands), Identity.of(os.getpid()), tied)
