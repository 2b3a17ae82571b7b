"""What the processes of a stack wrote."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from abctl.errors import NotFoundError

FOLDER = "logs"
_POLL_SECONDS = 0.2


def path(state_dir: Path, name: str) -> Path:
    """The log of a process."""
    return state_dir / FOLDER / f"{name}.log"


def last(log: Path, count: int = 12) -> str:
    """The end of a log, indented, for a message."""
    lines = log.read_text("utf-8", "replace").splitlines()[-count:] if log.exists() else []
    return "\n".join(f"  {line}" for line in lines) or "  (it wrote nothing)"


def lines(
    state_dir: Path,
    name: str | None,
    count: int,
    sleep: Callable[[float], None] | None,
    running: Callable[[], bool],
) -> Iterator[tuple[str, str]]:
    """Process and line: the last `count` of each, and with `sleep` all that follow while it runs.

    Raises:
        NotFoundError: the process or its logs do not exist.
    """
    found = {log.stem: log for log in sorted((state_dir / FOLDER).glob("*.log"))}
    if not found:
        raise NotFoundError(f"no logs in {state_dir}", "abctl local up EXPERIMENT starts a stack")
    if name is not None and name not in found:
        raise NotFoundError(f"no process {name!r} in {state_dir}", f"known: {', '.join(found)}")
    with ExitStack() as held:
        logs = [
            _Log(each, held.enter_context(log.open(encoding="utf-8", errors="replace")))
            for each, log in found.items()
            if name in {None, each}
        ]
        for log in logs:
            yield from log.whole_lines()[-count:] if count else log.whole_lines()[:0]
        while sleep is not None and running():
            for log in logs:
                yield from log.whole_lines()
            sleep(_POLL_SECONDS)
        for log in logs:
            yield from [*log.whole_lines(), *log.rest()]


class _Log:
    def __init__(self, name: str, file: TextIO) -> None:
        self._name, self._file, self._pending = name, file, ""

    def whole_lines(self) -> list[tuple[str, str]]:
        *whole, self._pending = (self._pending + self._file.read()).split("\n")
        return [(self._name, line) for line in whole]

    def rest(self) -> list[tuple[str, str]]:
        return [(self._name, self._pending)] if self._pending else []
