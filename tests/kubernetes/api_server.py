"""A real API server for the tests: etcd and kube-apiserver, or a cluster that is given.

KUBEBUILDER_ASSETS names the folder with both programs (.ci/kubernetes prints one);
ABCTL_TEST_KUBECONFIG names a cluster to use instead; ABCTL_TEST_CRDS the folder with the upstream
CRDs as JSON, by default shared/crds next to the checkout.
"""

import json
import os
import ssl
import subprocess
import sysconfig
import time
import uuid
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from own_ports import free_ports

from abctl.local.identity import die_with

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
# For whatever a test waits for: only what never comes is to meet it, on a slow machine too.
DEADLINE_SECONDS = 300.0
# A copy: a process can't be started with the living one while another thread changes it.
_ENVIRONMENT = dict(os.environ)
ADMIN_TOKEN = "admin-of-the-tests"
KUBECTL = Path(sysconfig.get_path("scripts")) / "kubectl"
CRDS_FOLDER = Path(os.environ.get("ABCTL_TEST_CRDS") or ROOT.parent / "shared" / "crds")
# What abctl writes. Of the two channels of the Gateway API only one can be loaded.
CRDS = (
    "kserve-*_*_inferenceservices",
    "kserve-*_*_inferencegraphs",
    "seldon-core-v1*_*_seldondeployments",
    "seldon-core-v2*_*_experiments",
    "seldon-core-v2*_*_models",
    "gateway-api-*-standard_*_gatewayclasses",
    "gateway-api-*-standard_*_gateways",
    "gateway-api-*-standard_*_httproutes",
    "gateway-api-*-standard_*_grpcroutes",
    "gateway-api-*-standard_*_referencegrants",
    "envoy-gateway-*_*_backendtrafficpolicies",
    "istio-*_*_destinationrules",
    "istio-*_*_virtualservices",
    "prometheus-operator-*_*_podmonitors",
    "prometheus-operator-*_*_servicemonitors",
    "prometheus-operator-*_*_prometheusrules",
)


