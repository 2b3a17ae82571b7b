"""Envoy's routes, read by an interpreter of their meaning that shares no code with abctl."""

import json
import re
from dataclasses import replace

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.assignment import explain
from abctl.core.experiment import Cohort, Model
from abctl.core.outcome import Outcome
from abctl.core.split import Split
from abctl.errors import ClusterError
from abctl.platforms import envoy

NAMES = ("control", "treatment")
COHORTS = (
    Cohort("x-cohort", "beta", variant="treatment"),
    Cohort("x-cohort", "half", split=Split(NAMES, (5000, 5000))),
)


def config_map(experiment):
    return next(obj for obj in envoy.objects(experiment) if obj["kind"] == "ConfigMap")


def routes_of(obj):
    return json.loads(obj["data"]["routes.json"])["resources"][0]


def matches(match, path, headers):
    where = match.get("safe_regex", {}).get("regex", re.escape(match.get("path", "")))
    # Envoy leaves out the query here, and not in the header `:path`.
    if not ("prefix" in match or re.fullmatch(where, path.partition("?")[0])):
        return False
    return all(fits(rule, {":path": path, **headers}) for rule in match.get("headers", ()))


def fits(rule, headers):
    value = headers.get(rule["name"])
    if value is None and rule.get("treat_missing_header_as_empty"):
        value = ""
    if value is None:
        return False
    if "range_match" in rule:
        return rule["range_match"]["start"] <= int(value) < rule["range_match"]["end"]
    text = rule["string_match"]
    # Of Python's expressions, none takes bytes of a text.
    regex = text.get("safe_regex", {}).get("regex", "").replace(r"\C", r"[\s\S]")
    found = value == text["exact"] if "exact" in text else bool(re.fullmatch(regex, value))
    return found != rule.get("invert_match", False)


def follow(obj, headers, path="/v2/models/iris/infer"):
    """The variant (None: drawn) and the value of x-ab-randomized, or the status of a refusal."""
    (host,) = routes_of(obj)["virtual_hosts"]
    route = next(r for r in host["routes"] if matches(r["match"], path, headers))
    if "direct_response" in route:
        return route["direct_response"]["status"], None
    told = {
        h["header"]["key"]: h["header"]["value"] for h in route.get("request_headers_to_add", ())
    }
    action, randomized = route["route"], told.get("x-ab-randomized")
    port = ".grpc" if path.startswith("/inference.") else ""
    # What asks for no prediction is counted apart. A model may be called infer.
    asked = path.partition("?")[0].removeprefix("/v2/models/").split("/")
    predicted = asked[-1] in ("infer", "generate", "infer_stream", "generate_stream")
    port += "" if asked[-1].endswith("Infer") or (predicted and len(asked) > 1) else ".aside"
    if path == "/feedback":
        return action["cluster"], randomized
    if "cluster" in action:
        assert stamp(route) + port == action["cluster"]
        return stamp(route), randomized
    weighted = action["weighted_clusters"]
    assert all(stamp(c) + port == c["name"] for c in weighted["clusters"])
    if not weighted.get("use_hash_policy"):
        return None, randomized
    chosen = drawn(weighted["clusters"], key(action["hash_policy"], headers))
    return chosen.removesuffix(port), randomized


def stamp(place):
    (header,) = place["response_headers_to_add"]
    assert header["append_action"] == "OVERWRITE_IF_EXISTS_OR_ADD"
    assert header["header"]["key"] == "x-ab-variant"
    return header["header"]["value"]


def key(policies, headers):
    (policy,) = policies
    rewrite = policy["header"]["regex_rewrite"]
    assert rewrite["pattern"]["regex"] == r"^[ \t]*(\C*?)[ \t]*$"
    # RE2's rule: a backslash before a digit is a group, before a backslash it is one.
    unit = headers[policy["header"]["header_name"]].strip(" \t")
    return re.sub(r"\\([1\\])", lambda m: unit if m[1] == "1" else "\\", rewrite["substitution"])


def drawn(clusters, text):
    point = xxhash.xxh64_intdigest(text.encode()) % sum(c["weight"] for c in clusters)
    for cluster in clusters:
        if point < cluster["weight"]:
            return cluster["name"]
        point -= cluster["weight"]
    raise AssertionError("no cluster")


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "x-user-id": st.text(max_size=4),
        "x-force": st.sampled_from(["control", "treatment", "nobody", ""]),
        "x-cohort": st.sampled_from(["beta", "half", "other", ""]),
    },
)


