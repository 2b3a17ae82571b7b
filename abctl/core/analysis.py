"""What an analysis says, as frozen data: every number unrounded, every reason a code with facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from abctl.core.answers import Answers, View
from abctl.core.belief import PosteriorSummary
from abctl.core.doubts import Refusals
from abctl.core.experiment import SHARES, Direction, Kind, Role, Unit
from abctl.core.look import Look
from abctl.core.reasons import Reason
from abctl.core.segments import Segment
from abctl.core.split import Split
from abctl.core.worst import Worst
from abctl.stats.delta import Delta
from abctl.stats.estimate import Estimate, NotEstimable
from abctl.stats.srm import SrmResult

Result = Estimate | NotEstimable
ClaimKind = Literal["better", "harm", "non-inferior"]
VerdictKind = Literal["ship", "stop", "continue", "invalid"]


@dataclass(frozen=True)
class Claim:
    """A one-sided question and its answer.

    >>> from abctl.stats.estimate import Remark
    >>> open_yet = NotEstimable("welch", Remark("noVariance"))
    >>> Claim("better", Delta(0.0, relative=False), open_yet, p_adjusted=None, proven=False).proven
    False

    Attributes:
        says: what is proven if the null is rejected.
        null: the effect under the null hypothesis; the margin of a guardrail.
        result: the one-sided estimate at level alpha.
        p_adjusted: of what shipping needs, with all primaries and treatments accounted for (Holm);
            None elsewhere.
        proven: whether the null is rejected.
        level: what the p of the result is held against: alpha, or its share of it (Holm).
        bound: the one-sided bound of the effect at that level; relative where the null is. It lies
            on the far side of the null exactly if that is rejected. None where there is none.
    """

    says: ClaimKind
    null: Delta
    result: Result
    p_adjusted: float | None
    proven: bool
    level: float | None = None
    bound: float | None = None


@dataclass(frozen=True)
class Reading:
    """A classical test beside the one that decides; `caveats` say when it must not be used.

    >>> from abctl.stats.estimate import Remark
    >>> none = NotEstimable("welch", Remark("noVariance"))
    >>> reading = Reading(none, (Reason("oneLookOnly"),))
    >>> reading.result.method, reading.caveats[0].text
    ('welch', 'holds for one look at the planned end only')
    """

    result: Result
    caveats: tuple[Reason, ...]


@dataclass(frozen=True)
class OtherView:
    """The same questions, answered by whoever else counted; each side may stop, both must ship.

    Without claims it is only told: then the other side knows everything that this one does.

    >>> from abctl.stats.estimate import Remark
    >>> none = NotEstimable("quantile_sequence", Remark("tooFewPolls", {"needed_count": 16}))
    >>> OtherView("servers", "abctl", none, ()).view
    'servers'

    Attributes:
        view: whose.
        preset: of its counters.
        effect: two-sided, for its interval.
        claims: as those of the comparison; harm at a level of its own.
    """

    view: View
    preset: str
    effect: Result
    claims: tuple[Claim, ...]


@dataclass(frozen=True)
class Comparison:
    """A treatment against the control in one metric.

    >>> from abctl.stats.estimate import Remark
    >>> none = NotEstimable("welch", Remark("noVariance"))
    >>> claim = Claim("harm", Delta(0.0, relative=False), none, None, proven=False)
    >>> found = Comparison("treatment", none, (claim,))
    >>> found.claim("harm") is claim, found.claim("better"), found.proven("harm")
    (True, None, False)

    Attributes:
        treatment: the name of the variant.
        effect: two-sided, for its interval; `claims` decide.
        readings: classical tests, for comparison; `other`: by whoever else counted.
        unproven: that nothing of it proves that a treatment may ship: nobody knows the users.
        path: what each look said of the effect; None where nobody asked.
        worst: how bad it may still be; None where no ramp asks.
    """

    treatment: str
    effect: Result
    claims: tuple[Claim, ...]
    readings: tuple[Reading, ...] = ()
    other: OtherView | None = None
    unproven: bool = False
    path: tuple[Look, ...] | None = None
    worst: Worst | None = None

    def claim(self, says: ClaimKind) -> Claim | None:
        """The claim of that name, where the metric's role has it."""
        return next((claim for claim in self.claims if claim.says == says), None)

    def other_claim(self, says: ClaimKind) -> Claim | None:
        """The same by whoever else counted."""
        claims = self.other.claims if self.other else ()
        return next((claim for claim in claims if claim.says == says), None)

    def proven(self, says: ClaimKind) -> bool:
        """Whether that is proven: harm by either view, what ships by both."""
        claims = [each for each in (self.claim(says), self.other_claim(says)) if each is not None]
        if says == "harm":
            return any(claim.proven for claim in claims)
        return bool(claims) and not self.unproven and all(claim.proven for claim in claims)


@dataclass(frozen=True)
class MetricResult:
    """A metric, how it was measured, and the results, treatment by treatment.

    >>> measured = MetricResult(
    ...     "p95", "guardrail", "quantile", "latency", "decrease", quantile=0.95, mde=None,
    ...     margin=Delta(0.1, relative=True), method="quantile_sequence", selectors={}, remarks=(),
    ...     polls=128, comparisons=(),
    ... )
    >>> measured.unit
    'seconds'

    Attributes:
        method: of statistics.
        selectors: what was asked for, by variant and part.
        remarks: what a reader should know of how it is measured.
        polls: into how many the time was cut.
        beliefs: Bayesian summaries of all variants; empty where there is not enough for one.
    """

    name: str
    role: Role
    kind: Kind
    of: str
    direction: Direction
    quantile: float | None
    mde: Delta | None
    margin: Delta | None
    method: str
    selectors: Mapping[str, Mapping[str, str]]
    remarks: tuple[Reason, ...]
    polls: int
    comparisons: tuple[Comparison, ...]
    beliefs: tuple[PosteriorSummary, ...] = ()

    @property
    def unit(self) -> Literal["share", "seconds", "number"]:
        """What its values are."""
        if self.of in ("latency", "server_latency"):
            return "seconds"
        return "share" if self.kind in SHARES or self.of.startswith("share(") else "number"


