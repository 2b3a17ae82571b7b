"""The local stack of an experiment: `up`, `status`, `logs`, `down`."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from abctl.core.experiment import Experiment
from abctl.errors import ClusterError, NotFoundError, SpecError, UsageError
from abctl.local import disk, examples, lifecycle, mlserver, model_folder, ports, predictions, stack
from abctl.local import logs as written
from abctl.local.fetched import fetched
from abctl.local.model_folder import ModelFolder
from abctl.local.ports import PortTakenError
from abctl.local.stack import Stack
from abctl.session import apply, ledger, local_world
from abctl.session.open import STATE_ROOT
from abctl.session.session import Session
from abctl.session.stack_plan import Options, planned, ports_for

TIMEOUT_SECONDS = 300.0
_ACTOR, _WHY = "abctl local up", "the stack was started"
_MOST_STARTS = 5
_AS_USUAL = Options()


def default_state(name: str) -> Path:
    """Where the stack of an experiment of that name keeps its state."""
    return STATE_ROOT / name


def only_state() -> Path:
    """The folder of the only stack that runs here, or else of the only one that ran.

    Raises:
        UsageError: there is none, or there are several.
    """
    running, left = (
        sorted(path.parent for path in STATE_ROOT.glob(f"*/{mark}"))
        for mark in (stack.STATE_FILE, lifecycle.LOCK_FILE)
    )
    if len(found := running or left) == 1:
        return found[0]
    names = ", ".join(path.name for path in found)
    if running:
        raise UsageError(f"which stack? in {STATE_ROOT} run {names}", "name one of them")
    if left:
        raise UsageError(
            f"no stack runs in {STATE_ROOT}",
            f"logs and evidence are left there of {names}: name one of them",
        )
    raise UsageError(
        f"no stack in {STATE_ROOT}", "abctl local up FILE starts one; --state names another folder"
    )


def up(
    experiment: Experiment,
    *,
    state_dir: Path,
    models_dir: Path | None,
    port: int | None = None,
    tied: bool = False,
    options: Options = _AS_USUAL,
    timeout_seconds: float = TIMEOUT_SECONDS,
    report: Callable[[str], None],
) -> Stack:
    """Start the stack and wait until everything answers; one that runs already is left alone.

    A tied one is nobody else's: it refuses a folder where one runs.

    Where a stranger takes one of its ports meanwhile, it starts again with others, a few times;
    but not where that is the one that was named.

    Args:
        experiment: what to run; its split and its ledger start afresh.
        state_dir: the folder of the stack; what an experiment left there is moved aside in it.
        models_dir: holds a folder for each `model.version` that has no `model.path`; the example
            models if None.
        port: of the entrance; a free one if None.
        tied: stop the stack when this process ends, however it ends; then what this experiment
            itself left there is removed.
        options: what else may be otherwise.
        timeout_seconds: how long to wait for readiness.
        report: told of the progress, in words.

    Raises:
        UsageError: what it takes is not installed, or the folder cannot be written.
        SpecError: not an experiment for Envoy, or its models are others than it says.
        NotFoundError: a model is missing.
        NotReadyError: something did not answer in time; everything is stopped again.
        ClusterError: the port is taken, a program is missing, or a process ended while starting
            (with its last lines); everything is stopped again. Or what runs there already is not
            what the file says; it is left alone.
    """
    if experiment.platform != "envoy":
        raise SpecError(
            f"spec.platform: {experiment.platform}, but the local stack is an Envoy",
            "write `platform: envoy`, or apply the experiment to a cluster",
        )
    mlserver.require_installed()
    state_dir = state_dir.resolve()
    session = replace(
        local_world.session(experiment, state_dir), actor=_ACTOR, timeout_seconds=timeout_seconds
    )
    starts = 1
    while True:
        try:
            return _up(
                session,
                state_dir,
                models_dir=models_dir,
                port=port,
                tied=tied,
                options=options,
                report=report,
            )
        except PortTakenError as error:
            if port is not None:
                ports.require_free(port)
            if starts == _MOST_STARTS:
                raise
            starts += 1
            report(f"{error.message.partition(';')[0]}; starting all again with other ports")


def _make_room(
    experiment: Experiment, state_dir: Path, *, tied: bool, report: Callable[[str], None]
) -> None:
    killed = stack.known(state_dir)
    keep = local_world.was_started(state_dir, besides=experiment if tied else None)
    if aside := lifecycle.prepare(state_dir, keep=keep):
        how = "was not stopped (killed, or the machine went down)" if killed else "was stopped"
        report(f"an earlier stack {how}: its ledger, evidence and logs are kept in {aside}")


def _models(
    experiment: Experiment,
    state_dir: Path,
    models_dir: Path | None,
    report: Callable[[str], None],
) -> dict[str, ModelFolder]:
    """The folder of each server's model, checked; the example models where nobody names one."""
    if models_dir is not None and models_dir.exists() and not models_dir.is_dir():
        raise UsageError(f"--models {models_dir}: not a folder", "it has a folder for each version")
    unnamed = [variant for variant in experiment.served if variant.model.path is None]
    if unnamed and models_dir is None:
        models_dir = examples.made(unnamed, state_dir / "models", report)
    found = {}
    for variant in experiment.served:
        folder = model_folder.model_folder(variant, models_dir)
        folder = fetched(variant, folder, state_dir / "fetched" / variant.name)
        found[variant.name] = folder
        for remark in model_folder.check(variant, folder):
            report(remark)
        for what in model_folder.uncounted(folder):
            report(f"warning: of {variant.name} nobody counts {what}")
    return found


