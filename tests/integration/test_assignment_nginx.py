"""abctl's arithmetic against a real nginx with the configuration that abctl ships.

Behind each variant's upstream is a second server of the same nginx that answers with the variant's
name and with what the request was told.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from api_server import DEADLINE_SECONDS, path_from
from data_plane import own_address
from real_nginx import Headers, RealNginx, until

from abctl.cluster.kube import ClusterClient
from abctl.core.assignment import explain
from abctl.core.change import Object, Ref
from abctl.core.experiment import Cohort, Experiment
from abctl.core.split import Split
from abctl.platforms import nginx
from abctl.platforms._nginx_config import configuration
from abctl.session.open import Where, open_session
from abctl.session.shift import shift

NAMES = ("control", "treatment")
THREE = ("control", "t-1", "t-2")
USERS = [f"user-{i}" for i in range(19_990)] + [
    *("a", "ab", "abc", "Zoë", "用户", "a" * 300, 'quote"s', "back\\slash", "do$lar", "sp ace")
]


@pytest.fixture(scope="module")
def program() -> str:
    found: str = path_from("debian", "nginx")
    return found


@pytest.fixture
def start(program: str, tmp_path: Path) -> Iterator[Callable[..., RealNginx]]:
    running: list[RealNginx] = []

    def begin(experiment: Experiment, **options: Any) -> RealNginx:
        folder = tmp_path / str(len(running))
        folder.mkdir()
        running.append(RealNginx(program, experiment, folder, **options))
        running[-1].wait()
        return running[-1]

    yield begin
    for each in running:
        each.stop()


def expected(experiment: Experiment, split: Split, headers: Headers):
    return explain(experiment.assignment, split, headers, nginx.CAPABILITIES.draw)


def test_every_user_goes_where_the_arithmetic_says(start, make_experiment) -> None:
    experiment = make_experiment(shares_bp=(6667, 3333))
    said = [expected(experiment, experiment.split, {"x-user-id": u}).variant for u in USERS]
    assert start(experiment).variants(USERS) == said
    assert abs(said.count("treatment") / len(said) - 0.3333) < 0.02


@pytest.mark.parametrize(
    "splits_bp",
    [
        ((9000, 1000), (5000, 5000), (0, 10_000), (10_000, 0)),
        ((7000, 1000, 2000), (4500, 3500, 2000), (0, 0, 10_000)),
    ],
)
def test_a_treatment_that_grows_takes_users_only_from_the_control(
    start, make_experiment, splits_bp
) -> None:
    names = THREE[: len(splits_bp[0])] if len(splits_bp[0]) > 2 else NAMES
    experiment, users = make_experiment(*names, shares_bp=splits_bp[0]), USERS[:6000]
    running = start(experiment)
    before = running.variants(users)
    for shares_bp in splits_bp[1:]:
        split = Split(names, shares_bp)
        running.shift(split)
        after = running.variants(users)
        assert running.loaded() == split
        said = [expected(experiment, split, {"x-user-id": u}).variant for u in users]
        assert after == said
        moved = {(a, b) for a, b in zip(before, after, strict=True) if a != b}
        if 10_000 not in shares_bp:
            assert moved == {("control", names[1])}
        before = after


def test_override_cohorts_and_requests_without_a_key(start, make_experiment) -> None:
    cohorts = (
        Cohort("x-cohort", 'be"ta $1 \\z', variant="treatment"),
        Cohort("x-country", "DE", split=Split(NAMES, (5000, 5000))),
    )
    experiment = make_experiment(shares_bp=(7000, 3000), override="x-force", cohorts=cohorts)
    requests: list[Headers] = [
        {"x-force": "treatment"},
        {"x-force": "control", "x-cohort": cohorts[0].value, "x-user-id": "u1"},
        {"x-force": "Treatment", "x-user-id": "u1"},
        {"x-force": "nobody", "x-cohort": cohorts[0].value},
        {"x-cohort": cohorts[0].value.upper(), "x-user-id": "u1"},
        {"x-country": "DE"},
        {"x-user-id": ""},
        {},
        *({"x-country": "DE", "x-user-id": f"u{i}"} for i in range(200)),
        *({"x-user-id": f"u{i}", "x-ab-randomized": "nonsense"} for i in range(200)),
    ]
    for request, answer in zip(requests, start(experiment).ask(requests), strict=True):
        said = expected(experiment, experiment.split, request)
        assert answer == (said.variant, said.variant, str(said.randomized).lower()), request


def test_feedback_goes_where_the_answer_came_from(start, make_experiment) -> None:
    running = start(make_experiment(shares_bp=(10_000, 0)))
    answers = running.ask([{"x-ab-variant": "treatment"}, {"x-ab-variant": "x"}, {}], "/feedback")
    assert answers[0] == ("treatment", "treatment", "not told")
    assert [answer.randomized for answer in answers[1:]] == ["400", "400"]


def test_requests_are_drawn_by_chance_where_they_are_the_unit(start, make_experiment) -> None:
    experiment = make_experiment(shares_bp=(5000, 5000), unit="request", key="", salt="")
    answers = start(experiment).ask([{}] * 2000)
    assert 850 < sum(answer.variant == "treatment" for answer in answers) < 1150
    assert {answer.randomized for answer in answers} == {"true"}


def test_in_a_pod_a_changed_configuration_is_loaded_and_a_wrong_one_is_not(
    program, tmp_path, make_experiment
) -> None:
    running = RealNginx(program, make_experiment(shares_bp=(10_000, 0)), tmp_path, in_pod=True)
    users = USERS[:50]
    try:
        running.wait()
        assert set(running.variants(users)) == {"control"}
        text = running._file.read_text()
        assert running.loaded() == running.experiment.split
        running._file.write_text("nonsense")
        # It is looked at every two seconds; whatever is wrong is said and left alone.
        log = tmp_path / "said"
        until(lambda: "test failed" in log.read_text(), running._process)
        assert set(running.variants(users)) == {"control"}
        assert running.loaded() == running.experiment.split
        running._file.write_text(text.replace("* control;", "* treatment;"))
        until(lambda: set(running.variants(users)) == {"treatment"}, running._process)
    finally:
        running.stop()
    with pytest.raises(OSError, match="refused"):
        running.variants(users)


def test_a_shift_in_a_cluster_waits_until_nginx_says_that_it_has_it(
    start, make_experiment, cluster, namespace, monkeypatch
) -> None:
    if not hasattr(cluster, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    # An API server asks no pod at a loopback address.
    address = own_address()
    experiment = replace(make_experiment(shares_bp=(9000, 1000)), namespace=namespace)
    running = start(experiment, address=address)
    client = ClusterClient(kubeconfig=cluster.kubeconfig)
    client.apply(running.object)
    client.apply(_pod(namespace))
    status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}
    words = ("patch", "pod", "nginx-0", "-n", namespace, "--subresource=status", "--type=merge")
    cluster.kubectl(*words, "--patch", json.dumps({"status": status}))
    inquiry = replace(nginx.CAPABILITIES.inquiry, port=running.admin)
    monkeypatch.setattr(nginx, "CAPABILITIES", replace(nginx.CAPABILITIES, inquiry=inquiry))
    where = Where(kubeconfig=cluster.kubeconfig, namespace=namespace)
    waits = []

    def kubelet(seconds: float) -> None:
        """What is in the cluster comes to the pod late."""
        waits.append(seconds)
        if len(waits) == 5:
            running.load(client.get(Ref.of(running.object)))

    patience = {"sleep": kubelet, "timeout_seconds": DEADLINE_SECONDS}
    session = replace(open_session("cm/iris-nginx", where), actor="ann", **patience)
    done = shift(session, session.experiment.split.parse_change(("50/50",)), why="")
    assert done.confirmed
    assert len(waits) >= 5
    assert running.loaded() == done.after


def _pod(namespace: str) -> Object:
    labels = {"abctl.dev/experiment": "iris", "app.kubernetes.io/component": "proxy"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "nginx-0", "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "nginx", "image": "nginx"}]},
    }


def test_what_is_rendered_for_a_cluster_is_what_was_tested(make_experiment) -> None:
    experiment = make_experiment(shares_bp=(7000, 3000))
    target = nginx.target(experiment)
    found = next(obj for obj in nginx.objects(experiment) if Ref.of(obj) == target)
    upstreams = {n: (f"iris-{n}", 8080) for n in NAMES}
    grpc = {name: (host, 8081) for name, (host, _) in upstreams.items()}
    text = configuration(experiment, upstreams, listen="8080", admin="9901", grpc=grpc)
    assert found["data"] == {nginx._FILE: text}
