"""The state of a local stack, and what its supervisor is told to run; paths are texts."""

from collections.abc import Mapping
from typing import Literal

from abctl.forms import Form, author

# To be raised whenever an abctl of before must not read what is written; 1 is also what does not
# say it.
FORMAT = 1
HEAD = ("apiVersion", "format", "writtenBy")


class Process(Form):
    """One process; `exit_code` is negative for a signal, None where nobody saw it."""

    name: str
    status: Literal["starting", "ready", "dead"]
    log: str
    exit_code: int | None
    pid: int
    born: str


class Server(Form):
    """The model server of a variant."""

    variant: str
    model: str
    http_port: int
    grpc_port: int
    metrics_port: int


class Stack(Form):
    """A stack, with its processes as far as they were started."""

    experiment: str
    state_dir: str
    started: float
    entrance_url: str
    envoy_admin_url: str
    prometheus_url: str | None
    servers: tuple[Server, ...]
    processes: tuple[Process, ...]


class State(Stack):
    """The file `state.json`."""

    apiVersion: str = "abctl.dev/v1"  # noqa: N815 - as it is written
    format: int = FORMAT
    writtenBy: str = author()  # noqa: N815


class Starter(Form):
    """A process of this machine."""

    pid: int
    born: str


class Command(Form):
    """How a process is started, and when it is ready."""

    name: str
    argv: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]
    ready_port: int
    ready_path: str
    ready_text: str


class Plan(Form):
    """The file `plan.json`: for whom the supervisor runs what."""

    stack: Stack
    commands: tuple[Command, ...]
    starter: Starter
    tied: bool
    format: int = FORMAT
    writtenBy: str = author()  # noqa: N815
