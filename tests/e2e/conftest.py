"""A cluster with nodes and the overlay `kind-envoy` in it, for those who use it as a user would.

ABCTL_TEST_NODES names its kubeconfig: `make cluster-up` prints one, and so may kind. The images of
the overlay must be loaded there.
"""

import fcntl
import os
import re
import socket
import subprocess
import sysconfig
from contextlib import ExitStack
from pathlib import Path

import pytest
from api_server import Cluster, missing, wait_for

ROOT = Path(__file__).parents[2]
OVERLAY = ROOT / "k8s" / "overlays" / "kind-envoy"
SCRIPTS = Path(sysconfig.get_path("scripts"))
NAMESPACE = "models"
SECONDS = 1200.0


class Nodes(Cluster):
    """A cluster that runs pods, and the ways into it."""

    def __init__(self, kubeconfig, held):
        super().__init__(kubeconfig)
        self.held = held

    def abctl(self, *words, seconds=SECONDS):
        """Runs abctl as a user does: exit code, answer, remarks."""
        done = subprocess.run(
            [SCRIPTS / "abctl", *map(str, words)],
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def url(self, service, namespace=NAMESPACE):
        """Where a service is reached from here: by its address, else by a forwarded port."""
        spec = self.read("service", service, "-n", namespace)["spec"]
        host, port = spec["clusterIP"], spec["ports"][0]["port"]
        try:
            socket.create_connection((host, port), timeout=2).close()
        except OSError:
            host, port = "127.0.0.1", self._forwarded(f"service/{service}", namespace, port)
        return f"http://{host}:{port}"

    def _forwarded(self, service, namespace, port):
        words = [f"--kubeconfig={self.kubeconfig}", "-n", namespace, "port-forward", service]
        process = subprocess.Popen(
            [SCRIPTS / "kubectl", *words, f":{port}"], stdout=subprocess.PIPE, text=True
        )
        self.held.enter_context(process)
        self.held.callback(process.kill)
        return int(re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline()).group(1))

    def ready(self, namespace):
        pods = self.read("pods", "-n", namespace)["items"]
        return pods and all(
            any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
            for pod in pods
            if (conditions := pod["status"].get("conditions", []))
            and "deletionTimestamp" not in pod["metadata"]
        )


@pytest.fixture(scope="module")
def nodes():
    """The cluster, with the overlay applied and all of its pods ready; nobody else uses it."""
    kubeconfig = os.environ.get("ABCTL_TEST_NODES")
    if not kubeconfig:
        missing("no cluster with nodes; `make cluster-test` makes one (ABCTL_TEST_NODES)")
    with ExitStack() as held:
        # Files of tests may run at the same time.
        fcntl.flock(held.enter_context(Path(kubeconfig).open()), fcntl.LOCK_EX)
        cluster = Nodes(Path(kubeconfig), held)
        cluster.kubectl("apply", "-k", str(OVERLAY))
        wait_for(lambda: cluster.ready(NAMESPACE), f"pods of {NAMESPACE}")
        yield cluster
