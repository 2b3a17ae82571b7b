"""Worlds in which a ramp is driven, look by look, and the rules that drive it.

What is compared, and what abctl does next, are its own: claims, verdict and next_action. Beside
them stand two rules as their documents show them, by the canary's share of good answers alone:

- Argo Rollouts (docs/features/analysis.md): 20, 40, 60, 80%, ten minutes each; from 40% on the
  share is to be 95% every five minutes, and the third failure aborts.
- Flagger (how-it-works): up by 5% a minute to 50%; the share is to be 99%, and the tenth failed
  check rolls back.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from abctl.analysis.compare import Comparing
from abctl.core.analysis import Analysis, EpochResult, VariantResult
from abctl.core.answers import Silence
from abctl.core.doubts import Doubts
from abctl.core.experiment import (
    Assignment,
    Design,
    Experiment,
    Metric,
    Model,
    Variant,
)
from abctl.core.ledger import Entry, Ledger
from abctl.core.next_action import next_action
from abctl.core.ramp import Ramp
from abctl.core.split import TOTAL_BP, Split
from abctl.core.verdict import verdict
from abctl.evidence.streams import MetricStreams
from abctl.stats.delta import Delta
from abctl.stats.summary import Counts, Stream

LOOKS, REQUESTS, LOOK_SECONDS = 40, 3000, 60.0
NAMES = ("control", "treatment")
MARGIN, MDE = 0.005, 0.02
RAMP = Ramp((100, 500, 1000, 2500, 5000), hold_seconds=0.0, on_ship="promote")
EXPERIMENT = Experiment(
    "bench",
    "",
    "envoy",
    Assignment("request", "", "bench"),
    tuple(Variant(name, Model("bench", name)) for name in NAMES),
    Split(NAMES, (TOTAL_BP, 0)),
    metrics=(
        Metric(
            "accuracy",
            "primary",
            "proportion",
            "accuracy",
            "increase",
            mde=Delta(MDE, relative=False),
        ),
        Metric(
            "errors",
            "guardrail",
            "proportion",
            "errors",
            "decrease",
            margin=Delta(MARGIN, relative=False),
        ),
    ),
    source=None,
    design=Design(min_duration_seconds=0.0, max_duration_seconds=1e9, settle_seconds=0.0),
    ramp=RAMP,
)


@dataclass(frozen=True)
class World:
    """What is true at each look: how often the treatment errs, and is right, more than the control.

    Attributes:
        name: of it.
        errors: by how much more, by look.
        accuracy: by how much more.
        harmful: whether it is to be rolled back, and shipping it is wrong.
        drifts: whether the levels of both change on the way.
        by_hand: whether somebody shifts to a share of their own at times.
    """

    name: str
    errors: Callable[[int], float] = lambda _: 0.0
    accuracy: float = 0.0
    harmful: bool = False
    drifts: bool = False
    by_hand: bool = False

    def levels(self, look: int) -> tuple[tuple[float, float], tuple[float, float]]:
        """Errors and accuracy, of both."""
        wave = np.sin(look / 6.0) if self.drifts else 0.0
        errors, right = 0.005 + 0.002 * wave, 0.9 - 0.03 * wave
        return (errors, min(1.0, errors + self.errors(look))), (right, right + self.accuracy)


def constant(by: float) -> Callable[[int], float]:
    return lambda _: by


HEALTHY = (
    World("nothing differs"),
    World("nothing differs, levels drift", drifts=True),
    World("nothing differs, shifts by hand", by_hand=True),
)
HARMFUL = (
    World("errors +1pp", constant(0.01), harmful=True),
    World("errors +2pp", constant(0.02), harmful=True),
    World("errors +10pp", constant(0.1), harmful=True),
    World("nothing works", constant(1.0), harmful=True),
    World("errors +2pp from the middle on", lambda k: 0.02 * (k >= LOOKS // 2), harmful=True),
)
OTHERS = (
    World("errors +0.25pp, within the margin", constant(0.0025)),
    World("accuracy +4pp", accuracy=0.04),
)


@dataclass
class Run:
    """What became of one experiment.

    Attributes:
        end: promote, rollback, or nothing.
        at: the look at which it ended.
        half: the look at which the treatment first had half, if ever.
        extra: more errors than the control would have made, as expected.
        broken: whether beyond the floor share x mean harm so far was ever more than allowed.
    """

    end: str = ""
    at: int = LOOKS
    half: int | None = None
    extra: float = 0.0
    broken: bool = False


@dataclass
class _Counted:
    """What was counted of both variants; answers what comparisons ask."""

    n: list[tuple[int, int]] = field(default_factory=list)
    hits: dict[str, list[tuple[int, int]]] = field(
        default_factory=lambda: {"accuracy": [], "errors": []}
    )
    epochs: list[int] = field(default_factory=list)

    def of(self, metric: Metric) -> MetricStreams:
        n, hits = np.array(self.n, dtype=float), np.array(self.hits[metric.name], dtype=float)
        sides = (Counts(n[:, i], hits[:, i]) for i in (0, 1))
        return MetricStreams({}, len(n), {"treatment": Stream(*sides, np.array(self.epochs))})

    def by_request(self, *_):
        return None

    def reported(self, *_):
        return None

    def ages(self, *_):
        yield from ()

    def remarks(self, *_):
        yield from ()


def abctl(world: World, rng: np.random.Generator) -> Run:
    """One experiment, driven by next_action."""
    run, counted, ledger = Run(), _Counted(), Ledger("{}")
    ledger = ledger.with_entry(Entry(0.0, "", None, Split(NAMES, (9900, 100)), "", "applied"))
    harm = weight = 0.0
    for look in range(LOOKS):
        split, now = ledger.wanted, (look + 1) * LOOK_SECONDS
        n, hits = _poll(world, rng, look, split["treatment"] / TOTAL_BP, run)
        counted.n.append(n)
        counted.epochs.append(len(ledger.entries) - 1)
        for name, each in hits.items():
            counted.hits[name].append(each)
        # As comparisons weigh polls.
        w = n[0] * n[1] / max(1, sum(n))
        (low, high), _ = world.levels(look)
        harm, weight = harm + w * (high - low), weight + w
        action = next_action(EXPERIMENT, ledger, _analysis(counted, ledger, now, n, hits), now)
        after = action.split or split
        if action.kind in ("promote", "rollback"):
            run.end, run.at = action.kind, look + 1
            return run
        share = after["treatment"]
        if share > RAMP.floor_bp and weight:
            run.broken |= share * harm / weight > RAMP.last_bp * MARGIN * (1 + 1e-9)
        if share >= RAMP.last_bp and run.half is None:
            run.half = look + 1
        if world.by_hand and look % 9 == 8:
            after = Split(NAMES, (8000, 2000))
        if after != split:
            ledger = ledger.with_entry(Entry(now, "", split, after, "", "applied"))
    return run


def _poll(world, rng, look, share, run):
    treated = int(rng.binomial(REQUESTS, share))
    n = (REQUESTS - treated, treated)
    errors, right = world.levels(look)
    run.extra += treated * (errors[1] - errors[0])
    draw = {"errors": errors, "accuracy": right}
    return n, {k: tuple(int(rng.binomial(n[i], p[i])) for i in (0, 1)) for k, p in draw.items()}


def _analysis(counted, ledger, now, n, hits):
    metrics = Comparing(EXPERIMENT, counted).metrics()
    good = [all_ - bad for all_, bad in zip(n, hits["errors"], strict=True)]
    dead = ()
    if n[1] and not good[1]:
        dead = (Silence("treatment", "clients", LOOK_SECONDS, float(n[1]), float(good[0])),)
    said = verdict(
        EXPERIMENT.design,
        metrics,
        elapsed_seconds=now,
        integrity=(),
        without_share=[] if ledger.wanted["treatment"] else ["treatment"],
        doubts=Doubts(silent=dead),
    )
    polls = counted.epochs.count(counted.epochs[-1])
    return Analysis(
        experiment="bench",
        at=now,
        source="",
        preset="",
        unit="request",
        test="horizon",
        alpha=EXPERIMENT.design.alpha,
        started=0.0,
        elapsed_seconds=now,
        min_duration_seconds=0.0,
        max_duration_seconds=1e9,
        epochs=(EpochResult(0, 0.0, now, ledger.wanted, counted=True, polls=polls),),
        variants=tuple(
            VariantResult(
                name, float(sum(each[i] for each in counted.n)), *[None] * 2, *[None] * 4, {}
            )
            for i, name in enumerate(NAMES)
        ),
        metrics=metrics,
        srm=None,
        notes=(),
        verdict=said,
        current_split=ledger.wanted,
        counts_from=ledger.counts_from(0.0),
    )


def argo(world: World, rng: np.random.Generator) -> Run:
    """One rollout by Argo's example; a look is a minute."""
    run, failed, pending = Run(), 0, [0, 0]
    for look in range(LOOKS):
        share = 0.2 * (1 + look // 10)
        n, hits = _poll(world, rng, look, share, run)
        run.half = run.half or (look + 1 if share > 0.5 else None)
        pending = [pending[0] + n[1], pending[1] + hits["errors"][1]]
        if look % 5 == 4:
            failed += share > 0.3 and pending[1] / max(1, pending[0]) > 0.05
            pending = [0, 0]
        if failed == 3:
            run.end, run.at = "rollback", look + 1
            return run
    run.end = "promote"
    return run


def flagger(world: World, rng: np.random.Generator) -> Run:
    """One canary by Flagger's example; a look is a minute."""
    run, failed, share = Run(), 0, 0.05
    for look in range(LOOKS):
        n, hits = _poll(world, rng, look, share, run)
        if hits["errors"][1] / max(1, n[1]) > 0.01:
            failed += 1
            if failed == 10:
                run.end, run.at = "rollback", look + 1
                return run
            continue
        if share >= 0.5:
            run.end, run.at = "promote", look + 1
            return run
        share = min(0.5, share + 0.05)
        run.half = run.half or (look + 1 if share >= 0.5 else None)
    return run


RULES = {"abctl": abctl, "Argo's example": argo, "Flagger's example": flagger}
