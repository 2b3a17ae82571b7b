"""The command `abctl`; it imports next to nothing before somebody is there to be interrupted."""

import gc
import os
import sys


def main() -> None:
    """Entry point; `abctl.errors` has the exit codes."""
    code = 130
    try:
        sys.unraisablehook = _interrupt_again
        from abctl.cli._run import run_or_report  # noqa: PLC0415 - see the module
        from abctl.cli._streams import sound  # noqa: PLC0415 - see the module

        with sound():
            code = run_or_report(sys.argv[1:])
    except KeyboardInterrupt:
        if sys.stderr:
            sys.stderr.write("error: interrupted\nhint: the same command begins anew\n")
    finally:
        gc.freeze()  # the end need not look for garbage either: a twentieth of a short command
        import signal  # noqa: PLC0415 - see the module

        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # Whoever does not want to wait for the end has been told enough.
            signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    sys.exit(code)


def _interrupt_again(ignored: "sys.UnraisableHookArgs") -> None:
    """A Ctrl-C in a callback of the interpreter, such as while modules load, would be lost."""
    if ignored.exc_type is KeyboardInterrupt:
        from _thread import start_new_thread  # noqa: PLC0415 - see the module

        try:
            start_new_thread(_interrupt_soon, ())
        except KeyboardInterrupt:  # and the next one meets this
            start_new_thread(_interrupt_soon, ())
    else:
        sys.__unraisablehook__(ignored)


def _interrupt_soon() -> None:
    from _thread import interrupt_main  # noqa: PLC0415 - see the module
    from time import sleep  # noqa: PLC0415 - see the module

    sleep(0.01)
    interrupt_main()


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code."""
    from abctl.cli import _run  # noqa: PLC0415 - see the module

    return _run.run(arguments)
