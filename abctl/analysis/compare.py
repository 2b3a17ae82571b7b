"""Each metric, each treatment against the control: which method, which questions, which answers.

Bayesian summaries stand beside what decides, and decide nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from abctl.analysis.beside import Besides
from abctl.analysis.late import Late
from abctl.analysis.meaning import OWN_ALPHA, harm_alpha, horizon, methods
from abctl.analysis.reported import Reporting
from abctl.analysis.worst import worst
from abctl.core.analysis import (
    Claim,
    ClaimKind,
    Comparison,
    MetricResult,
    OtherView,
    Reading,
    Result,
)
from abctl.core.belief import PosteriorSummary
from abctl.core.experiment import Experiment, Metric
from abctl.core.look import Look
from abctl.core.reasons import Reason
from abctl.errors import UsageError
from abctl.evidence.reports import Pair
from abctl.evidence.streams import MetricStreams, Streams, by_buckets
from abctl.stats.bayes import posteriors
from abctl.stats.bayes import summarize as summarized
from abctl.stats.delta import Delta
from abctl.stats.estimate import Alternative, Estimate, NotEstimable, Plan, Remark
from abctl.stats.looks import looks
from abctl.stats.methods import method as method_of
from abctl.stats.multiplicity import holm_steps
from abctl.stats.sequential.restarts import WHOLE_SHARE, with_share
from abctl.stats.summary import Array, Stream, SummaryError

_READINGS: Mapping[str, tuple[str, ...]] = {
    "proportion": ("proportion", "chi_squared"),
    "mean": ("welch",),
}
_ONE_LOOK = Reason("oneLookOnly")
_ZERO = Delta(0.0, relative=False)
_Both = tuple[Alternative, Alternative]
_SIDES: Mapping[str, _Both] = {"increase": ("greater", "less"), "decrease": ("less", "greater")}
_TO_SHIP: tuple[ClaimKind, ...] = ("better", "non-inferior")


def beliefs(
    metric: Metric, names: Sequence[str], streams: Sequence[Pair]
) -> tuple[PosteriorSummary, ...]:
    """What there is to believe of the control and each treatment; nothing without data of all.

    Args:
        metric: what is compared.
        names: of the variants, the control first.
        streams: the control with each treatment, or why there is none.
    """
    pairs = [stream for stream in streams if isinstance(stream, Stream)]
    try:
        known = posteriors(pairs, metric.quantile) if len(pairs) == len(streams) else None
    except SummaryError:
        # Contradicting data: the comparison itself says what is wrong.
        known = None
    if known is None:
        return ()
    found = summarized(known, lower_is_better=metric.direction == "decrease")
    return tuple(
        PosteriorSummary(
            name, found.better[i] if i else None, found.best[i], found.loss[i], found.caveat
        )
        for i, name in enumerate(names)
    )


@dataclass(frozen=True, eq=False)
class Comparing:
    """Compares the variants of an experiment in what was counted of them.

    Args:
        experiment: what is asked.
        streams: what was counted.
        besides: who else counted.
        late: what the last hours show; None where nobody read them.
        looks: of so many at most each comparison tells the path of its effect; 0: of none.
    """

    experiment: Experiment
    streams: Streams
    besides: Besides | None = None
    late: Late | None = None
    looks: int = 0

    @cached_property
    def reporting(self) -> Reporting:
        """How answers are reported on."""
        return Reporting(self.streams)

    def metrics(self) -> tuple[MetricResult, ...]:
        """The result of every metric; primaries and treatments corrected for one another."""
        metrics = self.experiment.metrics
        counted = [self.reporting.trusted(metric) for metric in metrics]
        found = [self._metric(*each) for each in zip(metrics, counted, strict=True)]
        adjusted = _adjusted(found, self.experiment.design.alpha)
        return tuple(
            replace(each, comparisons=tuple(self._bounded(metric, mine.pairs, each.comparisons)))
            for metric, mine, each in zip(metrics, counted, adjusted, strict=True)
        )

    def _metric(self, metric: Metric, counted: MetricStreams) -> MetricResult:
        return MetricResult(
            name=metric.name,
            role=metric.role,
            kind=metric.kind,
            of=metric.of,
            direction=metric.direction,
            quantile=metric.quantile,
            mde=metric.mde,
            margin=metric.margin,
            method=self._methods(metric)[1],
            selectors=counted.selectors,
            remarks=tuple(self._remarks(metric)),
            polls=counted.polls,
            comparisons=tuple(
                self._comparison(metric, treatment, pair, counted.times)
                for treatment, pair in counted.pairs.items()
            ),
            beliefs=beliefs(
                metric, [v.name for v in self.experiment.variants], list(counted.pairs.values())
            ),
        )

    def _comparison(
        self, metric: Metric, treatment: str, stream: Pair, times: Array | None
    ) -> Comparison:
        once, method = self._methods(metric)
        both_sides = self._plan(metric, "two-sided", _ZERO)
        unproven = self.besides is not None and self.besides.unproven(metric, treatment)
        return Comparison(
            treatment=treatment,
            effect=_estimate(method, stream, both_sides),
            claims=tuple(self._with_late(metric, treatment, stream)),
            readings=(
                *([Reading(_estimate(once, stream, both_sides), (_ONE_LOOK,))] * (once != method)),
                *self._readings(metric, treatment),
            ),
            other=self._other(metric, treatment),
            unproven=unproven,
            path=self._path(method, stream, both_sides, times),
            worst=worst(self.experiment, metric, method, stream, unproven=unproven),
        )

    def _path(
        self, method: str, stream: Pair, plan: Plan, times: Array | None
    ) -> tuple[Look, ...] | None:
        if not self.looks or not isinstance(stream, Stream):
            return None
        found = looks(partial(_estimate, method), stream, plan, self.looks)
        ends = [None] * found.poll.size if times is None else times[found.poll, 1].tolist()
        points = (found.effect, found.low, found.high, found.p, found.n)
        return tuple(
            Look(at, effect, (low, high), p, n)
            for at, effect, low, high, p, n in zip(
                ends, *(each.tolist() for each in points), strict=True
            )
        )

    def _with_late(self, metric: Metric, treatment: str, stream: Pair) -> Iterator[Claim]:
        method, level = self._methods(metric)[1], harm_alpha(self.experiment, metric)
        if level is not None or not self.late or metric.of_table or not self.late.looks_for(metric):
            return self._claims(metric, method, stream, harm_alpha=level)
        claims = self._claims(metric, method, stream, harm_share=WHOLE_SHARE)
        bad = _SIDES[metric.direction][1]

        def judged(claim: Claim, of: Pair, share: float) -> Result:
            asked = self._plan(metric, bad, claim.null)
            return with_share(partial(_estimate, method), of, asked, share)

        return self.late.claims(metric, treatment, claims, judged)

    def _other(self, metric: Metric, treatment: str) -> OtherView | None:
        found = self.besides and self.besides.of(metric, treatment)
        if not found:
            return None
        claims = self._claims(metric, found.method, found.stream, harm_alpha=OWN_ALPHA)
        effect = _estimate(found.method, found.stream, self._plan(metric, "two-sided", _ZERO))
        return OtherView(found.view, found.preset, effect, tuple(claims) if found.decides else ())

    def _bounded(
        self, metric: Metric, pairs: Mapping[str, Pair], comparisons: Iterable[Comparison]
    ) -> Iterator[Comparison]:
        """Gives each claim the bound of the level that it has come to be judged at."""
        method = self._methods(metric)[1]

        def bound(claim: Claim, stream: Pair) -> float | None:
            result, level = claim.result, claim.level
            if isinstance(result, Estimate) and level is not None and level != result.alpha:
                plan = replace(self._plan(metric, result.alternative, claim.null), alpha=level)
                result = _estimate(method, stream, plan)
            return result.bound(claim.null) if isinstance(result, Estimate) else None

        for comparison in comparisons:
            stream = pairs[comparison.treatment]
            claims = tuple(replace(c, bound=bound(c, stream)) for c in comparison.claims)
            yield replace(comparison, claims=claims)

    def difference(self, metric: Metric, stream: Pair, alpha: float) -> Result:
        """The two-sided estimate, at a level of its own."""
        plan = replace(self._plan(metric, "two-sided", _ZERO), alpha=alpha)
        return _estimate(self._methods(metric)[1], stream, plan)

    def _methods(self, metric: Metric) -> tuple[str, str]:
        return methods(self.experiment, metric)

    def _remarks(self, metric: Metric) -> Iterator[Reason]:
        yield from self.streams.remarks(metric)
        if metric.of_table:
            return
        if metric.counted == "latency" and self.experiment.design.test == "fixed":
            yield Reason("burstsIgnored")
        if self.experiment.assignment.unit != "request" and not by_buckets(self.experiment, metric):
            yield Reason("unitsIgnored", {"assignment_unit": self.experiment.assignment.unit})

    def _claims(
        self,
        metric: Metric,
        method: str,
        stream: Pair,
        *,
        harm_alpha: float | None = None,
        harm_share: float | None = None,
    ) -> Iterator[Claim]:
        good, bad = _SIDES[metric.direction]
        null, questions = _ZERO, dict[ClaimKind, Alternative]()
        if metric.role == "primary":
            questions = {"better": good, "harm": bad}
        if metric.role == "guardrail":
            questions = {"non-inferior": good, "harm": bad}
            margin = metric.margin or _ZERO
            null = replace(margin, value=margin.value if bad == "greater" else -margin.value)
        for says, alternative in questions.items():
            plan = self._plan(metric, alternative, null)
            if says == "harm" and harm_alpha is not None:
                plan = replace(plan, alpha=harm_alpha)
            judged = partial(_estimate, method)
            if says == "harm" and harm_share is not None:
                result = with_share(judged, stream, plan, harm_share)
            else:
                result = judged(stream, plan)
            proven = isinstance(result, Estimate) and result.rejects
            yield Claim(says, null, result, None, proven, plan.alpha)

    def _plan(self, metric: Metric, alternative: Alternative, null: Delta) -> Plan:
        return Plan(
            alpha=self.experiment.design.alpha,
            alternative=alternative,
            null=null,
            # A treatment as good as the control is a margin away from a guardrail's null.
            mde=metric.mde or metric.margin,
            quantile=metric.quantile,
            horizon=horizon(self.experiment, metric),
        )

    def _readings(self, metric: Metric, treatment: str) -> Iterator[Reading]:
        """Tests that take each request for itself."""
        if (found := self.streams.by_request(metric, treatment)) is None:
            return
        classical, stream = found
        caveats = [_ONE_LOOK] if self.experiment.design.test != "fixed" else []
        if self.experiment.assignment.unit != "request":
            caveats.append(Reason("tooSure"))
        for name in _READINGS[classical.kind]:
            if name not in self._methods(metric):
                result = _estimate(name, stream, self._plan(metric, "two-sided", _ZERO))
                yield Reading(result, tuple(caveats))


def _estimate(method: str, stream: Pair, plan: Plan) -> Result:
    if isinstance(stream, Reason):
        return NotEstimable(method, stream.remark)
    try:
        found: Result = method_of(method).estimate(stream, plan)
    except UsageError as error:
        return NotEstimable(method, Remark("methodUnknown", {"problem": str(error)}))
    except SummaryError as error:
        return NotEstimable(method, Remark("contradictingData", {"problem": str(error)}))
    return found


def _adjusted(found: Sequence[MetricResult], alpha: float) -> tuple[MetricResult, ...]:
    """Corrects what shipping needs, so that alpha bounds the risk that any treatment ships wrongly.

    Holm over every primary of every treatment, where each stands for "better in this primary, and
    within all margins" (intersection-union). Its p is the largest of these claims; those of
    guardrails count as one for all primaries of their treatment. With one treatment that leaves
    guardrails as they are.

    What is not estimable yet stays one of them: how many there are was decided before the data.
    """
    primaries = [m for m in found if m.role == "primary"]
    treatments = [c.treatment for m in primaries[:1] for c in m.comparisons]
    pairs = [(m.name, t) for t in treatments for m in primaries]
    p = {(m.name, c.treatment): _p_to_ship(c) for m in found for c in m.comparisons}
    margins = {
        t: max((p[m.name, t] for m in found if m.role == "guardrail"), default=0.0) / len(primaries)
        for t in treatments
    }
    together = [max(p[pair], margins[pair[1]]) for pair in pairs]
    left, before = holm_steps(together, alpha)
    steps = dict(zip(pairs, zip(left.tolist(), before.tolist(), strict=True), strict=True))
    for t in treatments:
        # Margins belong to the first of the treatment's claims.
        first, earlier = max(steps[m.name, t] for m in primaries)
        steps |= {
            (m.name, t): (first / len(primaries), earlier) for m in found if m.role == "guardrail"
        }

    def corrected(metric: MetricResult, comparison: Comparison) -> Comparison:
        step = steps.get((metric.name, comparison.treatment))
        claims = tuple(_corrected(claim, step, alpha) for claim in comparison.claims)
        other = comparison.other
        if other is not None:
            theirs = tuple(_corrected(claim, step, alpha) for claim in other.claims)
            other = replace(other, claims=theirs)
        return replace(comparison, claims=claims, other=other)

    return tuple(
        replace(m, comparisons=tuple(corrected(m, comparison) for comparison in m.comparisons))
        for m in found
    )


def _p_to_ship(comparison: Comparison) -> float:
    """The p of what a treatment needs of a metric to be shipped."""
    claims = (*comparison.claims, *(comparison.other.claims if comparison.other else ()))
    needed = [claim.result for claim in claims if claim.says in _TO_SHIP]
    return max((r.p if isinstance(r, Estimate) else 1.0 for r in needed), default=1.0)


def _corrected(claim: Claim, step: tuple[float, float] | None, alpha: float) -> Claim:
    if step is None or claim.says not in _TO_SHIP or not isinstance(claim.result, Estimate):
        return claim
    left, before = step
    p = min(1.0, max(before, left * claim.result.p))
    at_alpha = claim.result.log_e is not None and p <= alpha
    return replace(claim, p_adjusted=p, proven=p < alpha or at_alpha, level=alpha / left)
