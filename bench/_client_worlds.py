"""Worlds of users, servers that count by bucket, and a proxy in front that counts what clients got.

Everything is counters, so the whole way is taken: samples, evidence, judgement.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from _client_platforms import as_counted_by

from abctl.analysis.judge import judge
from abctl.analysis.meaning import meaning
from abctl.core.experiment import Assignment, Design, Experiment, Metric, Model, Variant
from abctl.core.ledger import Entry, Ledger
from abctl.core.selector import Selector
from abctl.core.split import Split
from abctl.forms.plan import locked_plan
from abctl.session.analyze import gather
from abctl.sources import Series
from abctl.sources.series import outline_of
from abctl.spec.measurement import likely
from abctl.stats.delta import Delta

START = 1_700_000_000.0
STEP_SECONDS = 15.0
BUCKETS = 32
NAMES = ("control", "treatment")
EDGES_SECONDS = (*(0.001 * 1.3 ** np.arange(36)), np.inf)
_CLIENT_SECONDS = "ab_client_{}request_duration_seconds"
_OF = 'acc_{}{{variant="$variant"}}'
METRICS = (
    Metric(
        "accuracy",
        "primary",
        "proportion",
        "accuracy",
        "increase",
        mde=Delta(0.05, False),
        selectors={"n": _OF.format("n"), "successes": _OF.format("good")},
    ),
    Metric("errors", "guardrail", "proportion", "errors", "decrease", margin=Delta(0.01, False)),
    Metric(
        "latency",
        "guardrail",
        "quantile",
        "latency",
        "decrease",
        margin=Delta(0.5, True),
        quantile=0.95,
    ),
)


@dataclass(frozen=True)
class World:
    """What is true of the treatment; the control fails one request in a thousand.

    Attributes:
        better: by how much it is more often right.
        errors: how many more of its requests fail in the server.
        lost: how many die with their process: only the proxy counts them.
        lost_polls: in which share of the scrapes such deaths happen.
        refused: how many it refuses (4xx).
        waits_seconds: how long a quarter of its clients wait for it to begin.
        dead_after_seconds: from when on it answers nothing and counts nothing.
        scraped_dead: whether a dead server is still scraped.
        share: of the traffic.
        hours: how long it runs.
        users: how many there are; activity is Pareto distributed with shape `tail`.
        rate: requests a second.
        proxy, log: whether anybody scrapes the proxy, and counts its access log by bucket.
        platform: whose proxy it is.
        pods: how many a variant has, each with a proxy of its own.
        bad_pods: how many of the treatment's lose what is lost; else all of them do.
        flaky: which share of its requests a pod of either variant loses, on average.
        broken: users of whom every request fails, and who send five times as many.
    """

    name: str
    better: float = 0.05
    errors: float = 0.0
    lost: float = 0.0
    lost_polls: float = 1.0
    refused: float = 0.0
    waits_seconds: float = 0.0
    dead_after_seconds: float = np.inf
    scraped_dead: bool = True
    share: float = 0.5
    hours: float = 2.0
    users: int = 4000
    tail: float = 3.0
    rate: float = 8.0
    proxy: bool = True
    log: bool = False
    platform: str = "envoy"
    pods: int = 1
    bad_pods: int = 0
    flaky: float = 0.0
    broken: int = 0


class Counted:
    """A source that holds the counters of one draw of a world."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.place = world, "a world"
        self.rng = np.random.default_rng(seed)
        self.end = START + world.hours * 3600.0
        self.times = np.arange(START - 60.0, self.end + 1.0, STEP_SECONDS)

    def now(self) -> float:
        return self.end

    def until(self, end: float) -> "Counted":
        """The same as somebody sees it who looks earlier."""
        other = object.__new__(Counted)
        other.__dict__ = {**self.__dict__, "all": self.all, "end": end}
        return other

    def series(self, selector: str, start: float, end: float) -> list[Series]:
        wanted = Selector.parse(selector)
        last = min(end, self.end)
        return [
            Series(s.labels, s.times[inside], s.values[inside])
            for s in self.all
            if wanted.matches(s.labels) and (inside := (s.times > start) & (s.times <= last)).any()
        ]

    def outline(self, selector: str, edges: object, since: float):
        return outline_of(self, selector, edges, since)

    @cached_property
    def weights(self) -> np.ndarray:
        """How much of what is lost each pod loses, shape (variants, pods)."""
        world, shape = self.world, (2, self.world.pods)
        found = self.rng.lognormal(-0.5, 1.0, shape) if world.flaky else np.ones(shape)
        if world.bad_pods:
            found[1] = np.arange(world.pods) < world.bad_pods
        return found

    @cached_property
    def all(self) -> list[Series]:
        """Every series."""
        world, rng = self.world, self.rng
        activity = rng.pareto(world.tail, world.users) + 0.1
        activity *= world.rate * STEP_SECONDS / activity.sum()
        bucket = rng.integers(BUCKETS, size=world.users)
        treated = rng.random(world.users) < world.share
        # A user is wrong, or slow, more often than another one.
        hard = rng.beta(2.0, 6.0, world.users)
        found: list[Series] = []
        for name, mine in zip(NAMES, (~treated, treated), strict=True):
            broken = mine[: world.broken]
            fails = np.bincount(bucket[: world.broken], 5.0 * activity.mean() * broken, BUCKETS)
            found += self._variant(name, activity[mine], bucket[mine], hard[mine], fails)
        return found

    def _answers(self, mine, dead, by_bucket, fails):
        """Requests by time and bucket: all of them, lost, refused, failed, and good ones."""
        world, rng, times = self.world, self.rng, self.times
        n = rng.poisson(by_bucket, (times.size, BUCKETS))
        n[times <= START] = 0
        hot = rng.random(times.size) < world.lost_polls
        loses = np.where(hot, mine * world.lost / world.lost_polls, 0.0)
        loses = np.minimum(loses + world.flaky * self.weights[mine].mean(), 1.0)
        lost = np.where(dead[:, None], n, rng.binomial(n, loses[:, None]))
        refused = rng.binomial(n - lost, mine * world.refused)
        failed = rng.binomial(n - lost - refused, 0.001 + mine * world.errors)
        good = n - lost - refused - failed
        broken = rng.poisson(fails, n.shape) * (times > START)[:, None] if world.broken else 0
        return n + broken, lost, refused, failed + broken, good

    def _variant(self, name, activity, bucket, hard, fails):
        world, rng, times = self.world, self.rng, self.times
        mine = int(name == "treatment")
        by_bucket = np.bincount(bucket, activity, BUCKETS)
        right = 1.0 - np.bincount(bucket, activity * hard, BUCKETS) / np.maximum(by_bucket, 1e-9)
        dead = bool(mine) & (times - START > world.dead_after_seconds)
        n, lost, refused, failed, good = self._answers(mine, dead, by_bucket, fails)
        labelled = rng.binomial(good, 0.5)
        accurate = rng.binomial(labelled, np.clip(right + mine * world.better, 0, 1))
        found = []
        alive = times if world.scraped_dead else times[~dead]

        def add(metric, values, where, seen=times, **labels):
            kept = np.isin(times, seen)
            head = {"__name__": metric, "job": where, **labels}
            found.append(Series(head, times[kept], np.cumsum(values).astype(float)[kept]))

        server = {"instance": f"{name}:8082", "variant": name}
        for b in range(BUCKETS):
            for code, values in (("2xx", good), ("4xx", refused), ("5xx", failed)):
                labels = {**server, "bucket": str(b), "code": code}
                add("ab_requests_total", values[:, b], "mlserver", alive, **labels)
            labels = {**server, "bucket": str(b)}
            add("acc_n", labelled[:, b], "mlserver", alive, **labels)
            add("acc_good", accurate[:, b], "mlserver", alive, **labels)
        add(
            "process_start_time_seconds",
            np.where(times == times[0], START - 900, 0),
            "mlserver",
            alive,
            instance=server["instance"],
        )
        answered = good + failed
        took = dict[str, np.ndarray]()
        for group in range(16):
            part = self._latencies(answered[:, group::16].sum(axis=1), waits=0.0)
            for le, values in part:
                labels = {**server, "group": str(group), "le": le}
                add("ab_group_request_duration_seconds_bucket", values, "mlserver", alive, **labels)
                took[le] = took.get(le, 0) + values
        for le, values in took.items():
            add("ab_request_duration_seconds_bucket", values, "mlserver", alive, le=le, **server)
        if world.proxy:
            self._proxied(add, name, {"2": good, "4": refused, "5": failed}, lost)
            waited = self._latencies(n.sum(axis=1), waits=world.waits_seconds if mine else 0.0)
            proxy = {"instance": _proxy(name, 0, world.pods), "envoy_cluster_name": name}
            for le, values in waited:
                ms = le if le == "+Inf" else f"{1000 * float(le):g}"
                add("envoy_cluster_upstream_rq_time_bucket", values, "envoy", le=ms, **proxy)
        self._logged(add, name, n, {"2xx": good, "4xx": refused, "5xx": failed}, lost)
        return found

    def _proxied(self, add, name, answers, lost):
        """What the proxy counts, or that of each pod."""
        pods, weights = self.world.pods, self.weights[int(name == "treatment")]
        none = self._split(lost, weights / weights.sum())
        by_pod = {code: self._split(v, np.full(pods, 1.0 / pods)) for code, v in answers.items()}
        by_pod["5"] = by_pod["5"] + none
        for pod in range(pods):
            proxy = {"instance": _proxy(name, pod, pods), "envoy_cluster_name": name}
            for code, values in by_pod.items():
                of = {"envoy_response_code_class": code, **proxy}
                add("envoy_cluster_upstream_rq_xx", values[:, pod], "envoy", **of)
            of = {"envoy_response_code": "503", **proxy}
            add("envoy_cluster_upstream_rq", none[:, pod], "envoy", **of)
            completed = sum(values[:, pod] for values in by_pod.values())
            add("envoy_cluster_upstream_rq_completed", completed, "envoy", **proxy)

    def _split(self, values, shares):
        """Of each time, by pod."""
        total = values.sum(axis=1)
        return total[:, None] if shares.size == 1 else self.rng.multinomial(total, shares)

    def _logged(self, add, name, n, answers, lost):
        """What the reader of the access log counts, where there is one."""
        if not self.world.log:
            return
        reader = {"instance": "reader:8090", "variant": name}
        for b in range(BUCKETS):
            for code, values in {**answers, "unanswered": lost}.items():
                labels = {**reader, "bucket": str(b), "code": code}
                add("ab_client_requests_total", values[:, b], "log", **labels)
        all_of = dict[str, np.ndarray]()
        waits = self.world.waits_seconds if name == "treatment" else 0.0
        for group in range(16):
            timed = (n - answers["4xx"])[:, group::16].sum(axis=1)
            for le, values in self._latencies(timed, waits):
                labels = {**reader, "group": str(group), "le": le}
                add(f"{_CLIENT_SECONDS.format('group_')}_bucket", values, "log", **labels)
                all_of[le] = all_of.get(le, 0) + values
        for le, values in all_of.items():
            add(f"{_CLIENT_SECONDS.format('')}_bucket", values, "log", le=le, **reader)

    def _latencies(self, n, waits):
        edges = np.array(EDGES_SECONDS[:-1])
        plain = np.diff(_lognormal(edges), prepend=0.0, append=1.0)
        late = np.diff(_lognormal(np.maximum(edges - waits, 0.0)), prepend=0.0, append=1.0)
        share = plain if not waits else 0.75 * plain + 0.25 * late
        cells = self.rng.multinomial(n, share / share.sum())
        upto = np.cumsum(cells, axis=1)
        names = [*(f"{edge:.6g}" for edge in edges), "+Inf"]
        return list(zip(names, upto.T, strict=True))


