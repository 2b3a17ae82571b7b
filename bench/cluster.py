"""`abctl shift` as a process beside `kubectl patch` of the same field plus a read; and `render`.

On a real API server (.ci/kubernetes), with the CRD of Istio, whose objects need no controller. Each
command runs once before it is timed, with its bytecode kept, as that of an installed abctl is.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

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


def seconds(*commands: list[str]) -> float:
    start = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


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
            server.kubectl("apply", "-f", "-", stdin=json.dumps(ROUTE))
            seconds(shift(server, 15), *patch_and_read(server, 55), RENDER)
            ours, theirs, rendered = [], [], []
            for number in range(rounds):
                ours.append(seconds(shift(server, 20 + number % 20)))
                theirs.append(seconds(*patch_and_read(server, 60 + number % 20)))
                rendered.append(seconds(RENDER))
        finally:
            server.stop()
    rendered_ms = 1000 * statistics.median(rendered)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"{rounds} interleaved runs; {machine()}\n")
    rows = [
        ("kubectl patch, then get", f"{1000 * statistics.median(theirs):.0f} ms", "", ""),
        ("abctl shift", f"{1000 * statistics.median(ours):.0f} ms", "", ""),
        ("abctl / kubectl", *target(ratio, 2, "x", at_least=False)),
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
