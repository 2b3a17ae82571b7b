"""HTTPRoutes and VirtualServices, read by interpreters that share no code with abctl."""

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from abctl.core.assignment import explain
from abctl.core.experiment import Cohort, Entrance, Model
from abctl.core.split import Split
from abctl.errors import SpecError
from abctl.platforms import platform

NAMES = ("control", "treatment")
BETA = Cohort("x-cohort", "beta", variant="treatment")
HALF = Cohort("x-cohort", "half", split=Split(NAMES, (5000, 5000)))
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-user-id": st.text("ab0", max_size=2),
        "x-force": st.sampled_from(["control", "treatment", "nobody", ""]),
        "x-cohort": st.sampled_from(["beta", "half", "other", ""]),
        "x-ab-variant": st.sampled_from(["control", "treatment", "nobody"]),
    },
)


def carried(name, experiment):
    carrier = platform(name)
    entrance = Entrance("gateways/public", "iris.example.com")
    experiment = replace(experiment, entrance=entrance)
    target = carrier.target(experiment)
    return next(o for o in carrier.objects(experiment) if o["kind"] == target.kind)


def http_route(obj, path, headers):
    """By Gateway API's precedence: the exact path, the longer path, more headers, the first."""

    def fits(match):
        where = match["path"]
        on_path = {
            "Exact": path == where["value"],
            "PathPrefix": f"{path}/".startswith(f"{where['value']}/"),
            "RegularExpression": bool(re.fullmatch(where["value"], path)),
        }
        return on_path[where["type"]] and all(
            re.fullmatch(h["value"], headers.get(h["name"], ""))
            if h.get("type") == "RegularExpression"
            else headers.get(h["name"]) == h["value"]
            for h in match.get("headers", ())
        )

    found = [
        (match["path"]["type"] != "Exact", -len(match.get("headers", ())), i)
        for i, rule in enumerate(obj["spec"]["rules"])
        for match in rule["matches"]
        if fits(match)
    ]
    if not found:
        return 404, []
    rule = obj["spec"]["rules"][min(found)[2]]
    told = [
        set_["value"]
        for f in rule.get("filters", ())
        for set_ in f["requestHeaderModifier"]["set"]
        if set_["name"] == "x-ab-randomized"
    ]
    shares = {}
    for backend in rule["backendRefs"]:
        (answer,) = backend["filters"]
        (stamp,) = answer["responseHeaderModifier"]["set"]
        assert backend["name"] == f"iris-{stamp['value']}"
        assert backend["port"] == port_of(path)
        shares[stamp["value"]] = shares.get(stamp["value"], 0) + backend.get("weight", 1)
    return shares, told


def grpc_route(obj, path, headers):
    """By the same precedence: a method is the path of its call."""
    rules = []
    for rule in obj["spec"]["rules"]:
        matches = []
        for match in rule["matches"]:
            method = match["method"]
            called = {"type": "Exact", "value": f"/{method['service']}/{method['method']}"}
            matches.append({**match, "path": called})
        rules.append({**rule, "matches": matches})
    return http_route({"spec": {"rules": rules}}, path, headers)


def virtual_service(obj, path, headers):
    """The first route of which a match fits."""

    def fits(match):
        uri = match["uri"]
        on_path = re.fullmatch(uri.get("regex", re.escape(uri.get("exact", ""))), path)
        exact = match.get("headers", {}).items()
        return on_path and all(headers.get(name) == text["exact"] for name, text in exact)

    route = next((r for r in obj["spec"]["http"] if any(map(fits, r["match"]))), None)
    if route is None:
        return 404, []
    if "directResponse" in route:
        return route["directResponse"]["status"], []
    told = [route["headers"]["request"]["set"]["x-ab-randomized"]] if "headers" in route else []
    shares = {}
    for each in route["route"]:
        stamp = each["headers"]["response"]["set"]["x-ab-variant"]
        assert each["destination"]["host"] == f"iris-{stamp}.models.svc.cluster.local"
        assert each["destination"]["port"]["number"] == port_of(path)
        shares[stamp] = each.get("weight", 1)
    return shares, told


def port_of(path):
    return 8081 if path.startswith(GRPC) else 8080


GRPC = "/inference.GRPCInferenceService/"
PATHS = ("/v2/models/iris/infer", "/v2/models/iris/versions/2/infer_stream", f"{GRPC}ModelInfer")
READ = {"gateway": http_route, "istio": virtual_service}
ALL = {**READ, "grpcroute": grpc_route}


