"""What clients got of each variant: answers by class, and what was answered lately."""

import math
from dataclasses import dataclass
from typing import Literal

from abctl.core.reasons import Reason

View = Literal["clients", "servers"]

# Below it is told, below that it is proven: the chance that requests fail like that by themselves.
_TOLD_CHANCE, _PROVEN_CHANCE = 1e-2, 1e-6
_TOLD_COUNT, _PROVEN_COUNT, _TOLD_DUE = 3, 10, 30.0


@dataclass(frozen=True)
class Answers:
    """Answers of one variant by class, in the view of its clients or of its servers.

    >>> seen = Answers("clients", "envoy", good=970.0, refused=20.0, failed=30.0, unanswered=10.0)
    >>> seen.error_ratio, round(seen.refused_ratio, 3)
    (0.03, 0.02)

    Attributes:
        view: `clients`: a proxy in front of the servers counted; `servers`: they did themselves.
        preset: whose counters these are.
        good: 2xx and 3xx; gRPC status OK.
        refused: what the client did wrong: 4xx; of gRPC the statuses that say so.
        failed: 5xx, and what the proxy answered because no server did.
        unanswered: of these, what no server answered (502, 503, 504); None where nobody can tell.
    """

    view: View
    preset: str
    good: float
    refused: float
    failed: float
    unanswered: float | None = None

    @property
    def error_ratio(self) -> float | None:
        """Failures among what was not refused; None without any."""
        return _ratio(self.failed, self.good + self.failed)

    @property
    def refused_ratio(self) -> float | None:
        """What was refused among everything; None without anything."""
        return _ratio(self.refused, self.good + self.failed + self.refused)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


@dataclass(frozen=True)
class Silence:
    """A variant without a good answer for a while, in which others had some.

    >>> dead = Silence("treatment", "clients", 12.0, failed=40.0, others_good=90.0)
    >>> dead.proven, Silence("treatment", "clients", 2.0, failed=1.0, others_good=2.0).told
    (True, False)

    Attributes:
        variant: which has a share of the traffic.
        view: who counted.
        seconds: since its last good answer, or for as long as was looked at.
        failed: its requests since then that failed.
        others_good, others_failed: answers of the other variants in that time.
        due: where only servers count, what was due to it by its share: a dead one counts nothing.
    """

    variant: str
    view: View
    seconds: float
    failed: float
    others_good: float
    others_failed: float = 0.0
    due: float = 0.0

    @property
    def reason(self) -> Reason:
        """The same as a code with its facts."""
        facts = {
            "variant": self.variant,
            "view": self.view,
            "silent_seconds": self.seconds,
            "failed_count": self.failed,
            "others_good_count": self.others_good,
        }
        return Reason("noGoodAnswer", facts)

    @property
    def told(self) -> bool:
        """Whether a reader should know."""
        # Users differ in how much they ask, so what was due is known roughly.
        return self.due >= _TOLD_DUE or self._rarer_than(_TOLD_CHANCE, _TOLD_COUNT)

    @property
    def proven(self) -> bool:
        """Whether that is harm: a server that answers like the others would not fail like that."""
        return self._rarer_than(_PROVEN_CHANCE, _PROVEN_COUNT)

    def _rarer_than(self, chance: float, least: int) -> bool:
        if min(self.failed, self.others_good) < least:
            return False
        others = (self.others_failed + 1.0) / (self.others_good + self.others_failed + 2.0)
        return self.failed * math.log(others) <= math.log(chance)