GRPC = "/inference.GRPCInferenceService/"
PATHS = (
    *("/v2", "/v2/health/ready", "/v2/models/a%20b", "/v2/models/iris/versions/2/infer?a=b"),
    *("/v2/models/iris/infer_stream", f"{GRPC}ModelInfer", f"{GRPC}ModelStreamInfer"),
    *("/v2/health/live?infer", "/v2/models/infer", "/v2/models/infer/ready"),
    *("/v2/models/x/generate",),
    *(f"{GRPC}ModelReady", f"{GRPC}ServerLive", f"{GRPC}ModelMetadata"),
)


@pytest.mark.parametrize("unit", ["user", "request"])
@pytest.mark.parametrize("override", [None, "x-force"])
@given(headers=HEADERS, treatment_bp=st.integers(0, 10_000), path=st.sampled_from(PATHS))
def test_the_routes_say_what_the_explanation_says(
    unit, override, headers, treatment_bp, *, path, make_experiment
):
    experiment = make_experiment(
        unit=unit, override=override, cohorts=COHORTS, salt=r"s\1\\", shares_bp=(5000, 5000)
    )
    split = Split(NAMES, (10_000 - treatment_bp, treatment_bp))
    obj = envoy.with_split(config_map(experiment), split)
    stripped = {name: value.strip(" \t") for name, value in headers.items()}
    expected = explain(experiment.assignment, split, stripped)
    assert follow(obj, stripped, path) == (expected.variant, str(expected.randomized).lower())


@given(user=st.text(min_size=1, max_size=5))
def test_three_variants_too(user, make_experiment):
    experiment = make_experiment("control", "t-1", "t-2", shares_bp=(6500, 1000, 2500))
    obj = config_map(experiment)
    headers = {"x-user-id": user.strip(" \t")}
    expected = explain(experiment.assignment, experiment.split, headers)
    assert follow(obj, headers)[0] == expected.variant


def test_feedback_goes_where_the_answer_came_from(make_experiment):
    obj = config_map(make_experiment(override="x-ab-variant"))
    assert follow(obj, {"x-ab-variant": "treatment"}, "/feedback") == (
        "treatment.aside",
        None,
    )
    assert follow(obj, {"x-ab-variant": "nobody", "x-user-id": "u"}, "/feedback") == (400, None)
    assert follow(obj, {"x-user-id": "u"}, "/feedback") == (400, None)
    # With tokens it goes to the collector of all variants.
    outcome = Outcome("click", "binary")
    tokens = config_map(replace(make_experiment(), outcomes=(outcome,)))
    assert follow(tokens, {"x-user-id": "u"}, "/feedback") == ("_collector", None)


def test_the_client_cannot_say_whether_it_was_randomized(make_experiment):
    obj = config_map(make_experiment(override="x-force", cohorts=COHORTS))
    for route in routes_of(obj)["virtual_hosts"][0]["routes"]:
        set_to = {
            h["header"]["key"]: h["append_action"] for h in route.get("request_headers_to_add", ())
        }
        assert (
            set_to.get("x-ab-randomized") == "OVERWRITE_IF_EXISTS_OR_ADD"
            or "x-ab-randomized" in route.get("request_headers_to_remove", ())
            or "direct_response" in route
        )


def test_a_variant_without_a_share_is_no_destination_of_the_split(make_experiment):
    obj = config_map(make_experiment(shares_bp=(10_000, 0)))
    found = {
        route["name"]: [
            (c["name"], c["weight"]) for c in route["route"]["weighted_clusters"]["clusters"]
        ]
        for route in routes_of(obj)["virtual_hosts"][0]["routes"]
        if "weighted_clusters" in route.get("route", {})
    }
    behind = {
        "split": "",
        "split-stream": "",
        "split-aside": ".aside",
        "split-grpc": ".grpc",
        "split-grpc-stream": ".grpc",
        "split-grpc-aside": ".grpc.aside",
    }
    assert found == {name: [(f"control{each}", 10_000)] for name, each in behind.items()}
    assert envoy.split_of(obj).names == NAMES


def test_without_leave_nobody_forces_a_variant(make_experiment):
    text = json.dumps(envoy.objects(make_experiment(override=None)))
    assert "x-force" not in text


