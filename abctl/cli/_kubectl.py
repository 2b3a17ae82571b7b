"""Completion of `kubectl abctl`: kubectl calls `kubectl_complete-abctl` with the words so far.

It wants a line for each candidate, a tab before its help, and at the end a number that says what
else may follow: "Extend kubectl with plugins" in the documentation of Kubernetes.
"""

import io
import os
import shlex
import sys
from contextlib import redirect_stdout, suppress

from abctl.cli._run import run

# Of cobra's directives: files as well, where abctl knows no candidate; else these alone.
_FILES_TOO, _NO_FILES = 0, 4


def complete() -> None:
    """Entry point."""
    sys.stdout.write(candidates(sys.argv[1:]))


def candidates(words: list[str]) -> str:
    """What kubectl reads.

    Args:
        words: what was typed after `kubectl abctl`; the last one, which may be empty, is not
            finished.
    """
    *done, last = words or [""]
    line = " ".join(["abctl", *map(shlex.quote, done), shlex.quote(last) if last else ""])
    asked = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": line}
    # Help in one line, however narrow the terminal is.
    os.environ |= {"_ABCTL_COMPLETE": "complete_fish", **asked, "COLUMNS": "10000"}
    said = io.StringIO()
    # A completion that fails says nothing: it would be in the middle of what somebody types.
    with redirect_stdout(said), suppress(Exception, SystemExit):
        run([])
    found = said.getvalue().strip("\n")
    return f"{found}\n:{_NO_FILES}\n" if found else f":{_FILES_TOO}\n"