class Cluster:
    """Somewhere to talk to, by a kubeconfig of an administrator."""

    def __init__(self, kubeconfig):
        self.kubeconfig = kubeconfig

    def kubectl(self, *words, stdin=None, check=True):
        """Whatever kubectl prints; it is the independent witness of what abctl did."""
        done = subprocess.run(
            [KUBECTL, f"--kubeconfig={self.kubeconfig}", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
            env=_ENVIRONMENT,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(words)}: {done.stderr}")
        return done.stdout if check else done

    def read(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def load_crds(self, folder, patterns):
        """Those that are there already stay as their own controllers want them."""
        there = {crd["metadata"]["name"] for crd in self.read("crds")["items"]}
        found = [path for crd in patterns for path in folder.glob(f"{crd}.json")]
        files = [p for p in found if json.loads(p.read_text())["metadata"]["name"] not in there]
        if not files:
            return
        named = [word for path in files for word in ("-f", str(path))]
        self.kubectl("apply", "--server-side", "--force-conflicts", *named)
        specs = [json.loads(path.read_text())["spec"] for path in files]
        kinds = ",".join(f"{spec['names']['plural']}.{spec['group']}" for spec in specs)
        self.await_kinds(kinds)

    def await_kinds(self, kinds):
        """Until they are served, which is a moment later than established.

        `kubectl wait` fails where a new kind has no conditions yet.
        """
        served = lambda: self.kubectl("get", kinds, "-A", check=False).returncode == 0  # noqa: E731
        wait_for(served, f"what serves {kinds}")


class ApiServer(Cluster):
    """etcd and kube-apiserver of our own; may be killed and started again."""

    def __init__(self, assets, folder):
        self.assets, self.folder = Path(assets), folder
        self.port, *self.etcd_ports = free_ports(3)
        self.url = f"https://{HOST}:{self.port}"
        self.certificate = folder / "certs" / "apiserver.crt"
        folder.joinpath("tokens").write_text(f'{ADMIN_TOKEN},admin,admin,"system:masters"\n')
        super().__init__(folder / "kubeconfig")
        self.etcd = self.server = None

    def start(self):
        client, peer = (f"http://{HOST}:{port}" for port in self.etcd_ports)
        if self.etcd is None:
            self.etcd = self._run(
                "etcd",
                f"--data-dir={self.folder / 'etcd'}",
                "--unsafe-no-fsync",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
            )
        key = self.certificate.with_suffix(".key")
        self.server = self._run(
            "kube-apiserver",
            f"--etcd-servers={client}",
            f"--cert-dir={self.certificate.parent}",
            f"--bind-address={HOST}",
            f"--secure-port={self.port}",
            "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder / 'tokens'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            # Nobody deletes the Services of a namespace that is gone: there is no controller.
            "--service-cluster-ip-range=10.0.0.0/16",
            # There is no controller that would make the account of each namespace.
            "--disable-admission-plugins=ServiceAccount",
        )
        wait_for(self._ready, "kube-apiserver", self._why)
        self.write_kubeconfig(self.kubeconfig, ADMIN_TOKEN)
        return self

    def write_kubeconfig(self, path, token, url=None, namespace="default"):
        """A kubeconfig for whoever has the token."""
        cluster = {"server": url or self.url, "certificate-authority": str(self.certificate)}
        context = {"cluster": "test", "user": "test", "namespace": namespace}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": context}],
        }
        path.write_text(json.dumps(config))
        return path

    def kill(self):
        """The API server dies; etcd keeps what it was told."""
        self.server.kill()
        self.server.wait(DEADLINE_SECONDS)

    def stop(self):
        for process in (self.server, self.etcd):
            if process and process.poll() is None:
                process.kill()
                process.wait(DEADLINE_SECONDS)

    def _run(self, program, *arguments):
        with self.folder.joinpath(f"{program}.log").open("ab") as log:
            return subprocess.Popen(
                [self.assets / program, *arguments],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - whatever ends the tests ends it
            )

    def _ready(self):
        if self.server.poll() is not None:
            raise AssertionError(f"kube-apiserver ended: {self._why()}")
        if not self.certificate.exists():
            return False
        request = Request(f"{self.url}/readyz")
        request.add_header("Authorization", f"Bearer {ADMIN_TOKEN}")
        try:
            context = ssl.create_default_context(cafile=self.certificate)
            with urlopen(request, timeout=5, context=context) as answer:
                return answer.status == HTTPStatus.OK
        except (URLError, OSError):
            return False

    def _why(self):
        return (self.folder / "kube-apiserver.log").read_text()[-2000:]


def wait_for(condition, what, why=lambda: ""):
    asked = time.monotonic()
    deadline = asked + DEADLINE_SECONDS
    while not condition():
        now = time.monotonic()
        assert now < deadline, f"{what} is not ready in time: {why()}"
        # To ask, which may take a process, must not slow down what is waited for.
        time.sleep(min(max(0.05, 3.0 * (now - asked)), 1.0))
        asked = time.monotonic()


def missing(reason):
    """No test passes by not running: it fails where CI is set, and says so loudly elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(f"NOT TESTED: {reason}")


def path_from(script, *words):
    """The path that a script in .ci prints; without it the test fails, or is left out."""
    command = [ROOT / ".ci" / script, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        missing(done.stderr.strip())
    return done.stdout.strip()


@contextmanager
def api_servers(tmp_path_factory):
    """Starts API servers of our own, which tests may kill; all end with the context."""
    with ExitStack() as left:

        def make():
            folder = tmp_path_factory.mktemp("api-server")
            server = ApiServer(path_from("kubernetes", "--cached"), folder)
            left.callback(server.stop)
            return server.start()

        yield make


@pytest.fixture(scope="module")
def make_api_server(tmp_path_factory):
    """Starts API servers, which cost even where nobody asks: they end with the file's tests."""
    with api_servers(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """The cluster that the tests share; they keep to namespaces of their own."""
    with api_servers(tmp_path_factory) as make:
        given = os.environ.get("ABCTL_TEST_KUBECONFIG")
        yield Cluster(Path(given)) if given else make()


@pytest.fixture(scope="session")
def crds(cluster):
    """The cluster, with the CRDs of every platform."""
    folder = CRDS_FOLDER
    if lacking := [crd for crd in CRDS if not any(folder.glob(f"{crd}.json"))]:
        missing(f"no {', '.join(lacking)} in {folder} (ABCTL_TEST_CRDS names another folder)")
    cluster.load_crds(folder, CRDS)
    # Written here, as of open-feature-operator 0.9.2: the fields that abctl writes.
    cluster.load_crds(Path(__file__).parent, ["openfeature_featureflags"])
    return cluster


@pytest.fixture
def make_namespace():
    """Makes namespaces of the test's own, on any cluster."""
    with ExitStack() as left:

        def make(cluster):
            name = f"test-{uuid.uuid4().hex[:10]}"
            cluster.kubectl("create", "namespace", name)
            left.callback(cluster.kubectl, "delete", "namespace", name, "--wait=false")
            return name

        yield make


@pytest.fixture
def namespace(cluster, make_namespace):
    """A namespace of the test's own."""
    return make_namespace(cluster)