def test_programmed_is_what_envoy_reports(make_experiment):
    obj = config_map(make_experiment(shares_bp=(7000, 3000)))
    reported = routes_of(envoy.with_split(obj, Split(NAMES, (1000, 9000))))
    seen = {**obj, "status": {"routes": reported, "refusal": "rejected"}}
    assert envoy.programmed(seen) == Split(NAMES, (1000, 9000))
    assert envoy.refusal(seen) == "rejected"
    # What was refused long ago is no news once the routes are in effect.
    mended = {**obj, "status": {"routes": routes_of(obj), "refusal": "rejected"}}
    assert envoy.refusal(mended) is None
    assert envoy.refusal({**obj, "status": {"refusal": "not there"}}) == "not there"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"resources": [{"virtual_hosts": []}]}',
        '{"resources": [{"virtual_hosts": [{"routes": [{"name": "split"}]}]}]}',
    ],
)
def test_routes_of_somebody_else_are_an_error_with_their_place(text, make_experiment):
    obj = config_map(make_experiment())
    foreign = {**obj, "data": {**obj["data"], "routes.json": text}}
    for read in (envoy.split_of, lambda o: envoy.with_split(o, Split(NAMES, (5000, 5000)))):
        with pytest.raises(ClusterError, match=r"configmap/iris-envoy: routes\.json"):
            read(foreign)


def test_weights_that_make_no_split_are_an_error(make_experiment):
    obj = config_map(make_experiment(shares_bp=(7000, 3000)))
    text = obj["data"]["routes.json"]
    for odd in (text.replace("7000", "70"), text.replace('"name": "treatment"', '"name": "other"')):
        with pytest.raises(ClusterError, match="not as abctl writes it"):
            envoy.split_of({**obj, "data": {**obj["data"], "routes.json": odd}})


def test_the_bootstrap_names_every_upstream_and_watches_the_routes(make_experiment):
    static = envoy.bootstrap(
        make_experiment(),
        listen=1234,
        admin=4321,
        upstreams={"control": ("127.0.0.1", 1), "treatment": ("10.0.0.1", 2)},
        routes_dir="/mount",
    )
    clusters = [c["name"] for c in static["static_resources"]["clusters"]]
    kinds = ("", ".aside", ".grpc", ".grpc.aside")
    assert clusters == [*(name + kind for kind in kinds for name in NAMES), "_admin"]
    text = json.dumps(static)
    assert '"path": "/mount/routes.json", "watched_directory": {"path": "/mount"}' in text
    assert '"port_value": 1234' in text
    assert "access_log" not in text
    assert static["stats_flush_interval"] == "1s"


@pytest.mark.parametrize(
    "path",
    [
        *("/v2/repository/index", "/v2/repository/models/iris/unload", "/v2/docs", "/openapi.json"),
        *("/v2/models/iris/docs", "/v2/models/iris/versions/1/unload", "/metrics", "/", "/v2/"),
        *("/v2/models/a/b/infer", "/v2/models//infer", f"{GRPC}RepositoryModelUnload"),
        *("/feedback/", "/x?/v2", "/v2/models/iris/infer/../../../repository/index"),
    ],
)
def test_other_paths_meet_no_server(path, make_experiment):
    obj = config_map(make_experiment(override="x-force"))
    assert follow(obj, {"x-user-id": "u", "x-force": "treatment"}, path) == (404, None)


def test_a_body_over_the_limit_meets_no_server(make_experiment):
    obj = config_map(make_experiment(override="x-force"))
    fits, over = (follow(obj, {"content-length": str(16 * 1024**2 + more)}) for more in (0, 1))
    assert fits[0] == "control"
    assert over == (413, None)


def test_servers_of_which_no_port_for_grpc_is_known_are_asked_by_http(make_experiment):
    experiment = make_experiment()
    variants = tuple(
        replace(v, model=Model("iris", "v1", service=v.name)) for v in experiment.variants
    )
    obj = config_map(replace(experiment, variants=variants))
    assert follow(obj, {"x-user-id": "u"}, f"{GRPC}ModelInfer") == (404, None)
    assert follow(obj, {"x-user-id": "u"})[0] in NAMES


def test_the_log_goes_to_whoever_reads_it(make_experiment):
    model = Model("iris", "v1", image="iris:1")
    experiment = make_experiment()
    variants = tuple(replace(v, model=model) for v in experiment.variants)
    every = envoy.objects(replace(experiment, variants=variants))
    found = {o["kind"]: o for o in every if o["metadata"]["name"] == "iris-envoy"}
    static = json.loads(found["ConfigMap"]["data"]["envoy.json"])
    [cluster] = [c for c in static["static_resources"]["clusters"] if c["name"] == "_access_log"]
    [place] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    _, reader = found["Deployment"]["spec"]["template"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in reader["env"]}
    # An abstract socket, which has no file: of the pod's network.
    path = place["endpoint"]["address"]["pipe"]["path"]
    assert told["AB_LOG_ADDRESS"] == f"unix-abstract:{path.removeprefix('@')}"
