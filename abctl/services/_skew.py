"""How far the clock of the evidence is from the one that the ledger is written by."""

from collections.abc import Callable

from abctl.sources import Source

# Further apart than this, the times of the ledger are not those of the scrapes.
SKEW_SECONDS = 5.0


def now_and_ahead_seconds(source: Source, clock: Callable[[], float]) -> tuple[float, float]:
    """The clock of the source (unix seconds), and how much it is ahead of another one.

    Only what cannot be a matter of how long the answer took counts.

    Raises:
        SourceError: the source cannot be read.
    """
    before = clock()
    now = source.now()
    after = clock()
    return now, max(0.0, now - after) + min(0.0, now - before)