def status(state_dir: Path) -> Stack:
    """The stack as it is now; `Stack.dead` says what does not run that should.

    Raises:
        NotFoundError: no stack runs there.
    """
    return stack.read(state_dir)


def entrance_url(experiment: Experiment, state_dir: Path) -> str:
    """Where requests to the experiment go in.

    Raises:
        NotFoundError: no stack runs there.
        ClusterError: it is the stack of another experiment.
    """
    running = stack.read(state_dir)
    _check_same(running, experiment)
    return running.entrance_url


def model_place(experiment: Experiment, state_dir: Path | None) -> Path | None:
    """The folder of the control's model on this machine; None where that is not known."""
    if experiment.control.model.path is not None:
        return Path(experiment.control.model.path)
    if state_dir is None:
        return None
    servers = state_dir / mlserver.SERVERS / experiment.control.name
    return next((each for each in servers.glob("*/") if each.is_dir()), None)


def logs(
    state_dir: Path,
    name: str | None = None,
    *,
    lines: int,
    sleep: Callable[[float], None] | None = None,
) -> Iterator[tuple[str, str]]:
    """Each process's name and last lines, also of a stack that was stopped.

    Args:
        state_dir: the folder of the stack.
        name: of one process; all if None.
        lines: how many of each.
        sleep: if given, new lines follow as long as the stack runs.

    Raises:
        NotFoundError: there is no such process, or there are no logs.
    """
    stack.require_folder(state_dir)
    return written.lines(state_dir, name, lines, sleep, lambda: _runs(state_dir))


def log_of_predictions(
    state_dir: Path,
    variant: str | None = None,
    *,
    lines: int,
    sleep: Callable[[float], None] | None = None,
) -> Iterator[tuple[str, str]]:
    """Each variant's name and last lines of its log of predictions, as `logs` has them.

    Raises:
        NotFoundError: there is no such variant, or no log.
    """
    stack.require_folder(state_dir)
    return predictions.lines(state_dir, variant, lines, sleep, lambda: _runs(state_dir))


def down(state_dir: Path, *, purge: bool = False) -> bool:
    """Stop the stack, also what is left of a broken one; False if nothing ran.

    Args:
        state_dir: the folder of the stack; its logs stay.
        purge: remove the folder too.

    Raises:
        UsageError: the folder is not that of a stack.
        NotReadyError: something cannot be ended.
    """
    lifecycle.require_own(state_dir)
    stopped = lifecycle.stop(state_dir)
    if purge and state_dir.exists():
        lifecycle.remove(state_dir)
    return stopped


def _up(
    session: Session,
    state_dir: Path,
    *,
    models_dir: Path | None,
    port: int | None,
    tied: bool,
    options: Options,
    report: Callable[[str], None],
) -> Stack:
    experiment, launched = session.experiment, False
    fresh = next((each for each in (state_dir.parent, state_dir) if not each.exists()), None)
    with ExitStack() as until_it_runs:
        try:
            with lifecycle.locked(state_dir) as lock:
                if lock is None and tied:
                    lifecycle.refuse(state_dir)
                if lock is None:
                    report(f"a stack runs in {state_dir} already")
                else:
                    _make_room(experiment, state_dir, tied=tied, report=report)
                    models = _models(experiment, state_dir, models_dir, report)
                    free = until_it_runs.enter_context(ports_for(experiment, port))
                    plan = planned(
                        experiment,
                        state_dir,
                        models,
                        free=free,
                        options=options,
                        tied=tied,
                    )
                    apply.create(session, why=_WHY)
                    launched = True
                    lifecycle.launch(plan, lock)
                    names = ", ".join(command.name for command in plan.commands)
                    report(f"starting {names}; state in {state_dir}")
            running = lifecycle.wait_ready(state_dir, session.timeout_seconds, report)
            _check_same(running, experiment)
            if not launched:
                _check_plan(session, state_dir)
            apply.start(session, why=_WHY)
        except BaseException as error:
            if launched:
                report("stopping what was started ...")
                lifecycle.stop(state_dir)
            elif fresh is not None:  # there is nothing in it that anybody could want
                shutil.rmtree(fresh, ignore_errors=True)
            if refused := disk.refusal(error, state_dir, starting=launched):
                raise refused from None
            raise
    return running


def _runs(state_dir: Path) -> bool:
    try:
        return stack.read(state_dir).supervisor.status == "ready"
    except NotFoundError:
        return False


def _check_plan(session: Session, state_dir: Path) -> None:
    experiment = session.experiment
    known = ledger.read(session.world, experiment).ledger
    if changed := known.changed_since(experiment):
        raise ClusterError(
            f"{state_dir} runs {experiment.name} already, but with other {', '.join(changed)} than "
            "the file",
            "put the file back; or stop the stack (its evidence is kept), and start one of the "
            f"file: abctl local down --state {state_dir}, then abctl local up",
        )


def _check_same(running: Stack, experiment: Experiment) -> None:
    if running.experiment != experiment.name:
        raise ClusterError(
            f"{running.state_dir} holds the stack of another experiment, {running.experiment!r}",
            "name another folder with --state, or stop that stack: "
            f"abctl local down --state {running.state_dir}",
        )
