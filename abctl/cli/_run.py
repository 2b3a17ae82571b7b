"""One command line: whatever happens is an exit code and, where it is an error, two lines."""

import os
import sys
from collections.abc import Iterator
from signal import SIG_IGN, SIGINT, signal

from abctl.errors import AbctlError, Interrupted, UsageError


def run(arguments: list[str], *, last: bool = False) -> int:
    """Run a command line and give its exit code; with `last`, the process ends then."""
    try:
        from abctl.cli._app import call  # noqa: PLC0415 - it may be interrupted, or find no memory

        code = call(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        return 0  # whoever read our output has left
    except (Exception, KeyboardInterrupt) as error:
        if (known := _known(error)) is None:
            raise
        if last:  # another Ctrl-C would cut what is told in two
            signal(SIGINT, SIG_IGN)
        _tell("error", known.message, red=True)
        _tell("hint", _as_called(known.hint))
        return known.exit_code
    return code


def run_or_report(arguments: list[str]) -> int:
    """The same, for people: a bug is an exit code as well, and says what to do about it."""
    try:
        return run(arguments, last=True)
    except Exception as error:  # noqa: BLE001 - nobody else sees it
        from traceback import format_exc  # noqa: PLC0415 - seldom needed

        _tell("bug", format_exc())
        _tell("error", f"this is a bug in abctl: {type(error).__name__} {error}".rstrip(), red=True)
        _tell("hint", "please report it, with the lines above and with what was called")
        return 1


def _known(error: BaseException) -> AbctlError | None:
    """What to tell of an error; None of a bug."""
    if isinstance(error, AbctlError):
        return error
    if any(isinstance(cause, KeyboardInterrupt) for cause in _causes(error)):
        return Interrupted("interrupted", "the same command begins anew")
    if isinstance(error, MemoryError) or _unmapped(error):
        hint = "smaller numbers take less, and ulimit -v may allow more"
        return UsageError("there is not enough memory for that", hint)
    if isinstance(error, OSError):
        from abctl.files import refused  # noqa: PLC0415 - seldom needed

        return refused(error)
    return None


def _unmapped(error: BaseException) -> bool:
    """Whether it is a library that found no memory while it loaded."""
    words = ("failed to map segment", "cannot allocate memory")
    return any(
        isinstance(each, ImportError) and any(w in str(each).lower() for w in words)
        for each in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it came of: a library may make another one of a Ctrl-C while it loads."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _as_called(hint: str) -> str:
    from abctl.cli._called import as_called  # noqa: PLC0415 - only where there is something to tell

    return as_called(hint)


def _tell(kind: str, text: str, *, red: bool = False) -> None:
    from abctl.foreign import in_lines  # noqa: PLC0415 - only where there is something to tell

    line = in_lines(f"{kind}: {text}")
    if red and sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        line = f"\x1b[31m{line}\x1b[0m"
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
