"""KServe's own controller and webhooks on what abctl renders, in Standard mode, without nodes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from api_server import wait_for
from controllers import Controllers
from kserve_objects import ACCEPTED, REFUSED, STANDARD, STORED, canaries, service
from upstream import programs

from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.core.experiment import Model
from abctl.core.split import Split
from abctl.errors import SpecError
from abctl.platforms import inferencegraph
from abctl.platforms import kserve as in_knative_mode
from abctl.session.open import Where, open_session

EXAMPLES = Path(__file__).parents[2] / "k8s" / "experiments"
BELOW = ("deployments", "httproutes")


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


@pytest.fixture
def runtimes(kserve):
    """All that come with KServe."""
    folder = programs("kserve") / "config" / "kserve" / "runtimes"
    made = [path for path in folder.glob("kserve-*.yaml") if path.name != "kserve-mlserver.yaml"]
    for path in made:
        kserve.kubectl("apply", "--server-side", "-f", str(path))
    yield
    for path in made:
        kserve.kubectl("delete", "--wait=false", "-f", str(path))


def test_each_format_meets_a_server_of_its_own_that_knows_the_models_name(
    kserve, own, opened, runtimes
):
    # By format, protocol and runtime: whose image runs, and what calls the model how.
    cases = {
        ("sklearn", "v2", None): ("mlserver", None),
        ("sklearn", "v1", None): ("kserve-sklearnserver", "--model_name=iris"),
        ("xgboost", "v1", None): ("kserve-xgbserver", "--model_name=iris"),
        ("lightgbm", "v1", None): ("kserve-lgbserver", "--model_name=iris"),
        ("lightgbm", "v2", "kserve-predictiveserver"): (
            "kserve-predictiveserver",
            "--model_name=iris",
        ),
        ("mlflow", "v2", None): ("mlserver", None),
        ("pmml", "v2", None): ("kserve-pmmlserver", "--model_name=iris"),
        ("paddle", "v2", None): ("kserve-paddleserver", "--model_name=iris"),
        ("autogluon", "v2", None): ("kserve-autogluonserver", "--model_name=iris"),
        ("huggingface", "v2", None): ("huggingfaceserver", "--model_name=iris"),
        ("triton", "v2", None): ("kserve-tritonserver", None),
        ("tensorrt", "v2", None): ("kserve-tritonserver", None),
        ("onnx", "v2", "kserve-tritonserver"): ("kserve-tritonserver", None),
        ("pytorch", "v1", None): ("kserve-torchserve", None),
        ("pytorch", "v2", None): ("kserve-torchserve", None),
        ("tensorflow", "v1", "kserve-tensorflow-serving"): ("tensorflow-serving", "--model_name="),
        ("openvino", "v2", None): ("openvino/model_server", "--model_name="),
        ("vLLM", "v2", None): ("vllmserver-cpu", "--served-model-name="),
    }
    known = opened("kserve").experiment
    client = ClusterClient(kubeconfig=kserve.kubeconfig)
    for i, (form, protocol, runtime) in enumerate(cases):
        named = cases[form, protocol, runtime][1] or ""
        told = {"uri": "pvc://models/a", "format": form, "protocol": protocol, "runtime": runtime}
        # Some servers know no other name than their InferenceService's.
        model = Model(f"m{i}" if named.endswith("=") else "iris", "v1", **told)
        variants = tuple(replace(each, model=model) for each in known.variants)
        (obj,) = in_knative_mode.baseline(replace(known, name=f"m{i}", variants=variants))
        # There is no Knative here; a model and its server are the same in both modes.
        obj["metadata"]["annotations"] |= STANDARD
        client.apply(obj)
    every = {f"m{i}-predictor" for i in range(len(cases))}
    wait_for(lambda: names(kserve, own, "deployments") >= every, "a Deployment for each format")
    for i, (case, (image, named)) in enumerate(cases.items()):
        pod = read(kserve, own, "deployment", f"m{i}-predictor")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["image"].partition(":")[0] == image, case
        assert container["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        if named:
            calls = [
                each
                for each in container["args"]
                if each.startswith(("--model_name", "--served-model-name"))
            ]
            assert calls[-1] == (f"{named}m{i}" if named.endswith("=") else named), case
        if image == "mlserver":
            assert environment(container)["MLSERVER_MODEL_NAME"] == "iris"


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
