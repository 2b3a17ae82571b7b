"""What a supervisor has to run: written by `up`, read by the supervisor."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from abctl.local.identity import Identity
from abctl.local.stack import Stack

_PLAN_FILE = "plan.json"


@dataclass(frozen=True)
class Command:
    """How a process is started, and when it is ready.

    Then a GET of this port and path says 200, and this text.
    """

    name: str
    argv: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]
    ready_port: int
    ready_path: str
    ready_text: str = ""


@dataclass(frozen=True)
class Plan:
    """The stack (without its processes), what to start, and for whom.

    Until everything is ready the supervisor ends with its `starter`, and always if it is `tied`.
    """

    stack: Stack
    commands: tuple[Command, ...]
    starter: Identity
    tied: bool


def write(plan: Plan) -> None:
    """Write the plan into the stack's folder."""
    data = {
        "stack": plan.stack.document(),
        "commands": [asdict(command) for command in plan.commands],
        "starter": asdict(plan.starter),
        "tied": plan.tied,
    }
    path = plan.stack.state_dir / _PLAN_FILE
    path.write_text(json.dumps(data, indent=1, default=str))


def read(state_dir: Path) -> Plan:
    """The plan of a folder."""
    data: dict[str, Any] = json.loads((state_dir / _PLAN_FILE).read_text())
    stack = Stack.parse(data["stack"])
    commands = [Command(**command) for command in data["commands"]]
    return Plan(
        replace(stack, state_dir=state_dir),
        tuple(replace(c, argv=tuple(c.argv), folder=Path(c.folder)) for c in commands),
        Identity(**data["starter"]),
        data["tied"],
    )
