"""What platforms report of themselves, read as: in effect, not yet, or refused and why."""

from copy import deepcopy

import pytest
import yaml

from abctl.core.split import Split
from abctl.platforms import UNSEEN, platform

NAMES = ("control", "treatment")
ISVC = """
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: iris, namespace: models, generation: 3}
spec: {predictor: {canaryTrafficPercent: 30, model: {modelFormat: {name: sklearn}}}}
status:
  observedGeneration: 3
  conditions:
    - {type: PredictorReady, status: "True"}
    - {type: PredictorRouteReady, status: "True"}
    - {type: Ready, status: "True"}
  modelStatus: {transitionStatus: UpToDate}
  components:
    predictor:
      latestReadyRevision: iris-2
      latestCreatedRevision: iris-2
      latestRolledoutRevision: iris-1
      previousRolledoutRevision: iris-0
      traffic:
        - {latestRevision: true, percent: 30, revisionName: iris-2}
        - {revisionName: iris-1, percent: 70, tag: prev, latestRevision: false}
"""
kserve = platform("kserve")


def isvc(**seen):
    obj = yaml.safe_load(ISVC)
    obj["status"]["components"]["predictor"] |= seen
    return obj


def shares(treatment_bp):
    return Split(NAMES, (10_000 - treatment_bp, treatment_bp))


def test_kserve_reports_the_split_of_its_revisions():
    assert kserve.programmed(isvc()) == kserve.split_of(isvc()) == shares(3000)
    assert kserve.refusal(isvc()) is None


def test_a_revision_that_is_not_ready_gets_nothing_whatever_latest_says():
    obj = isvc(latestCreatedRevision="iris-3")
    assert kserve.programmed(obj) == shares(0)
    assert "iris-3 is not ready, requests go to iris-2" in kserve.refusal(obj)


def test_traffic_that_the_ingress_does_not_carry_yet_is_not_in_effect():
    obj = isvc()
    route = next(c for c in obj["status"]["conditions"] if c["type"] == "PredictorRouteReady")
    route |= {"status": "Unknown", "reason": "IngressNotConfigured"}
    assert kserve.programmed(obj) is None
    assert kserve.refusal(obj) == "PredictorRouteReady is Unknown (IngressNotConfigured)"


def test_the_generation_that_kserve_reports_is_not_the_objects_own():
    obj = isvc()
    obj["status"]["observedGeneration"] = 1
    assert kserve.programmed(obj) == shares(3000)
    assert kserve.refusal(obj) is None


def test_the_first_revision_gets_everything_and_the_reason_is_told():
    traffic = [{"latestRevision": True, "percent": 100, "revisionName": "iris-2"}]
    obj = isvc(latestRolledoutRevision="iris-2", previousRolledoutRevision=None, traffic=traffic)
    assert kserve.programmed(obj) == shares(10_000)
    assert "the control must be rolled out before the treatment" in kserve.refusal(obj)


def test_a_model_that_does_not_load_is_the_reason():
    traffic = [{"latestRevision": True, "percent": 100, "revisionName": "iris-1"}]
    obj = isvc(traffic=traffic)
    obj["status"]["modelStatus"] = {
        "transitionStatus": "BlockedByFailedLoad",
        "lastFailureInfo": {"reason": "ModelLoadFailed", "message": "no such file"},
    }
    assert kserve.refusal(obj).endswith("BlockedByFailedLoad: no such file")


ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: iris, namespace: models, generation: 5}
spec: {rules: [{backendRefs: [{name: control, weight: 70}, {name: treatment, weight: 30}]}]}
status:
  parents:
    - parentRef: {name: public}
      conditions:
        - {type: Accepted, status: "True", reason: Accepted, observedGeneration: 5}
        - {type: ResolvedRefs, status: "True", reason: ResolvedRefs, observedGeneration: 5}
"""
LISTS = {
    "seldon": ("SeldonDeployment", ("Ready",)),
    "inferencegraph": ("InferenceGraph", ("Ready",)),
    "seldon2": ("Experiment", ("CandidatesReady", "ExperimentReady")),
}


def with_status(name):
    kind, conditions = LISTS[name]
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "iris", "namespace": "models", "generation": 5},
        "spec": {},
        "status": {
            "state": "Available",
            "conditions": [{"type": type_, "status": "True"} for type_ in conditions],
        },
    }


@pytest.mark.parametrize("name", ["gateway", *LISTS])
class TestConditions:
    @pytest.fixture
    def obj(self, name):
        return yaml.safe_load(ROUTE) if name == "gateway" else with_status(name)

    @staticmethod
    def conditions(obj):
        status = obj["status"]
        return status["parents"][0]["conditions"] if "parents" in status else status["conditions"]

    def test_all_well_is_no_refusal(self, name, obj):
        assert platform(name).refusal(obj) is None
        # Only a Gateway says which generation it speaks of.
        assert platform(name).programmed(obj) == (shares(3000) if name == "gateway" else None)

    def test_a_false_condition_is_the_reason(self, name, obj):
        self.conditions(obj)[0] |= {"status": "False", "reason": "Wrong", "message": "not so"}
        assert platform(name).programmed(obj) is None
        assert "False (Wrong: not so)" in platform(name).refusal(obj)

    def test_no_report_is_a_reason_to_wait(self, name, obj):
        for silent in ({}, {"parents": []}, {"conditions": []}):
            assert platform(name).programmed({**obj, "status": silent}) is None
            assert platform(name).refusal({**obj, "status": silent}) == UNSEEN


def test_an_older_generation_of_a_route_is_not_in_effect_yet():
    obj = yaml.safe_load(ROUTE)
    obj["metadata"]["generation"] = 6
    assert platform("gateway").programmed(obj) is None
    assert "generation" in platform("gateway").refusal(obj)


def test_a_backend_that_is_not_there_is_told_once_and_the_split_is_in_effect_for_all_that():
    obj = yaml.safe_load(ROUTE)
    lines = "no endpoints for treatment.\nno endpoints for treatment."
    obj["status"]["parents"][0]["conditions"].append(
        {"type": "BackendsAvailable", "status": "False", "reason": "NotFound", "message": lines}
        | {"observedGeneration": 5}
    )
    assert platform("gateway").programmed(obj) == shares(3000)
    reason = "BackendsAvailable is False (NotFound: no endpoints for treatment.)"
    assert platform("gateway").refusal(obj) == f"gateway public: {reason}"


def test_seldon_says_why_it_failed():
    obj = with_status("seldon")
    obj["status"] |= {"state": "Failed", "description": "no such image"}
    assert "no such image" in platform("seldon").refusal(obj)


def test_a_mirror_must_be_ready_too():
    obj = deepcopy(with_status("seldon2"))
    obj["spec"]["mirror"] = {"name": "dark", "percent": 10}
    assert "MirrorReady is not reported" in platform("seldon2").refusal(obj)


def test_istio_says_little():
    obj = {"status": {"validationMessages": [{"level": "ERROR", "type": {"code": "IST0101"}}]}}
    assert "IST0101" in platform("istio").refusal(obj)
    assert platform("istio").refusal({"status": {"validationMessages": []}}) is None