def _proxy(name: str, pod: int, pods: int) -> str:
    return "envoy:9901" if pods == 1 else f"{name}-{pod}:9091"


def _lognormal(x: np.ndarray) -> np.ndarray:
    """The distribution of a latency with median 20 ms and a spread of 0.5, logistic in its log."""
    safe = np.maximum(x, 1e-12)
    return 1.0 / (1.0 + np.exp(-np.log(safe / 0.02) / (0.5 * 0.55)))


def experiment_of(world: World, unit: str = "user") -> tuple[Experiment, Ledger]:
    """What is asked, and the ledger of its only split."""
    share = round(10_000 * world.share)
    split = Split(NAMES, (10_000 - share, share))
    experiment = Experiment(
        "worlds",
        "default",
        world.platform,
        Assignment(unit, "x-user-id", "worlds-1", buckets=BUCKETS),
        tuple(Variant(name, Model("iris", name)) for name in NAMES),
        split,
        METRICS,
        None,
        Design(min_duration_seconds=1800.0, max_duration_seconds=7 * 86400.0, settle_seconds=30.0),
    )
    plan = locked_plan(experiment, meaning(experiment))
    return experiment, Ledger(plan).with_entry(Entry(START, "me", None, split, "", "applied"))


def looks(world: World, seed: int, at_seconds: tuple[float, ...] = ()):
    """The analyses of one draw, look by look; the last one is at its end."""
    counted = Counted(world, seed)
    experiment, ledger = experiment_of(world)
    asked = likely(experiment)
    if world.platform != "envoy":
        counted.__dict__["all"] = as_counted_by(asked.clients, counted.all)
    for seconds in (*at_seconds, world.hours * 3600.0):
        source = counted.until(START + seconds)
        yield judge(gather(experiment, ledger, source, asked))


