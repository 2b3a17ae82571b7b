"""The last hour or two, read as finely as an experiment that began then.

Polls of an old experiment are long: what broke a minute ago would be seen hours later. So the last
hours are read once more, from a whole hour since the begin on, by a grid of their own. Harm that
begins late is looked for in them (see `abctl.analysis.late`).
"""

from collections.abc import Sequence
from dataclasses import replace

from abctl.core.polls import Window

HOUR_SECONDS = 3600.0
# Before that, polls are fine anyway.
_LEAST_HOURS = 2


def hours_over(windows: Sequence[Window], now: float) -> int:
    """Whole hours since the first window began.

    >>> hours_over([Window(0, 100.0, 9000.0)], now=7300.0)
    2
    """
    return int((now - windows[0].start) // HOUR_SECONDS) if windows else 0


def recent_windows(windows: Sequence[Window], now: float) -> tuple[Window, ...]:
    """What counts since the hour before the present one began; nothing in the first two hours.

    >>> recent_windows([Window(0, 0.0, 5000.0), Window(1, 5060.0, 9000.0)], now=9000.0)
    (Window(epoch=0, start=3600.0, end=5000.0), Window(epoch=1, start=5060.0, end=9000.0))
    """
    hours = hours_over(windows, now)
    if hours < _LEAST_HOURS:
        return ()
    start = windows[0].start + (hours - 1) * HOUR_SECONDS
    return tuple(replace(w, start=max(w.start, start)) for w in windows if w.end > start)
