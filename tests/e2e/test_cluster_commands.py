"""The command line on a real API server, from apply to delete; a controller is played to it."""

import json
from pathlib import Path

import pytest
from controllers import Controllers

from abctl.cli.main import run

EXAMPLES = Path(__file__).parents[2] / "k8s" / "experiments"
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: public}]
  rules:
    - backendRefs:
        - {name: shop-v1, port: 80, weight: 9}
        - {name: shop-v2, port: 80, weight: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shop-v1}
spec: {selector: {app: shop-v1}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: shop-v2}
spec: {selector: {app: shop-v2}, ports: [{port: 80}]}
"""


@pytest.fixture
def abctl(crds, namespace, capsys):
    """Runs a command in the namespace; gives its exit code, its answer and its remarks."""

    def command(name, what, *words):
        place = ["-n", namespace, "--kubeconfig", str(crds.kubeconfig)]
        code = run([name, what, *words, *place])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def answer(result):
    code, out, err = result
    assert code == 0, err
    return json.loads(out)


def diagnosis(result):
    code, out, err = result
    assert code in (0, 3), err
    found = {each["name"]: each for each in json.loads(out)["checks"]}
    assert json.loads(out)["healthy"] is (code == 0)
    return {name: each["level"] for name, each in found.items()}


def test_the_doctor_says_what_lacks_in_a_cluster(abctl, crds, namespace, monkeypatch):
    file = str(EXAMPLES / "envoy.yaml")
    monkeypatch.setenv("ABCTL_PROMETHEUS_URL", "http://127.0.0.1:1")
    levels = diagnosis(abctl("doctor", file, "-o", "json"))
    assert levels["world"] == levels["permissions"] == "ok"
    assert levels["objects"] == levels["split"] == "warning"
    assert levels["variant control"] == levels["variant treatment"] == levels["source"] == "error"
    with Controllers(crds, namespace, "deployments"):
        answer(abctl("apply", file, "--yes", "-o", "json", "--timeout", "5m"))
        levels = diagnosis(abctl("doctor", file, "-o", "json"))
    # There is no pod of Envoy that could be asked what is in effect.
    assert (levels["objects"], levels["split"]) == ("ok", "warning")
    assert levels["variant control"] == levels["variant treatment"] == "ok"
    assert levels["routing"] == "warning"  # nobody has said where requests go in
    # What is there already is examined as well, without a file.
    crds.kubectl("apply", "-n", namespace, "-f", "-", stdin=ROUTE)
    levels = diagnosis(abctl("doctor", "httproute/shop", "-o", "json"))
    assert (levels["permissions"], levels["split"]) == ("ok", "error")  # nothing routes by it


@pytest.mark.parametrize("platform", ["seldon", "kserve", "envoy", "gateway"])
def test_an_experiment_from_apply_to_delete(  # noqa: PLR0915 - one story
    abctl, crds, namespace, platform, tmp_path
):
    # Another test may have the host of the example, and one host has one experiment.
    text = (EXAMPLES / f"{platform}.yaml").read_text()
    (tmp_path / "iris.yaml").write_text(text.replace("iris.example.com", f"{namespace}.test"))
    file = str(tmp_path / "iris.yaml")
    kinds = ["deployments", "seldondeployments", "inferenceservices", "httproutes"]
    assert abctl("diff", file)[0] == 3
    assert abctl("status", file)[0] == 5
    assert abctl("apply", file)[0] == 2  # nobody is here to ask
    assert answer(abctl("apply", file, "--dry-run=server", "-o", "json"))["dryRun"]
    assert abctl("status", file)[0] == 5
    code, out, err = abctl("apply", file, "--dry-run=client", "--diff", "-o", "json")
    assert (code, json.loads(out)["dryRun"]) == (0, True)
    assert "--- /dev/null" in err
    assert f"+  namespace: {namespace}" in err
    with Controllers(crds, namespace, *kinds):
        applied = answer(abctl("apply", file, "--yes", "-o", "json", "--timeout", "5m"))
        # In a cluster Envoy does not say what it has loaded, nor Seldon what its status speaks of.
        confirmed = platform in {"kserve", "gateway"}
        assert applied["confirmed"] is confirmed
        code, out, err = abctl("diff", file)
        assert (code, out.strip()) == (0, "no differences"), out
        assert "in context" in err

        code, _, err = abctl("shift", file, "treatment=30%", "--dry-run=client", "--diff")
        assert (code, "\n@@" in err) == (0, True)
        words = ("treatment=30%", "--yes", "-o", "json", "--why", "looks good")
        shifted = answer(abctl("shift", file, *words))
        assert shifted["to"] == {"control": 0.7, "treatment": 0.3}
        assert (shifted["changed"], shifted["confirmed"]) == (True, confirmed)
        assert not answer(abctl("shift", file, *words))["changed"]
        code, _, err = abctl("shift", file, "treatment=20%", "--yes")
        told = {
            "envoy": "warning: after 1m (design.settle) requests count as the new split's",
            "seldon": "seldon cannot say whether it is in effect",
        }
        assert (code, told.get(platform, "it is in effect") in err) == (0, True), err
        assert answer(abctl("assign", file, "alice", "-o", "json"))["splitOf"] == "ledger"
        # The file still says 10%; what the ledger wants is no difference.
        assert abctl("diff", file)[0] == 0
        assert not answer(abctl("apply", file, "--yes", "-o", "json"))["dryRun"]
        for name, treatment in (("promote", 1.0), ("rollback", 0.0)):
            assert answer(abctl(name, file, "--yes", "-o", "json"))["to"]["treatment"] == treatment
        found = answer(abctl("status", file, "-o", "json"))
        assert found["desired"] == found["asked"] == {"control": 1.0, "treatment": 0.0}
        if confirmed:
            assert (found["programmed"], found["refusal"]) == (found["desired"], None)
        assert (found["drifted"], found["intent"], found["planChanged"]) == (False, None, [])
        carried, *servers = found["objects"]
        assert carried["role"] == "carrier"
        by_variant = {each["variant"] for each in servers if each["ready"]}
        assert by_variant >= ({"control", "treatment"} if servers else set())
        assert bool(servers) == (platform in ("envoy", "gateway"))
        # Its ledger is in the cluster; nobody listens where its counters should be.
        assert abctl("analyze", file, "--prometheus", "http://127.0.0.1:1")[0] == 6
        would = answer(abctl("delete", file, "--dry-run=server", "-o", "json"))["objects"]
        code, out, _ = abctl("delete", file, "--dry-run=client")
        assert (code, out) == (0, f"iris: {len(would)} objects (dry run)\n")
        assert answer(abctl("delete", file, "--yes", "-o", "json"))["objects"]
        assert answer(abctl("delete", file, "--yes", "-o", "json"))["objects"] == []
    left = crds.read("-n", namespace, ",".join([*kinds, "services", "configmaps"]))["items"]
    names = {obj["metadata"]["name"] for obj in left} - {"kube-root-ca.crt"}
    # Nothing but the tombstone, which keeps the salt.
    assert [name.rpartition("-")[0] for name in names] == ["abctl-ended-iris"]
    [over] = answer(abctl("list", "--all", "-o", "json"))["experiments"]
    assert (over["name"], over["phase"], over["namespace"]) == ("iris", "ended", namespace)


def test_what_is_there_already_is_shifted_without_a_file(abctl, crds, namespace):
    crds.kubectl("apply", "-n", namespace, "-f", "-", stdin=ROUTE)
    seen = answer(abctl("status", "httproute/shop", "-o", "json"))
    assert seen["asked"] == {"shop-v1": 0.9, "shop-v2": 0.1}
    # Looking writes nothing.
    assert abctl("status", "httproute/none")[0] == 5
    names = crds.kubectl("get", "configmaps", "-n", namespace, "-o", "name")
    assert "abctl" not in names
    code, _, err = abctl("shift", "httproute/shop", "shop-v2=30%", "--yes")
    assert (code, "shop-v2 is not ready" in err) == (5, True)
    with Controllers(crds, namespace, "httproutes"):
        # The first command waits for nothing that has not been reported before.
        while answer(abctl("status", "httproute/shop", "-o", "json"))["refusal"]:
            pass
        shifted = answer(abctl("shift", "httproute/shop", "shop-v2=30%", "--yes", "-o", "json"))
        assert (shifted["changed"], shifted["confirmed"]) == (True, True)
    route = crds.read("httproute", "shop", "-n", namespace)
    weights = [ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]]
    assert weights[0] * 3 == weights[1] * 7
    found = answer(abctl("status", "httproute/shop", "-o", "json"))
    assert found["desired"] == {"shop-v1": 0.7, "shop-v2": 0.3}
    assert not found["drifted"]
    # Somebody shifts by kubectl: it is noticed.
    patch = json.dumps(
        [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": 0}]
    )
    crds.kubectl("patch", "httproute", "shop", "-n", namespace, "--type=json", "-p", patch)
    assert answer(abctl("status", "httproute/shop", "-o", "json"))["drifted"]


def endpoints(namespace, service, *, ready):
    """As the cluster's own controller writes them; `ready` is of each, none at all where empty."""
    labels = {"kubernetes.io/service-name": service}
    return json.dumps(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-x", "namespace": namespace, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [
                {"addresses": [f"10.0.0.{i + 1}"], "conditions": {"ready": each}}
                for i, each in enumerate(ready)
            ],
        }
    )


