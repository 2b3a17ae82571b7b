"""Who may reach the pods of an experiment behind a proxy of its own (NetworkPolicies).

Everybody may ask the proxy for predictions; nobody asks a model server past it, and counters are
Prometheus' to read. What else a namespace allows is allowed too: policies only add.
"""

from collections.abc import Iterator, Mapping

from abctl.core.change import EXPERIMENT, PROXY, VARIANT, Object, Ref
from abctl.core.experiment import Experiment
from abctl.platforms._workload import GRPC, HTTP, METRICS, Json, head, labels

# Of whoever asks a server past the proxy, such as a client that sends feedback to a variant.
CLIENT = {"abctl.dev/client": "true"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}


def policies(experiment: Experiment, proxy: Ref, ports: Mapping[str, int]) -> Iterator[Object]:
    """The policies of the proxy, and of the servers that abctl makes.

    Args:
        experiment: whose.
        proxy: what its proxy is called like.
        ports: of the proxy's pods; that called http is the entrance.
    """
    admin = [port for name, port in ports.items() if name != "http"]
    pods = {"matchLabels": labels(experiment) | PROXY}
    entrance = {"ports": _ports([ports["http"]])}
    yield _policy(experiment, proxy, pods, [entrance, _counters(admin)])
    if any(variant.model.image or not variant.model.service for variant in experiment.served):
        name = Ref(proxy.api_version, proxy.kind, proxy.namespace, f"{experiment.name}-servers")
        variants = [{"key": VARIANT, "operator": "Exists"}]
        servers = {"matchLabels": {EXPERIMENT: experiment.name}, "matchExpressions": variants}
        callers = [{"podSelector": pods}, {"podSelector": {"matchLabels": CLIENT}}]
        asked = {"from": callers, "ports": _ports([HTTP, GRPC])}
        yield _policy(experiment, name, servers, [asked, _counters([METRICS])])


def _policy(experiment: Experiment, like: Ref, pods: Json, rules: list[Json]) -> Object:
    ref = Ref("networking.k8s.io/v1", "NetworkPolicy", like.namespace, like.name)
    spec = {"podSelector": pods, "policyTypes": ["Ingress"], "ingress": rules}
    return {**head(ref, experiment), "spec": spec}


def _counters(ports: list[int]) -> Json:
    prometheus = {"namespaceSelector": {}, "podSelector": {"matchLabels": PROMETHEUS}}
    return {"from": [prometheus], "ports": _ports(ports)}


def _ports(ports: list[int]) -> list[Json]:
    return [{"port": port, "protocol": "TCP"} for port in ports]
