"""What runs: the state of a stack, as the supervisor writes it and everybody else reads it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from signal import Signals
from typing import Any, Literal

from abctl.errors import NotFoundError, UsageError
from abctl.files import read as read_file
from abctl.files import replace as replace_file
from abctl.local.identity import Identity, wait_for

HOST = "127.0.0.1"
SUPERVISOR = "supervisor"
_API_VERSION = "abctl.dev/v1"
STATE_FILE = "state.json"
_NOTED_SECONDS = 0.5

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
    """A running stack. `prometheus_url` is None without a Prometheus on this machine."""

    experiment: str
    state_dir: Path
    started: float
    entrance_url: str
    envoy_admin_url: str
    prometheus_url: str | None
    servers: tuple[Server, ...]
    processes: tuple[Process, ...]

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

    def document(self) -> dict[str, Any]:
        """As plain data, for state.json and for `-o json`."""
        data = asdict(self)
        data["processes"] = [p | p.pop("identity") for p in data["processes"]]
        return json.loads(json.dumps(data, default=str))  # type: ignore[no-any-return]

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> "Stack":
        """The inverse of `document`."""
        processes = [
            Process(
                name=p["name"],
                identity=Identity(p["pid"], p["born"]),
                status=p["status"],
                log=Path(p["log"]),
                exit_code=p["exit_code"],
            )
            for p in data["processes"]
        ]
        known = {k: data[k] for k in cls.__dataclass_fields__}
        servers = tuple(Server(**s) for s in data["servers"])
        state_dir = Path(data["state_dir"])
        return cls(
            **known | {"servers": servers, "processes": tuple(processes), "state_dir": state_dir}
        )


def write(stack: Stack) -> None:
    """Replace the state file in one step, so that no reader gets half of it.

    Raises:
        UsageError: it cannot be written.
    """
    text = json.dumps({"apiVersion": _API_VERSION, **stack.document()}, indent=1)
    replace_file(stack.state_dir / STATE_FILE, text)


def read(state_dir: Path) -> Stack:
    """The stack of a folder, as it is now.

    Raises:
        NotFoundError: nothing was started there, or it was stopped.
    """
    stack = _noted(state_dir)
    if stack.supervisor.identity.alive and stack != stack.as_it_is():
        # It is about to note how something ended, unless its disk is full.
        wait_for(lambda: (found := _noted(state_dir)) == found.as_it_is(), _NOTED_SECONDS)
        stack = _noted(state_dir)
    return stack.as_it_is()


def _noted(state_dir: Path) -> Stack:
    clean = f"abctl local down --state {state_dir} cleans up, abctl local up starts afresh"
    try:
        return Stack.parse(json.loads(read_file(state_dir / STATE_FILE)))
    except FileNotFoundError:
        raise NotFoundError(
            f"no local stack runs in {state_dir}", "abctl local up EXPERIMENT starts one"
        ) from None
    except OSError as error:
        require_folder(state_dir)
        raise NotFoundError(f"{error.filename}: {error.strerror}", clean) from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise NotFoundError(f"{state_dir / STATE_FILE} is damaged ({error})", clean) from None


def require_folder(state_dir: Path) -> None:
    """Make sure that a state folder is a folder, or does not exist.

    Raises:
        UsageError: it is something else.
    """
    if state_dir.exists() and not state_dir.is_dir():
        raise UsageError(
            f"--state {state_dir}: not a folder", "the folder of a local stack: .abctl/EXPERIMENT"
        )


def known(state_dir: Path) -> bool:
    """Whether there is a state file."""
    return (state_dir / STATE_FILE).exists()


def forget(state_dir: Path) -> None:
    """Remove the state file; a supervisor that still runs then ends as well."""
    (state_dir / STATE_FILE).unlink(missing_ok=True)
