"""What abctl asks of whom, and what it decides, on stderr: `-v`, `-vv`, or ABCTL_LOG=info|debug.

Without them it is silent. No secret is logged anywhere; what would look like one in the words of
others is left out here once more.
"""

import logging
import os
import re
import sys
import time

from abctl.errors import UsageError
from abctl.foreign import in_one_line

VARIABLE = "ABCTL_LOG"
_LEVELS = {"info": logging.INFO, "debug": logging.DEBUG}
_LOGIN = re.compile(r"//\S+@")
_CREDENTIAL = re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE)
_logger = logging.getLogger("abctl")


class _Stderr(logging.Handler):
    """Writes to stderr, as it is at that moment: a screen may have taken its place."""

    def emit(self, record: logging.LogRecord) -> None:
        line = _LOGIN.sub("//***@", in_one_line(self.format(record)))
        line = _CREDENTIAL.sub(r"\1 ***", line)
        sys.stderr.write(f"{line}\n")


def show(level: int) -> None:
    """Write what is as important as that, or more; who asks twice gets the more detailed."""
    if not _logger.handlers:
        form = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"
        formatter = logging.Formatter(form, "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler = _Stderr()
        handler.setFormatter(formatter)
        _logger.addHandler(handler)
        _logger.propagate = False
    _logger.setLevel(min(level, _logger.level or level))


def show_verbose(times: int) -> None:
    """What `-v`, given so many times, asks for; at least once."""
    show(logging.INFO if times == 1 else logging.DEBUG)


def show_from_environment() -> None:
    """What ABCTL_LOG asks for.

    Raises:
        UsageError: it is neither of the two.
    """
    given = os.environ[VARIABLE]
    if given not in _LEVELS:
        raise UsageError(f"{VARIABLE}={given!r}, must be info or debug", f"{VARIABLE}=info")
    show(_LEVELS[given])


def silence() -> None:
    """Write nothing any more."""
    _logger.handlers.clear()
    _logger.setLevel(logging.NOTSET)
    _logger.propagate = True
