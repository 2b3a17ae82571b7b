"""abctl's arithmetic against a real Envoy with the configuration that abctl ships."""

import random
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import scipy.stats
from answering_envoy import Answer, Headers
from api_server import DEADLINE_SECONDS, HOST
from own_ports import free_ports
from real_envoy import RealEnvoy

from abctl.core.assignment import explain
from abctl.core.experiment import Assignment, Cohort, Experiment, Model, Shadow
from abctl.core.split import Split
from abctl.local.envoy import command
from abctl.platforms import envoy


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Experiment], RealEnvoy]]:
    """Starts Envoys, and ends them."""
    started: list[RealEnvoy] = []

    def begin(experiment: Experiment) -> RealEnvoy:
        folder = tmp_path / str(len(started))
        folder.mkdir()
        running = RealEnvoy(experiment, folder)
        started.append(running)
        running.wait()
        return running

    yield begin
    for each in started:
        each.stop()


Start = Callable[[Experiment], RealEnvoy]
Make = Callable[..., Experiment]
ASCII = [f"user-{i}" for i in range(20_000)]
# Ids of every script, with blanks inside and with what has a meaning elsewhere.
ALPHABET = "aZ09-_.:/\\%$'\"{}()*+ ,;=&<>éßøΩжשع中用語한🙂\u00a0\u0301"
_RNG = random.Random(11)
STRANGE = [
    "x" + "".join(_RNG.choices(ALPHABET, k=_RNG.randint(1, 30))) + str(i) for i in range(3000)
]

# Blanks for people, but not for HTTP: they belong to the id.
WIDE = [f"\u00a0wide-{i}\u2003" for i in range(10)]


def expected(rules: Assignment, split: Split, requests: Sequence[Headers]) -> list[Answer]:
    found = []
    for headers in requests:
        who = explain(rules, split, headers)
        assert who.variant is not None
        found.append(Answer(who.variant, who.variant, str(who.randomized).lower()))
    return found


def test_every_one_of_20_000_users_is_where_abctl_says(start: Start, make_experiment: Make) -> None:
    experiment = make_experiment(shares_bp=(7000, 3000))
    requests = [{"x-user-id": user} for user in ASCII]
    answers = start(experiment).ask(requests)
    assert answers == expected(experiment.assignment, experiment.split, requests)
    treated = Counter(answer.variant for answer in answers)["treatment"]
    assert scipy.stats.binomtest(treated, len(ASCII), 0.3).pvalue > 0.001


@pytest.mark.parametrize(
    "splits_bp",
    [
        [(9999, 1), (8750, 1250), (5000, 5000), (1, 9999), (0, 10_000), (10_000, 0)],
        [(6500, 1000, 2500), (2000, 3000, 5000), (0, 5000, 5000), (0, 0, 10_000), (9998, 1, 1)],
        [(2500, 2500, 2500, 2500), (4000, 3333, 2000, 667)],
    ],
    ids=["two", "three", "four"],
)
def test_strange_ids_are_where_abctl_says_at_every_split(
    start: Start, make_experiment: Make, splits_bp: list[tuple[int, ...]]
) -> None:
    names = ("control", "t1", "t2", "t3")[: len(splits_bp[0])]
    experiment = make_experiment(*names, shares_bp=splits_bp[0])
    running = start(experiment)
    requests = [{"x-user-id": user} for user in STRANGE[:1000]]
    for shares_bp in splits_bp:
        split = Split(names, shares_bp)
        if split != experiment.split:
            running.shift(split)
        assert running.ask(requests) == expected(experiment.assignment, split, requests)


def test_a_growing_treatment_takes_users_only_from_the_control(
    start: Start, make_experiment: Make
) -> None:
    names = ("control", "t1", "t2")
    shares = [(7500, 0, 2500), (7000, 500, 2500), (4500, 3000, 2500), (2500, 5000, 2500)]
    running = start(make_experiment(*names, shares_bp=shares[0]))
    users = ASCII[:2500]
    seen = [running.variants(users)]
    for shares_bp in shares[1:]:
        running.shift(Split(names, shares_bp))
        seen.append(running.variants(users))
    for before, after in pairwise(seen):
        moved = Counter(m for m in zip(before, after, strict=True) if m[0] != m[1])
        assert set(moved) == {("control", "t1")}
    assert Counter(seen[0])["t2"] == Counter(seen[-1])["t2"] > 0


