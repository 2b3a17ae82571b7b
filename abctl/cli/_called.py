"""How abctl was called, so that the commands that it shows can be copied and run."""

import os
import re
import shlex
import shutil
import sys
from pathlib import Path

_NAME = "abctl"
_COMMAND = re.compile(rf"(?<![\w./-]){_NAME} (?=[a-z])")


def called(program: str) -> str:
    """What to type for abctl: its name where the PATH finds it, else the path that was called."""
    path = Path(program)
    if path.name != _NAME or not path.is_file():  # a test, or python -m
        return _NAME
    found = shutil.which(_NAME)
    if found and Path(found).samefile(path):
        return _NAME
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):  # the folder is gone, or it is another drive
        relative = program
    if os.sep not in relative:
        relative = os.path.join(os.curdir, relative)  # noqa: PTH118 - Path drops the dot
    return shlex.quote(min(program, relative, key=len))


def as_called(text: str) -> str:
    """A text whose commands begin as this one did: `.venv/bin/abctl analyze iris.yaml`.

    Words after the name that are no command are left as they are.
    """
    from abctl.cli._commands import COMMANDS  # noqa: PLC0415 - an interrupt may come before

    if not _COMMAND.search(text) or (program := called(sys.argv[0])) == _NAME:
        return text

    def replaced(found: re.Match[str]) -> str:
        word = re.match(r"[a-z]+", text[found.end() :])
        return f"{program} " if word and word[0] in COMMANDS else found[0]

    return _COMMAND.sub(replaced, text)
