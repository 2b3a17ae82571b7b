"""What runs: the state of a stack, as the supervisor writes it and everybody else reads it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import Signals
from typing import Any, Literal

from abctl import forms
from abctl.errors import ClusterError, NotFoundError, UsageError
from abctl.files import read as read_file
from abctl.files import replace as replace_file
from abctl.forms import stack as form
from abctl.local.identity import Identity, wait_for

HOST = "127.0.0.1"
SUPERVISOR = "supervisor"
STATE_FILE = "state.json"
# A busy machine takes its time; it is waited for only while the supervisor lives.
_NOTED_SECONDS = 5.0

Status = Literal["starting", "ready", "dead"]


@dataclass(frozen=True)
class Process:
    """One process of a stack; `exit_code` is negative for a signal, None where it is unknown."""

    name: str
    identity: Identity
    status: Status
    log: Path
    exit_code: int | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.identity.pid

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        if self.exit_code is None:
            return "ended"
        if self.exit_code < 0:
            return f"was ended by {Signals(-self.exit_code).name}"
        return f"ended with exit code {self.exit_code}"


@dataclass(frozen=True)
class Server:
    """The model server of a variant."""

    variant: str
    model: str
    http_port: int
    grpc_port: int
    metrics_port: int

    @property
    def process(self) -> str:
        """The name of its process."""
        return f"mlserver-{self.variant}"

    @property
    def url(self) -> str:
        """Its own address, past the split."""
        return f"http://{HOST}:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        """Where its counters are read."""
        return f"http://{HOST}:{self.metrics_port}/metrics"


@dataclass(frozen=True)
class Stack:
    """A running stack. `prometheus_url` is None without a Prometheus on this machine.

    `unknown` is what a newer abctl has written of it besides.
    """

    experiment: str
    state_dir: Path
    started: float
    entrance_url: str
    envoy_admin_url: str
    prometheus_url: str | None
    servers: tuple[Server, ...]
    processes: tuple[Process, ...]
    unknown: forms.Unknown = field(default_factory=dict, compare=False, repr=False)

    @property
    def supervisor(self) -> Process:
        """The process that started all others and watches them."""
        return next(p for p in self.processes if p.name == SUPERVISOR)

    @property
    def dead(self) -> tuple[Process, ...]:
        """What should run and does not."""
        return tuple(p for p in self.processes if p.status == "dead")

    @property
    def ready(self) -> bool:
        """Whether everything runs and answers."""
        return all(p.status == "ready" for p in self.processes)

    def with_status(self, name: str, status: Status, exit_code: int | None = None) -> "Stack":
        """The stack after a change of one of its processes."""
        changed = [
            replace(p, status=status, exit_code=exit_code) if p.name == name else p
            for p in self.processes
        ]
        return replace(self, processes=tuple(changed))

    def as_it_is(self) -> "Stack":
        """What no longer runs is dead, even if its end was not recorded."""
        stack = self
        for process in self.processes:
            if process.status != "dead" and not process.identity.alive:
                stack = stack.with_status(process.name, "dead")
        return stack


def form_of(stack: Stack) -> form.Stack:
    """A stack as it is written."""
    return form.Stack(
        experiment=stack.experiment,
        state_dir=str(stack.state_dir),
        started=stack.started,
        entrance_url=stack.entrance_url,
        envoy_admin_url=stack.envoy_admin_url,
        prometheus_url=stack.prometheus_url,
        servers=tuple(forms.like(server, form.Server) for server in stack.servers),
        processes=tuple(
            form.Process(
                name=p.name,
                status=p.status,
                log=str(p.log),
                exit_code=p.exit_code,
                pid=p.identity.pid,
                born=p.identity.born,
            )
            for p in stack.processes
        ),
    )


def stack_of(found: form.Stack, unknown: forms.Unknown) -> Stack:
    """The inverse of `form_of`; `unknown` is what it does not know."""
    processes = (
        Process(p.name, Identity(p.pid, p.born), p.status, Path(p.log), p.exit_code)
        for p in found.processes
    )
    return Stack(
        experiment=found.experiment,
        state_dir=Path(found.state_dir),
        started=found.started,
        entrance_url=found.entrance_url,
        envoy_admin_url=found.envoy_admin_url,
        prometheus_url=found.prometheus_url,
        servers=tuple(forms.domain_of(server, Server) for server in found.servers),
        processes=tuple(processes),
        unknown=unknown,
    )


def write(stack: Stack) -> None:
    """Replace the state file in one step, so that no reader gets half of it.

    Raises:
        UsageError: it cannot be written.
    """
    plain = forms.plain_of(forms.like(form_of(stack), form.State))
    plain = {name: plain.pop(name) for name in form.HEAD} | plain
    text = json.dumps(forms.with_unknown(plain, stack.unknown), indent=1)
    replace_file(stack.state_dir / STATE_FILE, text)


def read(state_dir: Path) -> Stack:
    """The stack of a folder, as it is now.

    Raises:
        NotFoundError: nothing was started there, or it was stopped.
    """
    looks: list[Stack] = []

    def noted_as_it_is() -> bool:
        noted = _noted(state_dir)
        looks.append(noted.as_it_is())
        return looks[-1] == noted or not noted.supervisor.identity.alive

    # How something ended the supervisor notes a moment later, unless its disk is full.
    wait_for(noted_as_it_is, _NOTED_SECONDS)
    return looks[-1]


def _noted(state_dir: Path) -> Stack:
    path = state_dir / STATE_FILE
    clean = f"abctl local down --state {state_dir} cleans up, abctl local up starts afresh"
    try:
        document = json.loads(read_file(path))
        require_known(path, document)
        found = forms.form_of(document, form.State)
        return stack_of(found, forms.unknown(document, forms.plain_of(found)))
    except FileNotFoundError:
        raise NotFoundError(
            f"no local stack runs in {state_dir}", "abctl local up EXPERIMENT starts one"
        ) from None
    except OSError as error:
        require_folder(state_dir)
        raise NotFoundError(f"{error.filename}: {error.strerror}", clean) from None
    except (ValueError, AttributeError, RecursionError, forms.DamagedError) as error:
        raise NotFoundError(f"{path} is damaged ({error})", clean) from None


def require_known(path: Path, document: Mapping[str, Any]) -> None:
    """Make sure that a file of a stack is none of a newer abctl.

    Raises:
        ClusterError: it is.
    """
    version, author = document.get("format", 1), document.get("writtenBy")
    forms.require_known(str(path), version, form.FORMAT, author, ClusterError)


def require_folder(state_dir: Path) -> None:
    """Make sure that a state folder is a folder, or does not exist.

    Raises:
        UsageError: it is something else.
    """
    if state_dir.exists() and not state_dir.is_dir():
        raise UsageError(
            f"--state {state_dir}: not a folder", "the folder of a local stack: .abctl/NAME"
        )


def known(state_dir: Path) -> bool:
    """Whether there is a state file."""
    return (state_dir / STATE_FILE).exists()


def forget(state_dir: Path) -> None:
    """Remove the state file; a supervisor that still runs then ends as well."""
    (state_dir / STATE_FILE).unlink(missing_ok=True)
