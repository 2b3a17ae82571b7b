"""`k8s/components/{pod,service}monitor`: what the Prometheus Operator would scrape of what we make.

Each server, collector, reader of a log and Envoy is found exactly once, at a port that it has.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from abctl.core.outcome import Outcome
from abctl.spec import load
from abctl.spec.render import render

K8S = Path(__file__).parents[3] / "k8s"
# Of whom abctl makes the pods itself; a platform's own controller makes those of the others.
PLATFORMS = ("envoy", "flagd", "flagset", "grpcroute", "istio", "nginx")
META = "__meta_kubernetes_"
Json = dict[str, Any]
Target = tuple[str, str, int, str]
"""Deployment, container, port and path."""


def rendered(platform: str, kind: str) -> list[Json]:
    experiment = load(K8S / "experiments" / f"{platform}.yaml")
    whole = replace(experiment, outcomes=(Outcome("accuracy", "binary"),))
    return [obj for obj in render(whole) if obj["kind"] == kind]


def endpoints(component: str) -> Iterator[tuple[str, Json, Json]]:
    """The name, the selector and each endpoint of the monitors of a component."""
    text = (K8S / "components" / component / "monitor.yaml").read_text()
    for monitor in yaml.safe_load_all(text):
        spec = monitor["spec"]
        for endpoint in spec.get("podMetricsEndpoints", spec.get("endpoints")):
            yield monitor["metadata"]["name"], spec["selector"], endpoint


def selects(selector: Json, labels: Json) -> bool:
    expressions = selector.get("matchExpressions", ())
    assert {each["operator"] for each in expressions} <= {"Exists", "DoesNotExist"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        (each["key"] in labels) == (each["operator"] == "Exists") for each in expressions
    )


def scraped(platform: str, component: str) -> Counter[tuple[str, Target]]:
    """By the name of a monitor, what it scrapes."""
    found: Counter[tuple[str, Target]] = Counter()
    services = rendered(platform, "Service")
    for deployment in rendered(platform, "Deployment"):
        template = deployment["spec"]["template"]
        labels = template["metadata"]["labels"]
        behind = [s for s in services if s["spec"]["selector"].items() <= labels.items()]
        for name, selector, endpoint in endpoints(component):
            if component == "podmonitor":
                carriers = [template] if selects(selector, labels) else []
                kind, ports = "pod", {endpoint["port"]}
            else:
                carriers = [s for s in behind if selects(selector, s["metadata"]["labels"])]
                kind, ports = "service", targeted(carriers, endpoint)
            for carrier in carriers:
                for container, number in containers(template, ports):
                    known = {
                        f"{META}{kind}_label_{plain(k)}": v for k, v in carrier_labels(carrier)
                    }
                    known |= {f"{META}pod_container_name": container, f"{META}pod_ip": "IP"}
                    if (port := relabeled(endpoint, known, number)) is not None:
                        path = endpoint.get("path", "/metrics")
                        target = (deployment["metadata"]["name"], container, port, path)
                        found[name, target] += 1
    return found


def targeted(services: list[Json], endpoint: Json) -> set[str]:
    """The names of the container ports that a ServiceMonitor's endpoint means."""
    if "targetPort" in endpoint:
        return {endpoint["targetPort"]}
    ports = [port for service in services for port in service["spec"]["ports"]]
    return {port["targetPort"] for port in ports if port["name"] == endpoint["port"]}


def containers(template: Json, ports: set[str]) -> Iterator[tuple[str, int]]:
    for container in template["spec"]["containers"]:
        for port in container.get("ports", ()):
            if port["name"] in ports:
                yield container["name"], port["containerPort"]


def carrier_labels(carrier: Json) -> Any:
    return carrier["metadata"]["labels"].items()


def plain(label: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in label)


def relabeled(endpoint: Json, known: Json, port: int) -> int | None:
    """The port that is scraped; None where the target is dropped. Every source label is there."""
    for rule in endpoint["relabelings"]:
        [value] = [known[label] for label in rule["sourceLabels"]]
        if rule.get("action") == "keep":
            if value != rule["regex"]:
                return None
        elif rule["targetLabel"] == "__address__":
            port = int(rule["replacement"].rpartition(":")[2])
        else:
            assert rule["targetLabel"] in ("variant", "experiment")
            assert value
    return port


@pytest.mark.parametrize("component", ["podmonitor", "servicemonitor"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_all_that_counts_is_scraped_once_where_it_counts(platform: str, component: str) -> None:
    expected = {
        *(
            ("variants", (f"iris-{v}", "mlserver", 8082, "/metrics"))
            for v in ("control", "treatment")
        ),
        ("collectors", ("iris-collector", "collector", 8090, "/metrics")),
    }
    if platform in ("envoy", "nginx"):
        reader = (f"iris-{platform}", "access-log", 9902, "/metrics")
        expected.add(("access-logs", reader))
    if platform == "envoy":
        expected.add(("envoys", ("iris-envoy", "envoy", 9901, "/stats/prometheus")))
    assert scraped(platform, component) == dict.fromkeys(expected, 1)


def test_no_other_platform_has_pods_that_nobody_looked_at() -> None:
    for path in K8S.glob("experiments/*.yaml"):
        made = {obj["metadata"]["name"] for obj in rendered(path.stem, "Deployment")}
        assert path.stem in PLATFORMS or made <= {"iris-collector"}
