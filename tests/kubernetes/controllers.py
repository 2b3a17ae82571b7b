"""Stands in for the controllers of a cluster that has none: it reports that all is well.

It reports as the real ones do, for the generation that it has seen, so that whoever waits for a
report must really wait.
"""

import json
import subprocess
import threading

from api_server import KUBECTL


def well(obj):
    """The status that the object's controller would give it; None where it has none."""
    kind, seen = obj["kind"], obj["metadata"].get("generation")
    ready = [{"type": "Ready", "status": "True"}]
    if kind == "Deployment":
        return {"observedGeneration": seen, "conditions": [{"type": "Available", "status": "True"}]}
    if kind == "SeldonDeployment":
        return {"observedGeneration": seen, "state": "Available", "conditions": ready}
    if kind == "HTTPRoute":
        accepted = [
            {
                "type": type_,
                "status": "True",
                "reason": type_,
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": seen,
            }
            for type_ in ("Accepted", "ResolvedRefs")
        ]
        parents = obj["spec"].get("parentRefs", [])
        name = "example.com/gateway"
        return {
            "parents": [
                {"parentRef": ref, "controllerName": name, "conditions": accepted}
                for ref in parents
            ]
        }
    if kind == "InferenceService":
        return {"observedGeneration": seen, "conditions": ready, "components": knative(obj)}
    return None


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


class Controllers(threading.Thread):
    """Reports on everything of a namespace until it is left."""

    def __init__(self, cluster, namespace, *kinds):
        super().__init__(daemon=True)
        self.words = [f"--kubeconfig={cluster.kubeconfig}", "-n", namespace]
        self.kinds, self.cluster, self.namespace = kinds, cluster, namespace
        self.left = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.left.set()
        self.join(30)

    def run(self):
        while not self.left.wait(0.05):
            words = ("get", ",".join(self.kinds), "-n", self.namespace, "-o", "json")
            seen = self.cluster.kubectl(*words, check=False)
            # A controller goes on when a list fails once; the commands wait only so long for it.
            for obj in json.loads(seen.stdout)["items"] if seen.returncode == 0 else ():
                status = well(obj)
                if status is not None and status != (obj.get("status") or {}):
                    self._report(obj, status)

    def _report(self, obj, status):
        name = f"{obj['kind']}.{obj['apiVersion'].rpartition('/')[0]}".rstrip(".")
        # It may be gone by now, which is no controller's failure.
        subprocess.run(
            [
                KUBECTL,
                *self.words,
                "patch",
                name,
                obj["metadata"]["name"],
                "--subresource=status",
                "--type=merge",
                f"--patch={json.dumps({'status': status})}",
            ],
            capture_output=True,
            timeout=30,
            check=False,
        )
