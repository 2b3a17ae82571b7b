"""KServe's own controller and webhooks on what abctl renders, in Standard mode, without nodes."""

import json
from pathlib import Path

import pytest
from api_server import wait_for
from controllers import Controllers

from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.core.split import Split
from abctl.errors import SpecError
from abctl.platforms import inferencegraph
from abctl.platforms import kserve as in_knative_mode
from abctl.session.open import Where, open_session

EXAMPLES = Path(__file__).parents[2] / "k8s" / "experiments"
BELOW = ("deployments", "httproutes")
API = "serving.kserve.io/v1beta1"
STANDARD = {"serving.kserve.io/deploymentMode": "Standard"}
STORED = {
    "modelFormat": {"name": "sklearn"},
    "protocolVersion": "v2",
    "storageUri": "gs://models/v1",
}


@pytest.fixture
def server(kserve):
    return kserve


def read(cluster, namespace, *words):
    return cluster.read("-n", namespace, *words)


def names(cluster, namespace, kind):
    return {o["metadata"]["name"] for o in read(cluster, namespace, kind)["items"]}


def environment(container):
    return {each["name"]: each.get("value") for each in container["env"]}


def test_gateway_over_stored_models_from_apply_to_delete(abctl, kserve, own):
    file = str(EXAMPLES / "gateway.yaml")
    with Controllers(kserve, own, *BELOW):
        abctl("apply", file, "--yes", "--timeout", "5m")
        # What the webhook fills in is no difference of ours.
        assert "no differences" in abctl("diff", file)
        made = read(kserve, own, "httproute", "iris")
        rule = next(r for r in made["spec"]["rules"] if r.get("name") == "split")
        for ref, version in zip(rule["backendRefs"], ("v1", "v2"), strict=True):
            # The Service that the route names is KServe's, and its port leads to the model server.
            (port,) = read(kserve, own, "service", ref["name"])["spec"]["ports"]
            assert (port["port"], port["targetPort"]) == (ref["port"], 8080)
            pod = read(kserve, own, "deployment", ref["name"])["spec"]["template"]["spec"]
            (container,) = pod["containers"]
            told = environment(container)
            # One path for both variants: the model's name, not the InferenceService's.
            assert told["MLSERVER_MODEL_NAME"] == "iris"
            assert told["MLSERVER_MODEL_VERSION"] == version
            assert told["MLSERVER_HTTP_PORT"] == "8080"
        variants = {"iris-control", "iris-treatment"}
        kserves = {f"{v}{end}" for v in variants for end in ("", "-predictor")}
        assert names(kserve, own, "httproutes") == kserves | {"iris"}
        before = {v: read(kserve, own, "isvc", v)["spec"] for v in variants}

        abctl("shift", file, "treatment=30%", "--yes")
        seen = json.loads(abctl("status", file, "-o", "json"))
        assert seen["programmed"] == {"control": 0.7, "treatment": 0.3}
        abctl("promote", file, "--yes")
        seen = json.loads(abctl("status", file, "-o", "json"))
        assert seen["programmed"] == {"control": 0, "treatment": 1}
        # A shift is the route's alone: no model server is rolled.
        assert before == {v: read(kserve, own, "isvc", v)["spec"] for v in variants}
        abctl("delete", file, "--yes")
        wait_for(lambda: not names(kserve, own, "isvc"), "KServe lets the objects go")


def test_own_images_get_a_service_that_leads_to_their_first_port(kserve, own, opened):
    found = opened("inferencegraph")
    for obj in found.platform.objects(found.experiment):
        found.world.apply(obj)
    with Controllers(kserve, own, *BELOW):
        wait_for(lambda: "iris" in names(kserve, own, "deployments"), "the router")
        service = read(kserve, own, "service", "iris-control-predictor")
        ports = {p["port"]: p["targetPort"] for p in service["spec"]["ports"]}
        # Port 80 is the first port, the others keep their numbers.
        assert ports[80] in (8080, "http")
        assert set(ports) == {80, 8081, 8082}
        deployment = read(kserve, own, "deployment", "iris-control-predictor")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["readinessProbe"]["httpGet"]["path"].endswith("/ready")


