"""Envoy Gateway itself on what abctl renders, and a real Envoy that it tells what to do."""

import json
import random
from collections import Counter

import pytest
import scipy.stats
from answering_envoy import Answer
from data_plane import endpoints, idle_timeout

from abctl.core.assignment import explain
from abctl.core.split import Split
from abctl.platforms import gateway

SPEC = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {name: iris, namespace: NAMESPACE}
spec:
  platform: gateway
  entrance: {gateway: public, host: iris.example.com}
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 2pp}
  source: {prometheus: {url: "http://prometheus.monitoring:9090"}}
"""
TWO = """
  variants:
    - {name: control,   split: 70%, model: {name: iris, version: v1, image: "abctl/iris:v1"}}
    - {name: treatment, split: 30%, model: {name: iris, version: v2, image: "abctl/iris:v2"}}
"""
THREE = """
  variants:
    - {name: control, split: 70%, model: {name: iris, version: v1, image: "abctl/iris:v1"}}
    - {name: small,   split: 10%, model: {name: iris, version: v2, image: "abctl/iris:v2"}}
    - {name: large,   split: 20%, model: {name: iris, version: v3, image: "abctl/iris:v3"}}
"""
USERS = """
  assignment:
    unit: user
    key: x-user-id
    salt: iris-1
    override: x-ab-force
    cohorts: [{header: x-cohort, value: beta, variant: treatment}]
"""
USERS_ALONE = "  assignment: {unit: user, key: x-user-id, salt: iris-1}\n"
REQUESTS = """
  assignment:
    unit: request
    override: x-ab-force
    cohorts: [{header: x-cohort, value: half, split: 50/50}]
"""
SHADOW = """
  shadow: {name: next, share: 50%, model: {name: iris, version: v3, image: "abctl/iris:v3"}}
"""
NAMES = ("control", "treatment")
IDS = [{"x-user-id": f"user-{i}"} for i in range(10_000)]


@pytest.fixture
def upstream(envoy_gateway):
    return envoy_gateway


def expected(carried, requests, *shares_bp):
    """By abctl's own arithmetic."""
    rules, names = carried.experiment.assignment, carried.experiment.split.names
    split = Split(names, shares_bp) if shares_bp else carried.experiment.split
    found = [explain(rules, split, headers, gateway.CAPABILITIES.draw) for headers in requests]
    return [Answer(w.variant, w.variant, str(w.randomized).lower()) for w in found]


def likely(answers, share):
    treated = Counter(answer.variant for answer in answers)["treatment"]
    return scipy.stats.binomtest(treated, len(answers), share).pvalue > 0.0001


def test_users_keep_their_variant_and_are_where_abctl_says(carry, abctl):
    carried = carry(SPEC + TWO + USERS)
    carried.wait_for(control=7000, treatment=3000)
    before = carried.ask(IDS)
    assert before == expected(carried, IDS)
    assert likely(before, 0.3)
    assert carried.ask(IDS) == before
    # Each variant has a cluster, and so statistics, of its own.
    assert carried.counts() == {n: 2 * c for n, c in Counter(a.variant for a in before).items()}
    # Model servers close idle connections after 5 s, and the proxy does so before.
    names = [name for each in gateway.upstreams(carried.obj()).values() for name in each]
    told = carried.proxy.clusters
    carried.proxy.until(lambda: {idle_timeout(told()[n]) for n in names} == {"4s"}, "the policy")
    file = str(carried.file)
    assert "no differences" in abctl("diff", file)
    for treated in (5000, 0, 10_000):
        abctl("shift", file, f"treatment={treated / 100:g}%", "--yes", "--timeout", "5m")
        seen = json.loads(abctl("status", file, "-o", "json"))
        assert seen["programmed"]["treatment"] == treated / 10_000
        carried.wait_for(**+Counter(control=10_000 - treated, treatment=treated))
        users = IDS[:2000]
        after = carried.ask(users)
        assert after == expected(carried, users, 10_000 - treated, treated)


