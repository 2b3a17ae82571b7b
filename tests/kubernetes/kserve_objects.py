"""Objects that KServe's webhook refuses, and some that it accepts."""

API = "serving.kserve.io/v1beta1"
STANDARD = {"serving.kserve.io/deploymentMode": "Standard"}
STORED = {
    "modelFormat": {"name": "sklearn"},
    "protocolVersion": "v2",
    "storageUri": "gs://models/v1",
}


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