def test_a_graph_carries_the_split_to_its_router(kserve, own, opened):
    found = opened("inferencegraph")
    target = found.platform.target(found.experiment)
    for obj in found.platform.objects(found.experiment):
        found.world.apply(obj)

    def routed():
        (container,) = read(kserve, own, "deployment", "iris")["spec"]["template"]["spec"][
            "containers"
        ]
        graph = json.loads(container["args"][container["args"].index("--graph-json") + 1])
        return [step["weight"] for step in graph["nodes"]["root"]["steps"]]

    with Controllers(kserve, own, *BELOW):
        wait_for(lambda: inferencegraph.refusal(found.world.get(target)) is None, "the graph")
        assert routed() == [90, 10]
        generation = read(kserve, own, "deployment", "iris")["metadata"]["generation"]
        split = Split(found.experiment.split.names, (7000, 3000))
        found.world.apply(inferencegraph.with_split(found.world.get(target), split))
        # Only here is it seen that the shift has arrived: as an argument of new pods.
        wait_for(lambda: routed() == [70, 30], "the shift")
        assert read(kserve, own, "deployment", "iris")["metadata"]["generation"] > generation


def test_the_generation_in_a_status_is_that_of_what_kserve_made(kserve, own, opened):
    """Why abctl asks no InferenceGraph and no InferenceService whether it is up to date."""
    found = opened("inferencegraph")
    target = found.platform.target(found.experiment)
    for obj in found.platform.objects(found.experiment):
        found.world.apply(obj)
    with Controllers(kserve, own, *BELOW):
        wait_for(lambda: inferencegraph.refusal(found.world.get(target)) is None, "the graph")
        # Changes that reach no Deployment, as they are of the autoscaler's limits.
        for most in (3, 4, 5):
            patch = [{"op": "add", "path": "/spec/maxReplicas", "value": most}]
            found.world.patch(target, patch)
        hpa = ("horizontalpodautoscalers", "iris")
        wait_for(lambda: read(kserve, own, *hpa)["spec"]["maxReplicas"] == 5, "the autoscaler")
        wait_for(lambda: inferencegraph.refusal(found.world.get(target)) is None, "the graph")
        seen = found.world.get(target)
        assert seen["status"]["observedGeneration"] < seen["metadata"]["generation"]


def service(spec, annotations=STANDARD, name="iris"):
    head = {"name": name, "annotations": annotations}
    return {"apiVersion": API, "kind": "InferenceService", "metadata": head, "spec": spec}


def canaries(*given, model=True, mode="Standard", stable=None):
    predictor = {"model": STORED} if model else {"containers": [{"image": "none"}]}
    if stable:
        predictor["name"] = stable
    canary = [
        {"trafficPercent": percent, "predictor": {"model": {**STORED, "name": ""}, **name}}
        for name, percent in ((({"name": n} if n else {}), p) for n, p in given)
    ]
    annotations = {"serving.kserve.io/deploymentMode": mode}
    return service({"predictor": predictor, "canary": canary}, annotations)


def graph(*steps, name="iris", node="root"):
    nodes = {node: {"routerType": "Splitter", "steps": list(steps)}}
    head = {"name": name, "annotations": STANDARD}
    api = "serving.kserve.io/v1alpha1"
    return {
        "apiVersion": api,
        "kind": "InferenceGraph",
        "metadata": head,
        "spec": {"nodes": nodes},
    }


def step(name, weight, **target):
    found = {"name": name, **(target or {"serviceName": name})}
    return found if weight is None else {**found, "weight": weight}


A, B = step("a", 50), step("b", 50)
REFUSED = {
    "canary in Knative mode": canaries(("v2", 10), mode="Knative"),
    "canary of own image": canaries(("v2", 10), model=False),
    "canary without a name": canaries(("", 10)),
    "canaries of one name": canaries(("v2", 10), ("v2", 20)),
    "canary named as the stable": canaries(("v1", 10), stable="v1"),
    "canaries over 100": canaries(("v2", 60), ("v3", 50)),
    "name with a digit first": service({"predictor": {"model": STORED}}, name="1-iris"),
    "graph without a root": graph(A, B, node="start"),
    "steps of one name": graph(A, A),
    "step without a target": graph(step("a", 50, condition="x"), B),
    "step with two targets": graph(step("a", 50, serviceName="a", serviceUrl="http://a"), B),
    "step without a weight": graph(step("a", None), step("b", 100)),
    "weights under 100": graph(step("a", 50), step("b", 40)),
    "weights over 100": graph(step("a", 60), step("b", 50)),
    "graph with a digit first": graph(A, B, name="1-iris"),
}
ACCEPTED = {
    "one canary": canaries(("v2", 10)),
    "canaries of 100": canaries(("v2", 60), ("v3", 40)),
    "a share beyond all, where nobody reads it": service(
        {"predictor": {"model": STORED, "canaryTrafficPercent": 30}}
    ),
    "graph": graph(A, B),
    "graph with nothing for one": graph(step("a", 0), step("b", 100)),
}


