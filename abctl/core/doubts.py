"""What keeps treatments from being shipped besides their metrics."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from abctl.core.answers import Silence, View
from abctl.core.ledger import Entry, Ledger
from abctl.core.reasons import Reason
from abctl.stats.estimate import Estimate, NotEstimable

ACCEPTABLE = ("bornUnknown", "refusalsDiffer")
"""Codes of what a person may accept on record, knowing better than the counters."""


def accepted(ledger: Ledger) -> Mapping[str, Entry]:
    """Who last accepted a doubt, by its code."""
    said = (entry for entry in ledger.entries if entry.phase == "accepted")
    return {code: entry for entry in said for code in entry.parts}


@dataclass(frozen=True)
class Refusals:
    """What a treatment refused (4xx) against what the control did, as shares of requests.

    Users are assigned at random, so a difference is the model's doing: it cannot do what they ask.

    >>> from abctl.stats.estimate import Remark
    >>> none = NotEstimable("ratio_sequence", Remark("noSharedEpoch"))
    >>> Refusals("treatment", "servers", "abctl", none).differ
    False

    Attributes:
        treatment: the name of the variant.
        view: who counted.
        preset: whose counters.
        result: two-sided, at a level of its own.
    """

    treatment: str
    view: View
    preset: str
    result: Estimate | NotEstimable

    @property
    def differ(self) -> bool:
        """Whether that is more than chance, so that nothing ships."""
        return isinstance(self.result, Estimate) and self.result.rejects

    @property
    def reason(self) -> Reason:
        """The same as a code with its facts; only where it could be estimated."""
        assert isinstance(self.result, Estimate), "nothing differs without an estimate"
        return Reason(
            "refusalsDiffer",
            {
                "treatment": self.treatment,
                "view": self.view,
                "control_ratio": self.result.control,
                "treatment_ratio": self.result.treatment,
                "p": self.result.p,
                "alpha": self.result.alpha,
            },
        )


@dataclass(frozen=True)
class Doubts:
    """What keeps treatments from being shipped besides their metrics, unless somebody accepted it.

    >>> Doubts().silent, Doubts().refusals
    ((), ())

    Attributes:
        silent: variants that gave no good answer lately.
        refusals: what treatments refused (4xx) against the control.
        reports: treatments whose answers may not be reported on as the control's are.
        births: counters of variants that held a value of unknown age, and nobody accepted it yet.
        accepted_births: those that somebody did accept.
        accepted: codes that somebody accepted.
    """

    silent: tuple[Silence, ...] = ()
    refusals: tuple[Refusals, ...] = ()
    reports: tuple[Reason, ...] = ()
    births: tuple[Reason, ...] = ()
    accepted_births: tuple[Reason, ...] = ()
    accepted: Collection[str] = ()

    def of(self, treatment: str) -> tuple[Reason, ...]:
        """What keeps this one, as codes with their facts."""
        refused = () if "refusalsDiffer" in self.accepted else self._refused(treatment)
        reports = (each for each in self.reports if each.facts["treatment"] == treatment)
        return (
            *(each.reason for each in self.silent),
            *refused,
            *reports,
            *self.births,
        )

    def told(self, treatment: str) -> tuple[Reason, ...]:
        """The same with what was accepted: it stays known."""
        every = (*self.of(treatment), *self._refused(treatment), *self.accepted_births)
        return tuple(dict.fromkeys(every))

    def _refused(self, treatment: str) -> tuple[Reason, ...]:
        found = (r for r in self.refusals if r.treatment == treatment and r.differ)
        return tuple(each.reason for each in found)
