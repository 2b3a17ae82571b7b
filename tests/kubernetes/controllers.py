"""Stands in for the controllers of a cluster that has none: it reports that all is well.

It reports as the real ones do, and of a generation where they do, so that whoever waits for a
report must really wait. Beside a platform's own controllers (`upstream.py`) it plays only what is
below them: nodes, the autoscaler, the gateway.
"""

import json
import threading
from http import HTTPStatus

from kubernetes.client import ApiException
from kubernetes.config import new_client_from_config
from urllib3.exceptions import HTTPError


def well(obj):
    """The status that the object's controller would give it; None where it has none."""
    report = _REPORTS.get((obj["apiVersion"].rpartition("/")[0], obj["kind"]))
    return report and report(obj, obj["metadata"].get("generation"))


def _true(*types, **more):
    # Complete as the server keeps it: what differs would be reported again and again.
    always = {"status": "True", "lastTransitionTime": _SINCE, **more}
    return [{"type": type_, **always} for type_ in types]


def _route(obj, seen):
    accepted = [
        {**each, "reason": each["type"], "message": "", "observedGeneration": seen}
        for each in _true("Accepted", "ResolvedRefs")
    ]
    parents = obj["spec"].get("parentRefs", [])
    name = "example.com/gateway"
    return {
        "parents": [
            {"parentRef": ref, "controllerName": name, "conditions": accepted} for ref in parents
        ]
    }


def _seldon(*_):
    return {"state": "Available", "conditions": _true("Ready")}


def _service(obj, _):
    return {
        # KServe's is that of the Knative Service that it made.
        "observedGeneration": 1,
        "conditions": _true("PredictorReady", "PredictorRouteReady", "Ready"),
        "components": knative(obj),
    }


def _deployment(obj, seen):
    replicas = obj["spec"].get("replicas", 1)
    counts = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
    available = _true("Available", reason="MinimumReplicasAvailable", lastUpdateTime=_SINCE)
    progressed = _true("Progressing", reason="NewReplicaSetAvailable", lastUpdateTime=_SINCE)
    return {
        "observedGeneration": seen,
        **{key: replicas for key in counts if replicas},
        "conditions": [*available, *progressed],
    }


def _autoscaled(obj, seen):
    return {
        "observedGeneration": seen,
        "conditions": _true("Active", "Ready", "SKSReady", "ScaleTargetInitialized"),
        "serviceName": obj["metadata"]["name"],
        "metricsServiceName": f"{obj['metadata']['name']}-private",
        "desiredScale": 1,
        "actualScale": 1,
    }


def _knative_ingress(_, seen):
    balancer = {"ingress": [{"domainInternal": "gateway.example.svc.cluster.local"}]}
    return {
        "observedGeneration": seen,
        "conditions": _true("LoadBalancerReady", "NetworkConfigured", "Ready"),
        "publicLoadBalancer": balancer,
        "privateLoadBalancer": balancer,
    }


def knative(obj):
    """Knative's revisions: what had everything when something else came is the older one."""
    before = ((obj.get("status") or {}).get("components") or {}).get("predictor") or {}
    percent = obj["spec"]["predictor"].get("canaryTrafficPercent")
    predictor = obj["spec"]["predictor"]
    model = predictor["containers"][0]["image"] if "containers" in predictor else "stored:v1"
    latest = model.rpartition(":")[2]
    rolled_out = before.get("latestRolledoutRevision")
    if percent is None or rolled_out is None:
        traffic = [{"revisionName": latest, "percent": 100, "latestRevision": True}]
        older = before.get("previousRolledoutRevision")
        rolled = {"latestRolledoutRevision": latest}
        if rolled_out not in (None, latest):
            older = rolled_out
        if older:
            rolled["previousRolledoutRevision"] = older
    else:
        traffic = [{"revisionName": latest, "percent": percent, "latestRevision": True}]
        traffic.append({"revisionName": rolled_out, "percent": 100 - percent, "tag": "prev"})
        rolled = {key: before[key] for key in before if "RolledoutRevision" in key}
    names = {"latestReadyRevision": latest, "latestCreatedRevision": latest}
    return {"predictor": {**names, **rolled, "traffic": traffic}}


_SINCE = "2026-01-01T00:00:00Z"
_REPORTS = {
    ("apps", "Deployment"): _deployment,
    ("autoscaling.internal.knative.dev", "PodAutoscaler"): _autoscaled,
    ("gateway.networking.k8s.io", "GRPCRoute"): _route,
    ("gateway.networking.k8s.io", "HTTPRoute"): _route,
    ("machinelearning.seldon.io", "SeldonDeployment"): _seldon,
    ("networking.internal.knative.dev", "Ingress"): _knative_ingress,
    ("serving.kserve.io", "InferenceService"): _service,
}


class Controllers(threading.Thread):
    """Reports on everything of a namespace until it is left."""

    def __init__(self, cluster, namespace, *kinds, silent_on=lambda _: False):
        super().__init__(daemon=True)
        self.namespace, self.silent_on = namespace, silent_on
        # Not kubectl, which would take most of a processor: it looks all the time, beside the test.
        self.client = new_client_from_config(str(cluster.kubeconfig))
        served = cluster.kubectl("api-resources", "--namespaced", "--no-headers").splitlines()
        self.kinds = [self._kind(kind, map(str.split, served)) for kind in kinds]
        self.left = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.left.set()
        self.join(30)
        self.client.rest_client.pool_manager.clear()

    def run(self):
        while not self.left.wait(0.1):
            # A controller goes on when something fails once; the commands wait only so long for it.
            for path, kind in self.kinds:
                for obj in self._ask("GET", path).get("items", ()):
                    self._report({**obj, **kind}, path)

    def _report(self, obj, path):
        status = None if self.silent_on(obj) else well(obj)
        if status is not None and status != (obj.get("status") or {}):
            self._ask("PATCH", f"{path}/{obj['metadata']['name']}/status", {"status": status})

    def _kind(self, name, served):
        plural, _, group = name.partition(".")
        for found, *_, version, _, kind in served:
            if found == plural and version.startswith(group or version):
                root = "apis" if "/" in version else "api"
                path = f"/{root}/{version}/namespaces/{self.namespace}/{plural}"
                return path, {"apiVersion": version, "kind": kind}
        raise AssertionError(f"{name} is not served")

    def _ask(self, method, path, body=None):
        """The answer, or nothing for a refusal: an object may be gone by now."""
        headers = {"Accept": "application/json"}
        headers |= {"Content-Type": "application/merge-patch+json"} if body else {}
        asked = self.client.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            answer = self.client.call_api(*asked, _request_timeout=30)
            said = json.loads(answer.read())
        except (ApiException, HTTPError, ValueError):  # the server is away, or goes
            return {}
        return said if answer.status < HTTPStatus.BAD_REQUEST else {}