# Beside Envoy as abctl makes it.
PLATFORMS = ("nginx", "istio", "gateway", "kserve", "seldon", "seldon2")
BROKEN = World("ten broken clients, else alike", better=0.0, broken=10)
WORLDS = (
    World("better, else alike"),
    World("alike in all", better=0.0),
    World("3% die with their process", lost=0.03),
    World("3% die, in bursts", lost=0.03, lost_polls=0.05),
    World("3% fail in the server", errors=0.03),
    World("20% are refused", refused=0.2),
    World("a quarter waits 1 s", waits_seconds=1.0),
    World("dead after an hour", dead_after_seconds=3600.0, scraped_dead=False),
    replace(
        World("a canary of 5%, all fail after an hour", dead_after_seconds=3600.0),
        share=0.05,
        tail=1.5,
    ),
    World("better, else alike, by the access log", log=True),
    World("3% die, by the access log", lost=0.03, log=True),
    World("a quarter waits 1 s, by the access log", waits_seconds=1.0, log=True),
    BROKEN,
    World("pods that differ, else alike", better=0.0, flaky=0.01, pods=8),
    World("one pod of eight loses a quarter", lost=0.03, pods=8, bad_pods=1),
    *(
        replace(each, name=f"{each.name}, {platform}", platform=platform)
        for platform in PLATFORMS[:3]
        for each in (
            World("3% die", lost=0.03),
            World("a quarter waits 1 s", waits_seconds=1.0),
            World("dead after an hour", dead_after_seconds=3600.0, scraped_dead=False),
        )
    ),
    *(replace(BROKEN, name=f"{BROKEN.name}, {each}", platform=each) for each in PLATFORMS),
)
"""Of what is alike nothing is to be said; what is better and else alike may ship."""