def test_two_salts_do_not_know_each_other(start: Start, make_experiment: Make) -> None:
    users = ASCII[:2500]
    rows = [
        start(make_experiment(shares_bp=(5000, 5000), salt=salt)).variants(users)
        for salt in ("spring", "autumn")
    ]
    table = Counter(zip(*rows, strict=True))
    counts = [[table[a, b] for b in ("control", "treatment")] for a in ("control", "treatment")]
    assert scipy.stats.chi2_contingency(counts).pvalue > 0.001


COHORTS = (
    Cohort("x-cohort", "beta", variant="treatment"),
    Cohort("x-country", "DE", split=Split(("control", "treatment"), (2000, 8000))),
    Cohort("x-country", "FR", variant="control"),
    Cohort("x-country", "DE", variant="treatment"),
)


def test_override_cohorts_and_missing_keys_come_in_the_order_that_abctl_says(
    start: Start, make_experiment: Make
) -> None:
    experiment = make_experiment(shares_bp=(7000, 3000), override="x-ab-force", cohorts=COHORTS)
    rng = random.Random(5)
    values = {
        "X-User-Id": ["", " ", *STRANGE[:20], "  padded\t", *WIDE],
        "X-AB-Force": ["treatment", "control", "Treatment", "", "other", " treatment "],
        "x-cohort": ["beta", "Beta", "", "beta2"],
        "X-Country": ["DE", "FR", "SE", "de"],
        # Whatever a client says of itself does not count.
        "x-ab-randomized": ["true", "false"],
    }
    requests = [
        {name: rng.choice(choice) for name, choice in values.items() if rng.random() < 0.5}
        for _ in range(3000)
    ]
    answers = start(experiment).ask(requests)
    assert answers == expected(experiment.assignment, experiment.split, requests)
    assert len(set(answers)) == 4, "every combination must have been met"


def test_without_permission_no_header_forces_a_variant(start: Start, make_experiment: Make) -> None:
    experiment = make_experiment(shares_bp=(7000, 3000))
    requests = [{"x-user-id": u, "x-ab-variant": "treatment"} for u in ASCII[:200]]
    answers = start(experiment).ask(requests)
    assert answers == expected(experiment.assignment, experiment.split, requests)
    assert {answer.variant for answer in answers} == {"control", "treatment"}


def test_requests_are_drawn_one_by_one_where_the_experiment_says_so(
    start: Start, make_experiment: Make
) -> None:
    experiment = make_experiment(shares_bp=(5000, 5000), unit="request", cohorts=COHORTS[:1])
    running = start(experiment)
    answers = running.ask([{"x-user-id": "u1"}] * 2000)
    assert {answer.randomized for answer in answers} == {"true"}
    assert explain(experiment.assignment, experiment.split, {"x-user-id": "u1"}).variant is None
    treated = Counter(answer.variant for answer in answers)["treatment"]
    assert 800 < treated < 1200  # nine standard deviations, since Envoy's dice cannot be seeded
    beta = [{"x-cohort": "beta"}] * 20
    assert running.ask(beta) == expected(experiment.assignment, experiment.split, beta)


@pytest.mark.parametrize(("percent", "fewest", "most"), [(100, 1000, 1000), (20, 100, 320)])
def test_a_shadow_gets_copies_that_nobody_sees(
    start: Start, make_experiment: Make, percent: int, fewest: int, most: int
) -> None:
    plain = make_experiment(shares_bp=(7000, 3000), override="x-ab-force")
    running = start(replace(plain, shadow=Shadow("next", Model("iris", "v3"), percent)))
    drawn = [{"x-user-id": user} for user in ASCII[:1000]]
    # Who was not drawn is not copied: the shadow sees what the variants are compared by.
    forced = [{"x-user-id": user, "x-ab-force": "control"} for user in ASCII[:100]]
    answers = running.ask([*drawn, *forced])
    assert answers == expected(plain.assignment, plain.split, [*drawn, *forced])
    running.until(lambda: running.answered("next") >= fewest, "the shadow")
    assert running.answered("next") <= most  # eight standard deviations of Envoy's dice


def test_another_envoy_of_the_same_user_does_not_share_its_port_in_silence(
    start: Start, make_experiment: Make, tmp_path: Path
) -> None:
    experiment = make_experiment()
    port, (admin,) = start(experiment).port, free_ports(1)
    upstreams = {variant.name: (HOST, admin) for variant in experiment.served}
    second = envoy.bootstrap(
        experiment, listen=port, admin=admin, upstreams=upstreams, routes_dir=str(tmp_path / "0")
    )
    argv = command(second, admin, tmp_path).argv
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_SECONDS)  # noqa: PLW1510 - it is to fail
    assert done.returncode != 0
    assert "Address already in use" in done.stderr