def test_calls_of_grpc_are_split_as_requests_are(carry, abctl):
    carried = carry(SPEC.replace("platform: gateway", "platform: grpcroute") + TWO + USERS)
    carried.wait_for(control=7000, treatment=3000)
    users = IDS[:3000]
    before = carried.ask(users, path=_INFER)
    assert before == expected(carried, users)
    assert carried.counts() == Counter(answer.variant for answer in before)
    file = str(carried.file)
    assert "no differences" in abctl("diff", file)
    for treated in (5000, 0):
        abctl("shift", file, f"treatment={treated / 100:g}%", "--yes", "--timeout", "5m")
        seen = json.loads(abctl("status", file, "-o", "json"))
        assert seen["programmed"]["treatment"] == treated / 10_000
        carried.wait_for(**+Counter(control=10_000 - treated, treatment=treated))
        after = carried.ask(users, path=_INFER)
        assert after == expected(carried, users, 10_000 - treated, treated)
    # What is no inference finds no route.
    assert carried.ask(IDS[:1], path="/inference.GRPCInferenceService/RepositoryIndex") == [
        Answer("404")
    ]


def test_override_cohorts_and_missing_keys_are_as_abctl_says(carry):
    carried = carry(SPEC + TWO + USERS)
    carried.wait_for(control=7000, treatment=3000)
    rng = random.Random(5)
    values = {
        "X-User-Id": ["", "u1", "u2", "u3", "u4", "a b", "é"],
        "x-ab-force": ["treatment", "control", "Treatment", "", "other"],
        "x-cohort": ["beta", "Beta", ""],
        # Whatever a client says of itself does not count.
        "x-ab-randomized": ["true", "false"],
        "x-ab-variant": ["treatment"],
    }
    requests = [
        {name: rng.choice(choice) for name, choice in values.items() if rng.random() < 0.5}
        for _ in range(2000)
    ]
    answers = carried.ask(requests)
    assert answers == expected(carried, requests)
    assert len(set(answers)) == 4, "every combination must have been met"
    for name in NAMES:
        (answer,) = carried.ask([{"x-ab-variant": name}], path="/feedback")
        assert answer.variant == name


def test_with_several_treatments_each_keeps_its_region(carry, abctl):
    carried = carry(SPEC + THREE + USERS_ALONE)
    carried.wait_for(control=7000, small=1000, large=2000)
    before = carried.ask(IDS)
    assert before == expected(carried, IDS)
    abctl("shift", str(carried.file), "small=40%", "--yes", "--timeout", "5m")
    carried.wait_for(control=4000, small=4000, large=2000)
    after = carried.ask(IDS)
    assert after == expected(carried, IDS, 4000, 4000, 2000)
    moves = {(a.variant, b.variant) for a, b in zip(before, after, strict=True)}
    assert {m for m in moves if m[0] != m[1]} == {("control", "small")}


def test_requests_are_drawn_anew_and_copied(carry, abctl):
    carried = carry(SPEC + TWO + REQUESTS + SHADOW)
    carried.wait_for(control=7000, treatment=3000)
    same = [{"x-user-id": "u1"}] * 10_000
    answers = carried.ask(same)
    assert likely(answers, 0.3)
    assert {a.randomized for a in answers} == {"true"}
    half = carried.ask([{"x-cohort": "half"}] * 2000)
    assert likely(half, 0.5)
    assert {a.randomized for a in half} == {"false"}
    # Only what was drawn by the split is copied, half of it.
    carried.proxy.until(lambda: carried.proxy.answered("next") >= 4800, "the copies")
    assert scipy.stats.binomtest(carried.proxy.answered("next"), 10_000, 0.5).pvalue > 0.0001
    abctl("shift", str(carried.file), "treatment=60%", "--yes", "--timeout", "5m")
    carried.wait_for(control=4000, treatment=6000)
    assert likely(carried.ask(same), 0.6)


