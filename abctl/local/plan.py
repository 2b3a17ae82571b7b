"""What a supervisor has to run: written by `up`, read by the supervisor."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from abctl import forms
from abctl.forms import stack as form
from abctl.local import stack as stacks
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
    found = form.Plan(
        stack=stacks.form_of(plan.stack),
        commands=tuple(
            form.Command(
                name=c.name,
                argv=tuple(map(str, c.argv)),
                folder=str(c.folder),
                environment=c.environment,
                ready_port=c.ready_port,
                ready_path=c.ready_path,
                ready_text=c.ready_text,
            )
            for c in plan.commands
        ),
        starter=forms.like(plan.starter, form.Starter),
        tied=plan.tied,
    )
    path = plan.stack.state_dir / _PLAN_FILE
    path.write_text(json.dumps(forms.plain_of(found), indent=1))


def read(state_dir: Path) -> Plan:
    """The plan of a folder.

    Raises:
        ClusterError: a newer abctl has written it.
        DamagedError: it is not as it was written.
    """
    path = state_dir / _PLAN_FILE
    document = json.loads(path.read_text())
    stacks.require_known(path, document)
    found = forms.form_of(document, form.Plan)
    known = forms.plain_of(found.stack)
    stack = stacks.stack_of(found.stack, forms.unknown(document["stack"], known))
    return Plan(
        replace(stack, state_dir=state_dir),
        tuple(
            Command(
                c.name,
                c.argv,
                Path(c.folder),
                c.environment,
                c.ready_port,
                c.ready_path,
                c.ready_text,
            )
            for c in found.commands
        ),
        forms.domain_of(found.starter, Identity),
        found.tied,
    )
