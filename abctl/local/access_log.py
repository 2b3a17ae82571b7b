"""The reader of Envoy's access log: counts what clients got, in a process of its own."""

import sys
from pathlib import Path

from abctl.core.experiment import Experiment
from abctl.core.server import clients_environment
from abctl.local.plan import Command
from abctl.local.stack import HOST


def command(experiment: Experiment, name: str, port: int, state_dir: Path) -> Command:
    """How it is started.

    Args:
        experiment: whose clients.
        name: of the abstract socket to which Envoy sends the log: it is of this machine alone.
        port: of the page with its counters.
        state_dir: the folder of the stack.
    """
    return Command(
        name="access-log",
        argv=(sys.executable, "-P", "-m", "ab_runtime.clients"),
        folder=state_dir,
        environment=clients_environment(experiment, f"unix-abstract:{name}", f"{HOST}:{port}"),
        ready_port=port,
        ready_path="/ready",
    )
