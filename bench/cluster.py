"""`abctl shift` as a process beside `kubectl patch` of the same field plus a read; and `render`.

On a real API server (.ci/kubernetes), with the CRD of Istio, whose objects need no controller. Each
command runs once before it is timed, with its bytecode kept, as that of an installed abctl is.
"""

import argparse
import json
import os
import statistics
import sys
import sysconfig
import tempfile
from pathlib import Path

from _processes import cost
from _table import machine, markdown, target

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / room) for room in ("kubernetes", "servers")]

from api_server import CRDS_FOLDER, KUBECTL, ApiServer  # noqa: E402

SCRIPTS = Path(sysconfig.get_path("scripts"))
WEIGHT = "/spec/http/0/route/{}/weight"
RENDER = [str(SCRIPTS / "abctl"), "render", str(ROOT / "k8s" / "experiments" / "envoy.yaml")]
ROUTE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "iris"},
    "spec": {
        "hosts": ["iris"],
        "http": [
            {
                "route": [
                    {"destination": {"host": "control"}, "weight": 90},
                    {"destination": {"host": "treatment"}, "weight": 10},
                ]
            }
        ],
    },
}


def serving(name: str) -> list[dict]:
    """A Service with an endpoint that is ready: no variant gets more requests without."""
    port = {"name": "http", "port": 8080}
    labels = {"kubernetes.io/service-name": name}
    endpoint = {"addresses": ["10.0.0.7"], "conditions": {"ready": True}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"ports": [port]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": labels},
            "addressType": "IPv4",
            "endpoints": [endpoint],
            "ports": [port],
        },
    ]


def keep_bytecode(folder: str) -> None:
    """For the processes that are started from here on."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        sys.exit("error: no API server\nhint: KUBEBUILDER_ASSETS=$(.ci/kubernetes)")
    with tempfile.TemporaryDirectory() as folder:
        keep_bytecode(f"{folder}/bytecode")
        server = ApiServer(assets, Path(folder)).start()
        try:
            server.load_crds(CRDS_FOLDER, ["istio-*_*_virtualservices"])
            for obj in (ROUTE, *serving("control"), *serving("treatment")):
                server.kubectl("apply", "-f", "-", stdin=json.dumps(obj))
            cost(shift(server, 15), *patch_and_read(server, 55), RENDER)
            ours, theirs, rendered = [], [], []
            for number in range(rounds):
                ours.append(cost(shift(server, 20 + number % 20)))
                theirs.append(cost(*patch_and_read(server, 60 + number % 20)))
                rendered.append(cost(RENDER).wall)
        finally:
            server.stop()
    rendered_ms = 1000 * statistics.median(rendered)
    pairs = list(zip(ours, theirs, strict=True))
    ratio = statistics.median(a.wall / b.wall for a, b in pairs)
    cpu = statistics.median(a.cpu / b.cpu for a, b in pairs)
    print(f"{rounds} interleaved runs; {machine()}\n")
    mine, other = (1000 * statistics.median(each.wall for each in c) for c in (ours, theirs))
    rows = [
        ("kubectl patch, then get", f"{other:.0f} ms", "", ""),
        ("abctl shift", f"{mine:.0f} ms", "", ""),
        ("abctl / kubectl", *target(ratio, 2, "x", at_least=False)),
        ("of CPU", *target(cpu, 2, "x", at_least=False)),
        ("abctl render", *target(rendered_ms, 300, " ms", at_least=False)),
    ]
    print(markdown(("as processes", "measured", "wanted", ""), rows))


def shift(server: ApiServer, share: int) -> list[str]:
    words = ["shift", "vs/iris", f"treatment={share}%", "--yes"]
    return [str(SCRIPTS / "abctl"), *words, f"--kubeconfig={server.kubeconfig}"]


def patch_and_read(server: ApiServer, share: int) -> list[list[str]]:
    shares = (100 - share, share)
    operations = [
        {"op": "replace", "path": WEIGHT.format(i), "value": s} for i, s in enumerate(shares)
    ]
    kubectl = [str(KUBECTL), f"--kubeconfig={server.kubeconfig}"]
    patch = [*kubectl, "patch", "virtualservice", "iris", "--type=json", "-p"]
    return [[*patch, json.dumps(operations)], [*kubectl, "get", "virtualservice", "iris"]]


if __name__ == "__main__":
    main()
