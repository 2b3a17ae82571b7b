"""`k8s/components/prometheus`: which pods of a real API server a real Prometheus scrapes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_server import DEADLINE_SECONDS as SECONDS
from api_server import ROOT, path_from
from prometheus_server import serving
from scraped import configured, make, targets

from abctl.local.identity import wait_for
from abctl.spec import load
from abctl.spec.render import render

pytestmark = pytest.mark.process


def pods(name: str, namespace: str, first: int) -> Iterator[dict[str, Any]]:
    """A pod with an address of each Deployment that a platform's example renders to."""
    for number, obj in enumerate(render(load(ROOT / "k8s" / "experiments" / f"{name}.yaml"))):
        if obj["kind"] == "Deployment":
            template = obj["spec"]["template"]
            # Nobody gives secrets and accounts to these pods.
            spec = {"containers": template["spec"]["containers"], "volumes": [], "nodeName": "n"}
            for container in spec["containers"]:
                container.pop("volumeMounts", None)
            meta = {"name": f"{name}-{number}", "namespace": namespace}
            labels = template["metadata"]["labels"]
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**meta, "labels": labels},
                "spec": spec,
                "status": {"phase": "Running", "podIP": f"127.9.{first}.{number}"},
            }


def test_servers_readers_and_envoys_are_scraped_each_once(
    cluster: Any, namespace: str, tmp_path: Path
) -> None:
    if not hasattr(cluster, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    made = [*pods("envoy", namespace, 1), *pods("nginx", namespace, 2)]
    for pod in made:
        make(cluster, pod)
    config = configured(namespace, cluster.kubeconfig)
    # Debian's knows no Kubernetes.
    program = Path(path_from("go-program", "--cached", "prometheus"))
    with serving(tmp_path / "prometheus", config=config, program=program) as url:
        assert wait_for(lambda: len(targets(url)) >= len(made) + 1, SECONDS), targets(url)
        found = targets(url)
    shown = {(each["scrapePool"], each["labels"]["pod"], each["scrapeUrl"]) for each in found}
    assert len(shown) == len(found)
    of_servers = [pod for pod in made if "abctl.dev/variant" in pod["metadata"]["labels"]]
    variants = [each for each in found if each["scrapePool"] == "variants"]
    assert len(variants) == len(of_servers)
    assert {each["labels"]["variant"] for each in variants} == {"control", "treatment"}
    # Both proxies have a reader of their log; Envoy alone has counters of its own.
    assert len([each for each in found if each["scrapePool"] == "access-logs"]) == 2
    [envoy] = [each for each in found if each["scrapePool"] == "envoys"]
    assert envoy["scrapeUrl"].endswith(":9901/stats/prometheus")
    assert (envoy["labels"]["experiment"], envoy["labels"]["namespace"]) == ("iris", namespace)