@dataclass(frozen=True)
class Coverage:
    """How completely the targets of a variant were scraped.

    >>> watched = Coverage(2, 0, 15.0, covered_ratio=0.99, stale_seconds=4.0, left_out=0, unseen=0)
    >>> watched.covered_ratio >= 0.9, watched.gone
    (True, 0)

    Attributes:
        targets: how many there were.
        restarts: how often one of them started anew.
        interval_seconds: the usual time between two scrapes.
        covered_ratio: share of the counted time that is not in gaps between scrapes.
        stale_seconds: since the last scrape.
        left_out: requests that were seen while they did not count (settling, changes).
        unseen: requests that a counter held when it was first seen, of unknown age.
        falls: how often counters fell though their process went on (a worker of it died).
        gone: how many of the targets are not scraped any more.
        doubtful_ratio: share of requests that were not, if no drop of unknown cause was a restart.
    """

    targets: int
    restarts: int
    interval_seconds: float
    covered_ratio: float
    stale_seconds: float
    left_out: float
    unseen: float
    falls: int = 0
    gone: int = 0
    doubtful_ratio: float = 0.0


@dataclass(frozen=True)
class VariantResult:
    """Totals of one variant over all that counts; None where nothing is known.

    >>> VariantResult("control", 1000, 0, {"accuracy": 0.9}, 0.01, None, None, None, {}).requests
    1000

    Attributes:
        name: of the variant.
        requests: exposures that are part of the experiment.
        outside: requests without a unit, which are not.
        values: of each metric, over everything; effects are compared epoch by epoch instead.
        error_ratio: server errors among requests that were answered.
        latency_p50_seconds, latency_p95_seconds: of its requests, wherever the preset measures.
        coverage: None where the source has nothing of it.
        selectors: what was asked for, by total and part.
        latency_mean_seconds: of the same requests as the quantiles.
        answers: by class, as clients got them where a proxy counted, else as servers gave them;
            None where nobody tells them apart.
    """

    name: str
    requests: float | None
    outside: float | None
    values: Mapping[str, float | None]
    error_ratio: float | None
    latency_p50_seconds: float | None
    latency_p95_seconds: float | None
    coverage: Coverage | None
    selectors: Mapping[str, Mapping[str, str]]
    latency_mean_seconds: float | None = None
    answers: Answers | None = None


@dataclass(frozen=True)
class EpochResult:
    """A period of constant split, without its settling time; `counted` is False if left out.

    `polls` is how many of its polls are over.

    >>> half = Split(("control", "treatment"), (5000, 5000))
    >>> EpochResult(0, start=60.0, end=600.0, split=half, counted=True).split.short
    '50/50'
    """

    number: int
    start: float
    end: float
    split: Split
    counted: bool
    polls: int = 0


@dataclass(frozen=True)
class Verdict:
    """What to do, with which treatment, and why.

    >>> Verdict("continue", None, (Reason("noPrimary", {"treatment": "v2"}),)).reasons[0].code
    'noPrimary'

    Attributes:
        treatment: that ships, or is to be taken out; None where all of them are meant.
        treatments: the verdict on each that takes part; empty where none is judged for itself.
    """

    kind: VerdictKind
    treatment: str | None
    reasons: tuple[Reason, ...]
    treatments: tuple["Verdict", ...] = ()


@dataclass(frozen=True)
class Analysis:
    """Everything that an analysis found.

    >>> found = Analysis(
    ...     "iris", at=1_764_000_000.0, source="prometheus", preset="abctl", unit="user",
    ...     test="sequential", alpha=0.05, started=None, elapsed_seconds=0.0,
    ...     min_duration_seconds=604_800.0, max_duration_seconds=1_209_600.0, epochs=(),
    ...     variants=(), metrics=(), srm=None, notes=(),
    ...     verdict=Verdict("continue", None, ()),
    ... )
    >>> found.verdict.kind
    'continue'

    Attributes:
        at: unix seconds up to which it reads.
        source: where the evidence is from.
        preset: whose metrics it is, where a metric has no selectors of its own.
        started: when the experiment started (unix seconds); None if it did not.
        elapsed_seconds: since then.
        srm: the check of the split; None where there was nothing to check.
        notes: what a reader should know besides.
        remarks: how the preset measures what the totals have of it: errors, latency.
        current_split: in effect by the ledger; None before the first.
        counts_from: when its requests began to count, or will; None while it is being changed.
        refusals: of each treatment, what was refused (4xx) against the control.
        segments: the same comparisons among units of one country, say; they decide nothing.
    """

    experiment: str
    at: float
    source: str
    preset: str
    unit: Unit
    test: Literal["sequential", "horizon", "fixed"]
    alpha: float
    started: float | None
    elapsed_seconds: float
    min_duration_seconds: float
    max_duration_seconds: float
    epochs: tuple[EpochResult, ...]
    variants: tuple[VariantResult, ...]
    metrics: tuple[MetricResult, ...]
    srm: SrmResult | NotEstimable | None
    notes: tuple[Reason, ...]
    verdict: Verdict
    remarks: Mapping[str, str] = field(default_factory=dict)
    current_split: Split | None = None
    counts_from: float | None = None
    refusals: tuple[Refusals, ...] = ()
    segments: tuple[Segment, ...] = ()
