"""Seldon's operator as it behaves: it writes the VirtualService only while all pods are ready.

What the operator makes is made here, on a real API server with the CRDs of Seldon and Istio.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from api_server import wait_for

from abctl.cli.main import run

REFUSED = 'pods "iris-treatment-0-iris-1" is forbidden: violates PodSecurity "restricted:latest"'
MODEL = {"name": "iris", "type": "MODEL", "implementation": "SKLEARN_SERVER", "modelUri": "gs://m"}
API = "networking.istio.io/v1"


def predictor(name, traffic):
    return {"name": name, "traffic": traffic, "replicas": 1, "graph": MODEL}


def deployment(predictor):
    labels = {"seldon-deployment-id": "iris", "version": predictor}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "m", "image": "m:1"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": pod}
    meta = {"name": f"iris-{predictor}-0-iris", "labels": labels}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


class Operator:
    """What it has made of SeldonDeployment iris; `carry` does what it does when it looks."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace
        spec = {
            "protocol": "v2",
            "predictors": [predictor("control", 90), predictor("treatment", 10)],
        }
        self.create("machinelearning.seldon.io/v1", "SeldonDeployment", spec)
        for name in ("control", "treatment"):
            self.make(deployment(name))
            self.report(name, available=True)
        self.create(
            API, "VirtualService", self.routes(), owner=self.read("sdep")["metadata"]["uid"]
        )

    def create(self, api, kind, spec, owner=None):
        meta = {"name": "iris"}
        if owner:
            of = {"apiVersion": "machinelearning.seldon.io/v1", "kind": "SeldonDeployment"}
            meta["ownerReferences"] = [{**of, "name": "iris", "uid": owner, "controller": True}]
        self.make({"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec})

    def make(self, obj):
        self.cluster.kubectl("-n", self.namespace, "create", "-f", "-", stdin=json.dumps(obj))

    def read(self, kind):
        return self.cluster.read("-n", self.namespace, kind, "iris")

    def report(self, name, *, available, **more):
        said = [
            {"type": "Available", "status": str(available), "reason": "Minimum", "message": "few"}
        ]
        said += [{"status": "True", **each} for each in more.get("conditions", ())]
        status = {"conditions": said, "replicas": 1, "readyReplicas": int(available)}
        self.patch(f"deployment/iris-{name}-0-iris", {"status": status}, "--subresource=status")

    def patch(self, what, change, *words):
        words = ("patch", what, "--type=merge", "-p", json.dumps(change), *words)
        self.cluster.kubectl("-n", self.namespace, *words)

    def routes(self):
        """Of REST and of gRPC; proto3 leaves a weight of 0 out."""
        to = [
            {
                "destination": {
                    "host": f"iris-{p['name']}",
                    "subset": p["name"],
                    "port": {"number": 8000},
                },
                **({"weight": p["traffic"]} if p.get("traffic") else {}),
            }
            for p in self.read("sdep")["spec"]["predictors"]
        ]
        path = {"uri": {"prefix": f"/seldon/{self.namespace}/iris/"}}
        rest = {"match": [path], "rewrite": {"uri": "/"}, "route": to}
        grpc = {"match": [{"headers": {"seldon": {"exact": "iris"}}}], "route": to}
        return {"hosts": ["*"], "gateways": ["istio-system/seldon-gateway"], "http": [rest, grpc]}

    def carry(self):
        self.patch("virtualservice/iris", {"spec": self.routes()})

    @property
    def weights(self):
        return [
            {r["destination"]["subset"]: r.get("weight", 0) for r in route["route"]}
            for route in self.read("virtualservice")["spec"]["http"]
        ]


@pytest.fixture
def operator(crds, namespace):
    return Operator(crds, namespace)


@pytest.fixture
def abctl(crds, namespace, capsys):
    def asked(*words):
        place = ("--kubeconfig", str(crds.kubeconfig), "-n", namespace)
        code = run([*words, *place])
        return code, *capsys.readouterr()

    return asked


def test_a_shift_is_in_effect_once_the_operator_has_written_its_route(operator, abctl) -> None:
    def follow():
        wait_for(
            lambda: operator.read("sdep")["spec"]["predictors"][1]["traffic"] == 30, "the shift"
        )
        operator.carry()

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        code, out, err = abctl("shift", "sdep/iris", "treatment=30%", "--yes", "-o", "json")
    following.result()
    assert code == 0, err
    assert json.loads(out)["confirmed"] is True
    assert operator.weights == [{"control": 70, "treatment": 30}] * 2
    seen = json.loads(abctl("status", "sdep/iris", "-o", "json")[1])
    assert seen["programmed"] == {"control": 0.7, "treatment": 0.3}


def test_a_rollback_goes_through_while_pods_are_unready(operator, abctl) -> None:
    refused = {"type": "ReplicaFailure", "reason": "FailedCreate", "message": REFUSED}
    operator.report("treatment", available=False, conditions=[refused])
    seen = json.loads(abctl("status", "sdep/iris", "-o", "json")[1])
    assert REFUSED in seen["notReady"]["treatment"]
    assert "control" not in seen["notReady"]
    code, _, err = abctl("shift", "sdep/iris", "treatment=50%", "--yes")
    assert (code, REFUSED in err) == (5, True)
    # The operator carries nothing now.
    code, _, err = abctl("rollback", "sdep/iris", "--to", "control", "--yes", "--timeout", "60")
    assert code == 0, err
    assert "virtualservice/iris patched" in err
    assert operator.weights == [{"control": 100, "treatment": 0}] * 2
    assert [p["traffic"] for p in operator.read("sdep")["spec"]["predictors"]] == [100, 0]
    # Once it looks again, it writes the same.
    operator.carry()
    assert operator.weights == [{"control": 100, "treatment": 0}] * 2


def test_a_route_of_somebody_else_says_nothing_and_is_left_alone(operator, abctl) -> None:
    operator.patch("virtualservice/iris", {"metadata": {"ownerReferences": None}})
    before = operator.weights
    code, _, err = abctl("rollback", "sdep/iris", "--to", "control", "--yes", "--timeout", "1")
    assert "patched" not in err
    assert code == 5  # no status says that it is in effect
    assert operator.weights == before
    assert json.loads(abctl("status", "sdep/iris", "-o", "json")[1])["programmed"] is None
