"""The logs of predictions of a local stack: what servers are told of them, and what they wrote."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from abctl.core.experiment import PredictionLog
from abctl.core.server import log_environment
from abctl.errors import NotFoundError

FOLDER = "predictions"
_FILE = "predictions.jsonl"
_OLDER = "predictions-*.jsonl"
_POLL_SECONDS = 0.2


def environment(log: PredictionLog | None, variant: str, state_dir: Path) -> Mapping[str, str]:
    """What a variant's server is told."""
    return log_environment(log, str(state_dir / FOLDER / variant))


def lines(
    state_dir: Path,
    variant: str | None,
    count: int,
    sleep: Callable[[float], None] | None,
    running: Callable[[], bool],
) -> Iterator[tuple[str, str]]:
    """Variant and line: the last `count` of each, and with `sleep` all that follow while it runs.

    Raises:
        NotFoundError: the variant or its log does not exist.
    """
    found = sorted(each.name for each in (state_dir / FOLDER).glob("*/"))
    if not found:
        of = "" if variant is None else f" of variant {variant!r}"
        raise NotFoundError(
            f"no log of predictions{of} in {state_dir}",
            "`log: {share: 100%}` in the spec of the file writes one, or abctl local up EXPERIMENT "
            "--log-predictions 100%",
        )
    if variant is not None and variant not in found:
        raise NotFoundError(
            f"no log of variant {variant!r} in {state_dir}", f"known: {', '.join(found)}"
        )
    with ExitStack() as held:
        logs = [_Log(each, state_dir / FOLDER / each, held) for each in found]
        logs = [each for each in logs if variant in {None, each.variant}]
        for log in logs:
            yield from ((log.variant, line) for line in log.last(count))
        while sleep is not None and running():
            for log in logs:
                yield from ((log.variant, line) for line in log.new())
            sleep(_POLL_SECONDS)
        for log in logs:
            yield from ((log.variant, line) for line in log.new())


class _Log:
    """The files of a variant's log, of which the server begins a new one now and then."""

    def __init__(self, variant: str, folder: Path, held: ExitStack) -> None:
        self.variant = variant
        self._folder, self._held = folder, held
        self._file: TextIO | None = None
        self._pending = ""

    def last(self, count: int) -> list[str]:
        """The last lines; what is written from now on is new."""
        files = [*sorted(self._folder.glob(_OLDER)), self._folder / _FILE]
        found = self.new()
        for older in files[-2::-1]:
            if len(found) >= count:
                break
            found = [*older.read_text("utf-8", "replace").splitlines(), *found]
        return found[-count:] if count else []

    def new(self) -> list[str]:
        """Whole lines that were written since."""
        found = self._read()
        if self._moved():
            found += self._read()  # what came last into the old one
            self._open()
            found += self._read()
        return found

    def _read(self) -> list[str]:
        if self._file is None:
            return []
        *whole, self._pending = (self._pending + self._file.read()).split("\n")
        return whole

    def _moved(self) -> bool:
        try:
            now = (self._folder / _FILE).stat()
        except FileNotFoundError:
            return False
        return self._file is None or now.st_ino != os.fstat(self._file.fileno()).st_ino

    def _open(self) -> None:
        path = self._folder / _FILE
        self._file = self._held.enter_context(path.open(encoding="utf-8", errors="replace"))
        self._pending = ""