@pytest.mark.parametrize(
    "case",
    [
        ("gateway", "user", (BETA,)),
        ("gateway", "request", (BETA, HALF)),
        ("istio", "request", (BETA, HALF)),
        ("grpcroute", "user", (BETA,)),
        ("grpcroute", "request", (BETA, HALF)),
    ],
)
@pytest.mark.parametrize("override", [None, "x-force"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(headers=HEADERS, path=st.sampled_from(PATHS))
def test_the_routes_say_what_the_explanation_says(case, override, headers, path, make_experiment):
    name, unit, cohorts = case
    experiment = make_experiment(
        unit=unit, override=override, cohorts=cohorts, shares_bp=(7000, 3000)
    )
    obj = carried(name, experiment)
    if name == "grpcroute" and not path.startswith(GRPC):
        assert grpc_route(obj, path, headers) == (404, [])
        return
    shares, told = ALL[name](obj, path, headers)
    who = explain(experiment.assignment, experiment.split, headers)
    assert told == [str(who.randomized).lower()]
    if who.variant is not None and who.point is None:
        assert list(shares) == [who.variant]
    elif who.randomized:
        assert shares == {"control": 7000, "treatment": 3000}
    else:
        assert shares == {"control": 5000, "treatment": 5000}


@pytest.mark.parametrize(
    "case",
    [("gateway", "user"), ("gateway", "request"), ("istio", "request"), ("grpcroute", "user")],
)
@pytest.mark.parametrize(
    "path",
    [
        *("/v2/repository/index", "/v2/repository/models/iris/unload", "/v2/docs", "/openapi.json"),
        *("/metrics", "/", "/v2/modelsx", f"{GRPC}RepositoryModelUnload"),
    ],
)
def test_other_paths_meet_no_server(case, path, make_experiment):
    name, unit = case
    obj = carried(name, make_experiment(unit=unit, override="x-force"))
    assert ALL[name](obj, path, {"x-user-id": "u", "x-force": "treatment"}) == (404, [])


@pytest.mark.parametrize("name", READ)
def test_both_ways_in_are_shifted_together(name, make_experiment):
    obj = carried(name, make_experiment(unit="request", shares_bp=(7000, 3000)))
    after = platform(name).with_split(obj, Split(NAMES, (4000, 6000)))
    for path in PATHS:
        shares, _ = READ[name](after, path, {})
        assert shares == {"control": 4000, "treatment": 6000}


def test_a_route_has_room_for_sixteen_rules(make_experiment):
    cohorts = tuple(Cohort("x-cohort", f"c{i}", variant="control") for i in range(7))
    fits, full = (
        carried("gateway", make_experiment(cohorts=cohorts[:n], shares_bp=(7000, 3000)))
        for n in (5, 6)
    )
    assert [len(obj["spec"]["rules"]) for obj in (fits, full)] == [16, 10]
    shares, _ = http_route(fits, f"{GRPC}ModelInfer", {"x-user-id": "u"})
    assert shares == {"control": 7000, "treatment": 3000}
    assert http_route(full, f"{GRPC}ModelInfer", {"x-user-id": "u"}) == (404, [])


@pytest.mark.parametrize("name", READ)
def test_feedback_goes_where_the_answer_came_from(name, make_experiment):
    obj = carried(name, make_experiment(unit="request", override="x-force", cohorts=(BETA,)))
    headers = {"x-ab-variant": "treatment", "x-force": "control", "x-cohort": "beta"}
    assert READ[name](obj, "/feedback", headers) == ({"treatment": 1}, [])


def test_feedback_without_a_variant_is_refused_where_that_can_be_said(make_experiment):
    obj = carried("istio", make_experiment(unit="request"))
    assert virtual_service(obj, "/feedback", {}) == (400, [])


def test_three_variants_have_regions_of_their_own_where_users_are_kept(make_experiment):
    names = ("control", "t-1", "t-2")
    obj = carried("gateway", make_experiment(*names, shares_bp=(7000, 1000, 2000)))
    gateway = platform("gateway")

    def weights(obj):
        rule = next(r for r in obj["spec"]["rules"] if r.get("name") == "split")
        return [(b["name"], b["weight"]) for b in rule["backendRefs"]]

    control = "iris-control"
    assert weights(obj) == [
        ("iris-t-1", 1000),
        (control, 4000),
        ("iris-t-2", 2000),
        (control, 3000),
    ]
    obj = gateway.with_split(obj, Split(names, (0, 0, 10_000)))
    assert [weight for _, weight in weights(obj)] == [0, 0, 10_000, 0]
    assert gateway.split_of(obj) == Split(names, (0, 0, 10_000))
    with pytest.raises(SpecError, match="region"):
        gateway.with_split(obj, Split(names, (3000, 6000, 1000)))


def test_requests_need_no_regions(make_experiment):
    names = ("control", "t-1", "t-2")
    obj = carried("gateway", make_experiment(*names, shares_bp=(1000, 8000, 1000), unit="request"))
    rule = next(r for r in obj["spec"]["rules"] if r.get("name") == "split")
    assert [b["weight"] for b in rule["backendRefs"]] == [1000, 8000, 1000]
    split = Split(names, (0, 3000, 7000))
    assert platform("gateway").split_of(platform("gateway").with_split(obj, split)) == split


def test_services_elsewhere_need_leave(make_experiment):
    experiment = make_experiment(shares_bp=(7000, 3000))
    models = (Model("iris", "v1", service="old"), Model("iris", "v2", service="lab/new:8000"))
    experiment = replace(
        experiment,
        entrance=Entrance("public"),
        variants=tuple(
            replace(v, model=m) for v, m in zip(experiment.variants, models, strict=True)
        ),
    )
    gateway = platform("gateway")
    grant, _, route = gateway.objects(experiment)
    assert (grant["kind"], grant["metadata"]["namespace"]) == ("ReferenceGrant", "lab")
    assert grant["spec"]["from"][0]["namespace"] == "models"
    assert [to["name"] for to in grant["spec"]["to"]] == ["new"]
    refs = next(r for r in route["spec"]["rules"] if r.get("name") == "split")["backendRefs"]
    assert [(r["name"], r.get("namespace"), r["port"]) for r in refs] == [
        ("old", None, 80),
        ("new", "lab", 8000),
    ]
    assert gateway.split_of(route) == experiment.split


def test_a_cohort_of_users_cannot_be_split_by_a_route(make_experiment):
    with pytest.raises(SpecError, match=r"assignment\.cohorts\[1\]\.split") as caught:
        carried("gateway", make_experiment(cohorts=(BETA, HALF)))
    assert "envoy and nginx" in caught.value.hint