def test_while_a_variant_has_no_endpoint_others_users_bear_it_and_abctl_says_so(carry, abctl):
    """Envoy Gateway puts what nobody can serve before all else, so the hash meets it first."""
    carried = carry(SPEC + TWO + USERS_ALONE)
    carried.wait_for(control=7000, treatment=3000)
    carried.apply(endpoints("iris-treatment", None))
    carried.wait_for(**{"invalid-backend-cluster": 3000, "control": 7000})
    users = IDS[:200]
    told = [Answer("control", "control", "true"), Answer("503")]
    places = [
        gateway.CAPABILITIES.draw(None, Split(("a", "b"), (3000, 7000)), u["x-user-id"])
        for u in users
    ]
    assert carried.ask(users) == [told[place.variant == "a"] for place in places]
    file = str(carried.file)
    seen = json.loads(abctl("status", file, "-o", "json"))
    assert "no ready endpoints" in seen["refusal"]
    # Which is no reason not to go back, and the way back is confirmed.
    assert seen["programmed"] == {"control": 0.7, "treatment": 0.3}
    abctl("rollback", file, "--yes", "--timeout", "5m")
    carried.wait_for(control=10_000)
    assert set(carried.ask(users)) == {told[0]}


def test_a_service_elsewhere_is_reached_with_leave_alone(carry, abctl, server, make_namespace):
    other = make_namespace(server)
    server.kubectl("create", "service", "clusterip", "iris-treatment", "-n", other, "--tcp=8080")
    text = SPEC + TWO + USERS_ALONE
    carried = carry(
        text.replace('image: "abctl/iris:v2"', f'service: "{other}/iris-treatment:8080"')
    )
    ready = endpoints("iris-treatment", carried.proxy.behind["treatment"], "8080")
    carried.apply(ready, namespace=other)
    carried.wait_for(control=7000, treatment=3000)
    users = IDS[:1000]
    assert carried.ask(users) == expected(carried, users)
    server.kubectl("delete", "referencegrants", "--all", "-n", other)
    carried.wait_for(**{"invalid-backend-cluster": 3000, "control": 7000})
    seen = json.loads(abctl("status", str(carried.file), "-o", "json"))
    assert seen["programmed"] is None
    assert "ResolvedRefs is False (RefNotPermitted" in seen["refusal"]


def test_without_a_filter_for_each_backend_a_hash_keeps_no_weights(carry):
    """Why abctl gives each backend one."""
    carried = carry(SPEC + TWO + USERS_ALONE)
    carried.wait_for(control=7000, treatment=3000)
    obj = carried.obj()
    (rule,) = (r for r in obj["spec"]["rules"] if r.get("name") == "split")
    refs = [{k: r[k] for k in ("name", "port", "weight")} for r in rule["backendRefs"]]
    parents = obj["spec"]["parentRefs"]
    plain = {
        "apiVersion": obj["apiVersion"],
        "kind": "HTTPRoute",
        "metadata": {"name": "plain"},
        "spec": {"parentRefs": parents, "hostnames": ["plain"], "rules": [{"backendRefs": refs}]},
    }
    (policy,) = (o for o in gateway.objects(carried.experiment) if o["kind"] == _POLICY)
    (to,) = policy["spec"]["targetRefs"]
    spec = {**policy["spec"], "targetRefs": [{**to, "name": "plain"}]}
    carried.apply(plain, {**policy, "metadata": {"name": "plain"}, "spec": spec})

    def hashed():
        told = [c for name, c in carried.proxy.clusters().items() if "/plain/" in name]
        maglev = told and "maglev" in json.dumps(told[0]["load_balancing_policy"])
        return maglev and carried.ask(IDS[:1], host="plain")[0].variant in NAMES

    carried.proxy.until(hashed, "the other route")
    # One cluster of both, of which the hash picks a pod.
    answers = carried.ask(IDS, host="plain")
    treated = Counter(answer.variant for answer in answers)["treatment"]
    assert 0.4 < treated / len(answers) < 0.6


_POLICY = "BackendTrafficPolicy"
_INFER = "/inference.GRPCInferenceService/ModelInfer"