def admitted(kserve, own, obj):
    words = ("create", "--dry-run=server", "-n", own, "-f", "-")
    return kserve.kubectl(*words, stdin=json.dumps(obj), check=False)


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_webhook_refuses_lint_says_in_its_words(case, kserve, own):
    obj = REFUSED[case]
    answer = admitted(kserve, own, obj)
    assert answer.returncode
    assert "denied the request" in answer.stderr
    said = inferencegraph.objections(obj)
    assert said
    # The webhook stops at the first.
    assert said[0] in answer.stderr


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_the_webhook_accepts_lint_lets_pass(case, kserve, own):
    obj = ACCEPTED[case]
    assert not admitted(kserve, own, obj).returncode
    assert not inferencegraph.objections(obj)


@pytest.mark.parametrize("example", ["gateway", "inferencegraph", "kserve"])
def test_what_is_rendered_is_accepted(example, opened):
    found = opened(example)
    carrier = found.platform
    for obj in (*carrier.baseline(found.experiment), *carrier.objects(found.experiment)):
        assert not carrier.objections(obj)
        found.world.apply(obj, dry_run=True)


def test_in_standard_mode_the_percentage_is_ignored_and_so_abctl_refuses_it(kserve, own):
    client = ClusterClient(kubeconfig=kserve.kubeconfig)
    with Controllers(kserve, own, *BELOW):
        obj = service({"predictor": {"model": STORED, "canaryTrafficPercent": 30}})
        obj["metadata"]["namespace"] = own
        client.apply(obj)
        ref = Ref.of(obj)
        wait_for(lambda: ready(client.get(ref)), "the InferenceService")
        obj["spec"]["predictor"]["model"] = {**STORED, "storageUri": "gs://models/v2"}
        client.apply(obj)
        wait_for(lambda: ready(client.get(ref)), "the InferenceService with another model")
        seen = client.get(ref)
        assert seen["status"]["deploymentMode"] == "Standard"
        # Nothing is split: there is one Deployment, and its model is the new one.
        assert "traffic" not in seen["status"]["components"]["predictor"]
        assert names(kserve, own, "deployments") == {"iris-predictor"}
        half = Split(("control", "treatment"), (5000, 5000))
        for refused in (in_knative_mode.split_of, lambda o: in_knative_mode.with_split(o, half)):
            with pytest.raises(SpecError, match="silently ignored"):
                refused(seen)


def ready(obj):
    status = obj.get("status") or {}
    conditions = {c["type"]: c["status"] for c in status.get("conditions", ())}
    seen = status.get("observedGeneration") == obj["metadata"]["generation"]
    return seen and conditions.get("Ready") == "True"


def test_kserves_own_canary_of_this_version_gets_no_traffic(kserve, own):
    """Why `gateway` splits by a route of its own: KServe 0.20 has the field, but no weights."""
    client = ClusterClient(kubeconfig=kserve.kubeconfig)
    obj = canaries(("v2", 10))
    obj["metadata"]["namespace"] = own
    with Controllers(kserve, own, *BELOW):
        client.apply(obj)
        wait_for(lambda: ready(client.get(Ref.of(obj))), "the InferenceService")
        wait_for(lambda: "iris-v2-predictor" in names(kserve, own, "deployments"), "its canary")
        for route in read(kserve, own, "httproutes")["items"]:
            for rule in route["spec"]["rules"]:
                assert [ref["name"] for ref in rule["backendRefs"]] == ["iris-predictor"]


def test_a_treatment_that_is_not_ready_is_not_applied(abctl, kserve, own):
    def silent(obj):
        return obj["metadata"]["name"] == "iris-treatment-predictor"

    file = str(EXAMPLES / "gateway.yaml")
    with Controllers(kserve, own, *BELOW, silent_on=silent):
        # It says what it waited for last; again it goes on from there.
        apply = ("apply", file, "--yes", "--timeout", "5")
        wait_for(lambda: "treatment is not ready" in abctl(*apply, wanted=5), "its complaint")
        assert "iris" not in names(kserve, own, "httproutes")


@pytest.fixture
def opened(kserve, own):
    where = Where(kubeconfig=kserve.kubeconfig, namespace=own)
    return lambda example: open_session(str(EXAMPLES / f"{example}.yaml"), where)