def test_a_variant_without_ready_endpoints_is_seen(abctl, crds, namespace):
    crds.kubectl("apply", "-n", namespace, "-f", "-", stdin=ROUTE)
    # Where nobody keeps account of endpoints, nobody knows.
    assert answer(abctl("status", "httproute/shop", "-o", "json"))["notReady"] == {}
    for ready, why in (
        ([False, False], "service/shop-v2: none of its 2 endpoints is ready"),
        ([], "service/shop-v2: it has no endpoint"),
        ([False, True], None),
    ):
        for service, each in (("shop-v1", [True]), ("shop-v2", ready)):
            slices = endpoints(namespace, service, ready=each)
            crds.kubectl("apply", "-f", "-", stdin=slices)
        found = answer(abctl("status", "httproute/shop", "-o", "json"))
        assert found["notReady"] == ({"shop-v2": why} if why else {})
        _, out, _ = abctl("status", "httproute/shop", "-o", "wide")
        assert (f"NOT READY: shop-v2: {why}" in out) == bool(why)
        assert (f"{why}" in abctl("doctor", "httproute/shop")[1]) == bool(why)


def test_the_next_release_of_what_is_shifted_is_said_to_be_another(abctl, crds, namespace):
    with Controllers(crds, namespace, "httproutes"):
        crds.kubectl("apply", "-n", namespace, "-f", "-", stdin=ROUTE)
        while answer(abctl("status", "httproute/shop", "-o", "json"))["refusal"]:
            pass
        answer(abctl("shift", "httproute/shop", "shop-v2=30%", "--yes", "-o", "json"))
        later = ROUTE.replace("shop-v2", "shop-v3").replace("shop-v1", "shop-v2")
        crds.kubectl("apply", "-n", namespace, "-f", "-", stdin=later)
        said = "the ledger is of shop-v1 and shop-v2, httproute/shop is of shop-v2 and shop-v3"
        found = answer(abctl("status", "httproute/shop", "-o", "json"))
        assert found["otherVariants"].startswith(f"{said}: kubectl delete configmap abctl-shop -n")
        code, out, _ = abctl("status", "httproute/shop", "-o", "wide")
        # Lines end where the screen does.
        assert (code, f"OTHER VARIANTS: {said}" in " ".join(out.split())) == (0, True)
        code, out, _ = abctl("doctor", "httproute/shop")
        assert said in " ".join(out.split())
        # The way back is open, and enters what was found.
        code, out, err = abctl("rollback", "httproute/shop", "--yes")
        assert (code, "--to shop-v2 or --to shop-v3" in err) == (2, True)
        way = ("rollback", "httproute/shop", "--to", "shop-v2", "--yes", "-o", "json")
        code, out, err = abctl(*way)
        assert (code, json.loads(out)["to"]) == (0, {"shop-v2": 1.0, "shop-v3": 0.0}), err
        assert f"warning: {said}\nhint: " in err
        assert answer(abctl("status", "httproute/shop", "-o", "json"))["otherVariants"] is None
    # Put away as the hint says, another one begins.
    assert abctl("status", "httproute/shop")[0] == 0
    crds.kubectl("delete", "configmap", "abctl-shop", "-n", namespace)
    assert len(answer(abctl("status", "httproute/shop", "-o", "json"))["epochs"]) <= 1


def test_the_world_is_said_and_a_stack_without_a_cluster_stays_local(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    file = str(EXAMPLES / "envoy.yaml")
    assert run(["status", file]) == 5
    assert "no local stack in .abctl/iris, and no kubeconfig names" in capsys.readouterr().err
    assert run(["apply", file]) == 5
    assert "--context" in capsys.readouterr().err
