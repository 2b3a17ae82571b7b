"""`python -m abctl.local.supervisor DIRECTORY`: starts a stack, watches it, stops it.

It holds the lock that it was given as an open file, so the lock says whether it lives. A process
that ends by itself is recorded, never started again: what it did not count would go unnoticed.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from abctl.errors import UsageError
from abctl.local import logs
from abctl.local import plan as plans
from abctl.local import stack as stacks
from abctl.local.identity import Identity, die_with, wait_for
from abctl.local.plan import Command, Plan
from abctl.local.stack import HOST, SUPERVISOR, Process, Stack

# MLServer gives its gRPC clients five seconds.
GRACE_SECONDS = 8.0
_POLL_SECONDS = 0.1
_PROBE_SECONDS = 1.0


def main(state_dir: Path) -> None:
    """Run the plan of a folder until a signal, or until its starter or its state is gone."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: asked.append(got))
    plan = plans.read(state_dir)
    running: dict[str, subprocess.Popen[bytes]] = {}
    lasting, trouble = False, ""
    try:
        noted = stack = _start(plan, running)
        while not asked and stacks.known(state_dir) and (plan.starter.alive or lasting):
            time.sleep(_POLL_SECONDS)
            stack = _look(plan, stack, running)
            lasting = lasting or (stack.ready and not plan.tied)
            if stack != noted:
                if not (failed := _note(stack)):
                    noted = stack
                elif failed != trouble:
                    _say(f"{failed}; the stack goes on and tries again")
                trouble = failed
    finally:
        _stop_all(running)
        stacks.forget(state_dir)


def _start(plan: Plan, running: dict[str, subprocess.Popen[bytes]]) -> Stack:
    state_dir = plan.stack.state_dir
    me = Identity.of(os.getpid())
    supervisor = Process(SUPERVISOR, me, "ready", logs.path(state_dir, SUPERVISOR))
    stack = replace(plan.stack, processes=(supervisor,))
    stacks.write(stack)
    for command in plan.commands:
        log = logs.path(state_dir, command.name)
        with log.open("ab") as output:
            child = subprocess.Popen(
                command.argv,
                cwd=command.folder,
                env={**os.environ, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Safe: this process has no other thread.
                preexec_fn=die_with(me.pid),  # noqa: PLW1509
            )
        running[command.name] = child
        started = Process(command.name, Identity.of(child.pid), "starting", log)
        stack = replace(stack, processes=(*stack.processes, started))
        stacks.write(stack)
    return stack


def _look(plan: Plan, stack: Stack, running: dict[str, subprocess.Popen[bytes]]) -> Stack:
    statuses = {p.name: p.status for p in stack.processes}
    for command in plan.commands:
        exit_code = running[command.name].poll()
        if exit_code is not None and statuses[command.name] != "dead":
            stack = stack.with_status(command.name, "dead", exit_code)
        elif statuses[command.name] == "starting" and _answers(command):
            stack = stack.with_status(command.name, "ready")
    return stack


def _note(stack: Stack) -> str:
    """Write what has changed; gives why it cannot be written, which ends nothing.

    Who reads the file looks for themselves whether the processes live.
    """
    try:
        stacks.write(stack)
    except UsageError as error:
        return error.message
    return ""


def _say(message: str) -> None:
    """In the log, which may be on the disk that is full."""
    with suppress(OSError):
        os.write(sys.stderr.fileno(), f"{message}\n".encode())


def _answers(command: Command) -> bool:
    connection = http.client.HTTPConnection(HOST, command.ready_port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", command.ready_path)
        answer = connection.getresponse()
        said = answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return False
    else:
        return answer.status == http.HTTPStatus.OK and command.ready_text in said
    finally:
        connection.close()


def _stop_all(running: dict[str, subprocess.Popen[bytes]]) -> None:
    children = running.values()
    for child in children:
        child.terminate()
    wait_for(lambda: all(child.poll() is not None for child in children), GRACE_SECONDS)
    for child in children:
        child.kill()
        child.wait()


if __name__ == "__main__":
    # The starter waits for the first process only, so that it never has a child to bury.
    if os.fork():
        os._exit(0)
    main(Path(sys.argv[1]))
