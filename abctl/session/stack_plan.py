"""What the local stack of an experiment consists of: processes, and the ports between them."""

import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from abctl.core.experiment import Experiment, PredictionLog
from abctl.core.server import environment
from abctl.local import (
    access_log,
    collector,
    envoy,
    mlserver,
    ports,
    predictions,
    prometheus,
    scraper,
)
from abctl.local.identity import Identity
from abctl.local.model_folder import ModelFolder
from abctl.local.plan import Command, Plan
from abctl.local.stack import HOST, Server, Stack
from abctl.platforms import platform
from abctl.platforms.envoy import Others, bootstrap
from abctl.session import local_world

_PORTS, _PORTS_OF_SERVER = 4, 3


@dataclass(frozen=True)
class Options:
    """What may be otherwise in a local stack, and is none of the experiment.

    Attributes:
        scrape_seconds: how often counters are read.
        log: of predictions, in place of the experiment's; None for that.
    """

    scrape_seconds: float = 1.0
    log: PredictionLog | None = None


def ports_for(experiment: Experiment, port: int | None) -> AbstractContextManager[list[int]]:
    """The ports of its stack, that of the entrance first: the named one, if there is one."""
    count = _PORTS + _PORTS_OF_SERVER * len(experiment.served) + bool(experiment.outcomes)
    return ports.kept(count, *([] if port is None else [port]))


def planned(
    experiment: Experiment,
    state_dir: Path,
    models: Mapping[str, ModelFolder],
    *,
    free: list[int],
    options: Options,
    tied: bool,
) -> Plan:
    """Everything that runs for it, on free ports, and for how long; `models` are by variant.

    Raises:
        SpecError: its models are others.
        UsageError: Envoy is not installed, or MLServer finds nothing in such a folder.
    """
    program = prometheus.find()
    entrance, admin, counters, clients, *behind = free
    servers = tuple(
        Server(v.name, v.model.name, behind.pop(), behind.pop(), behind.pop())
        for v in experiment.served
    )
    commands = list[Command]()
    takes: int | None = None
    own: Mapping[str, str] = {}
    if experiment.outcomes:
        takes = behind.pop()
        own = collector.environment(takes, state_dir)
        commands.append(collector.command(experiment, takes, state_dir))
    commands += [
        mlserver.command(
            server,
            models[server.variant],
            {
                **environment(experiment, server.variant),
                **own,
                **predictions.environment(options.log or experiment.log, server.variant, state_dir),
            },
            state_dir,
        )
        for server in servers
    ]
    log = f"abctl-log-{admin}" if experiment.access_log else None
    if log:
        commands.append(access_log.command(experiment, log, clients, state_dir))
    static = bootstrap(
        experiment,
        listen=entrance,
        admin=admin,
        upstreams={server.variant: (HOST, server.http_port) for server in servers},
        grpc={server.variant: (HOST, server.grpc_port) for server in servers},
        others=Others(collector=None if takes is None else (HOST, takes), log=log),
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
                program,
                counters,
                prometheus.configuration(
                    servers,
                    admin,
                    options.scrape_seconds,
                    collector=takes,
                    access_log=clients if log else None,
                ),
                state_dir,
            )
        )
    else:
        commands.append(
            scraper.command(
                counters,
                servers,
                options.scrape_seconds,
                state_dir,
                others=[*([clients] if log else []), *([] if takes is None else [takes])],
                envoy_admin=admin,
            )
        )
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
