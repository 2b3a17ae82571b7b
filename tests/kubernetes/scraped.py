"""What a Prometheus of `k8s/components` finds among the pods of an API server."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from api_server import DEADLINE_SECONDS, ROOT

COMPONENTS = ROOT / "k8s" / "components"


def configured(namespace: str, kubeconfig: Path) -> str:
    """The configuration as it is, for a Prometheus that is in no pod."""
    config = yaml.safe_load((COMPONENTS / "prometheus" / "prometheus.yml").read_text())
    for job in config["scrape_configs"]:
        for place in job["kubernetes_sd_configs"]:
            place["namespaces"] = {"names": [namespace]}
            place["kubeconfig_file"] = str(kubeconfig)
    return yaml.safe_dump(config)


def monitored(namespace: str, kubeconfig: Path) -> str:
    """What Prometheus Operator makes of the PodMonitors."""
    text = (COMPONENTS / "podmonitor" / "monitor.yaml").read_text()
    jobs = [
        {
            "job_name": f"{monitor['metadata']['name']}",
            "metrics_path": endpoint["path"],
            "honor_labels": endpoint.get("honorLabels", False),
            "scrape_interval": endpoint["interval"],
            "kubernetes_sd_configs": [
                {
                    "role": "pod",
                    "namespaces": {"names": [namespace]},
                    "kubeconfig_file": str(kubeconfig),
                }
            ],
            "relabel_configs": [
                *_selected(monitor["spec"]["selector"]),
                _one("keep", "container_port_name", endpoint["port"]),
                *(
                    {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": label}
                    for label, source in _LABELS.items()
                ),
                *map(_renamed, endpoint["relabelings"]),
            ],
        }
        for monitor in yaml.safe_load_all(text)
        for endpoint in monitor["spec"]["podMetricsEndpoints"]
    ]
    return yaml.safe_dump({"scrape_configs": jobs})


_LABELS = {"namespace": "namespace", "container": "pod_container_name", "pod": "pod_name"}
_ACTIONS = {"Exists": "keep", "DoesNotExist": "drop"}


def _one(action: str, source: str, regex: str) -> dict[str, Any]:
    return {
        "action": action,
        "source_labels": [f"__meta_kubernetes_pod_{source}"],
        "regex": regex,
    }


def _selected(selector: dict[str, Any]) -> list[dict[str, Any]]:
    known = selector.get("matchLabels", {}).items()
    return [
        *(_one("keep", f"label_{_as_label(key)}", value) for key, value in known),
        *(
            _one(_ACTIONS[each["operator"]], f"labelpresent_{_as_label(each['key'])}", "true")
            for each in selector.get("matchExpressions", ())
        ),
    ]


def _as_label(key: str) -> str:
    return "".join(each if each.isalnum() else "_" for each in key)


def _renamed(relabeling: dict[str, Any]) -> dict[str, Any]:
    names = {"sourceLabels": "source_labels", "targetLabel": "target_label"}
    return {names.get(key, key): value for key, value in relabeling.items()}


def make(cluster: Any, pod: dict[str, Any]) -> None:
    """A pod, and what its node would say of it."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(pod))
    words = ("patch", "pod", name, "-n", namespace, "--type=merge", "--subresource=status")
    cluster.kubectl(*words, "--patch", json.dumps({"status": pod["status"]}))


def asked(url: str, path: str) -> Any:
    """What its API answers."""
    with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=DEADLINE_SECONDS) as answer:
        return json.load(answer)["data"]


def targets(url: str) -> list[dict[str, Any]]:
    """What it scrapes now."""
    found: list[dict[str, Any]] = asked(url, "targets?state=active")["activeTargets"]
    return found
