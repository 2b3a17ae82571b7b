"""The platforms' own controllers, built from their Go modules, on an API server of the tests.

`.ci/controllers NAME` builds them; ABCTL_TEST_CONTROLLERS names the folder that holds them. No node
runs: what a kubelet, an autoscaler and a gateway would report is played by `controllers.py`.
Everything else (defaults, refusals, objects that appear, status) is what upstream's code does with
upstream's own manifests, of which only the ports and a few named settings are changed.
"""

import base64
import json
import os
import shutil
import subprocess

import pytest
import yaml
from api_server import CRDS_FOLDER, DEADLINE_SECONDS, ROOT, missing, path_from, wait_for
from own_ports import free_ports

from abctl.cli.main import run
from abctl.local.identity import die_with

_CRDS = ("kserve-*", "knative-serving-*", "gateway-api-*-standard_*", "envoy-gateway-*")
_OBJECT = {"metadata": {"name": "probe", "namespace": "default"}}


class Upstream:
    """Controllers of one platform, started on a server; they end with the file's tests."""

    def __init__(self, server, name, folder):
        self.server, self.name, self.folder = server, name, folder
        self.programs = programs(name)
        self.processes = {}

    def manifests(self, *paths, **said):
        """Upstream's own, with `$(words)` replaced."""
        for path in paths:
            text = self.programs.joinpath("config", path).read_text()
            for word, value in said.items():
                text = text.replace(f"$({word})", value)
            yield from filter(None, yaml.safe_load_all(text))

    def apply(self, objects):
        stdin = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self.server.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=stdin)

    def start(self, program, *arguments, **environment):
        known = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        known |= {"KUBECONFIG": str(self.server.kubeconfig), "TMPDIR": str(self.folder)}
        with self._log(program).open("wb") as log:
            self.processes[program] = subprocess.Popen(
                [self.programs / program, *arguments],
                env=known | environment,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - whatever ends the tests ends it
            )

    def admits(self, obj):
        """Waits until an object gets through everything that has a say in it, and is not kept."""
        words = ("create", "--dry-run=server", "-f", "-")

        def asked():
            return self.server.kubectl(*words, stdin=json.dumps(obj), check=False)

        self.until(lambda: asked().returncode == 0, lambda: self.why() + asked().stderr)

    def until(self, reached, why=None):
        """Waits until something holds, as long as all programs run."""

        def running():
            for program, process in self.processes.items():
                assert process.poll() is None, f"{program} ended: {self.why()}"
            return reached()

        wait_for(running, self.name, why or self.why)

    def why(self):
        return "\n".join(self._log(each).read_text()[-3000:] for each in self.processes)

    def stop(self):
        # Asked kindly, a webhook of Knative goes on for most of a minute.
        for process in self.processes.values():
            process.kill()
            process.wait(DEADLINE_SECONDS)

    def _log(self, program):
        return self.folder / f"{program}.log"


def programs(name):
    """The folder with a platform's controllers."""
    return ROOT / path_from("controllers", "--cached", name)


def outside(name, namespace):
    """A Service that leads the API server to a program beside it, so webhooks stay as they are."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }


def hooks(configurations, port, bundle=None):
    """Webhook configurations that call a port, trusting a certificate."""
    for obj in configurations:
        for hook in obj["webhooks"]:
            hook["clientConfig"]["service"]["port"] = port
            if bundle:
                hook["clientConfig"]["caBundle"] = bundle
        yield obj


def certificate(folder, host):
    """A key and a certificate for a host, for a webhook; the certificate, as base64."""
    if not shutil.which("openssl"):
        missing("no openssl, which makes the certificate of a webhook")
    folder.mkdir(parents=True)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-keyout", "tls.key", "-out", "tls.crt"),
            *("-subj", "/CN=webhook", "-addext", f"subjectAltName=DNS:{host}"),
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return base64.b64encode((folder / "tls.crt").read_bytes()).decode()


def namespace_of(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture
def own(server, make_namespace):
    """A namespace of the test's own, on the API server with controllers that its file names."""
    return make_namespace(server)


@pytest.fixture
def abctl(server, own, capsys):
    """abctl's command line in that namespace: what it prints, or its error."""

    def command(name, what, *words, wanted=0):
        place = ["-n", own, "--kubeconfig", str(server.kubeconfig)]
        code = run([name, what, *words, *place])
        printed = capsys.readouterr()
        assert code == wanted, printed.err
        return printed.out or printed.err

    return command


@pytest.fixture(scope="module")
def controlled(make_api_server):
    """An API server of its own: a webhook has a say in the objects of every namespace."""
    programs("kserve")
    return published(make_api_server(), _CRDS)


def published(server, crds):
    """The server, with CRDs as upstream publishes them."""
    if lacking := [crd for crd in crds if not any(CRDS_FOLDER.glob(f"{crd}.json"))]:
        missing(f"no {', '.join(lacking)} in {CRDS_FOLDER} (ABCTL_TEST_CRDS names another folder)")
    server.load_crds(CRDS_FOLDER, crds)
    return server


@pytest.fixture(scope="module")
def kserve(controlled, tmp_path_factory):
    """The API server, with KServe's controller and webhooks."""
    upstream = Upstream(controlled, "kserve", tmp_path_factory.mktemp("kserve"))
    service, port = "kserve-webhook-server-service", free_ports(1)[0]
    place = upstream.folder / "k8s-webhook-server" / "serving-certs"
    bundle = certificate(place, f"{service}.kserve.svc")
    said = {"webhookServiceName": service, "kserveNamespace": "kserve"}
    (settings,) = upstream.manifests("kserve/configmap/inferenceservice.yaml", **said)
    settings["metadata"]["namespace"] = "kserve"
    ingress = json.loads(settings["data"]["ingress"]) | {"enableGatewayApi": True}
    settings["data"]["ingress"] = json.dumps(ingress)
    upstream.apply([namespace_of("kserve"), outside(service, "kserve"), settings])
    upstream.start(
        *("manager", "--metrics-addr=0", "--health-probe-addr=0", f"--webhook-port={port}"),
        POD_NAMESPACE="kserve",
    )
    configurations = upstream.manifests("kserve/webhook/manifests.yaml", **said)
    upstream.apply(hooks(configurations, port, bundle))
    runtimes = ("kserve/runtimes/kserve-mlserver.yaml", "kserve/storagecontainers/default.yaml")
    _admit_runtimes(upstream, runtimes)
    yield controlled
    upstream.stop()


def _admit_runtimes(upstream, paths):
    for obj in upstream.manifests(*paths):
        upstream.admits(obj)
        upstream.apply([obj])
    container = {"name": "kserve-container", "image": "none"}
    spec = {"predictor": {"containers": [container]}}
    api = "serving.kserve.io/v1beta1"
    upstream.admits({**_OBJECT, "apiVersion": api, "kind": "InferenceService", "spec": spec})


@pytest.fixture(scope="module")
def knative(kserve, tmp_path_factory):
    """The API server, with KServe's controller and Knative Serving's below it."""
    upstream = Upstream(kserve, "knative", tmp_path_factory.mktemp("knative"))
    config = upstream.programs / "config"
    crds = [*config.glob("serving/core/300-resources/*.yaml"), *config.glob("*/*.yaml")]
    found = [o for path in sorted(crds) for o in yaml.safe_load_all(path.read_text()) if o]
    upstream.apply([o for o in found if o["kind"] == "CustomResourceDefinition"])
    upstream.apply([namespace_of("knative-serving"), outside("webhook", "knative-serving")])
    settings = [
        *upstream.manifests(*_below(config, "serving/core/configmaps/*.yaml")),
        *(o for o in found if o["kind"] == "ConfigMap"),
    ]
    for obj in settings:
        obj["data"] = {**(obj.get("data") or {}), **_SETTINGS.get(obj["metadata"]["name"], {})}
    upstream.apply(settings)
    (port,) = free_ports(1)
    environment = {
        "SYSTEM_NAMESPACE": "knative-serving",
        "CONFIG_LOGGING_NAME": "config-logging",
        "CONFIG_OBSERVABILITY_NAME": "config-observability",
    }
    manifests = [*upstream.manifests(*_below(config, "serving/core/webhooks/*.yaml"))]
    upstream.apply([o for o in manifests if o["kind"] == "Secret"])
    upstream.apply(hooks((o for o in manifests if "webhooks" in o), port))
    for program in ("webhook", "controller"):
        upstream.start(
            program,
            POD_NAME=program,
            WEBHOOK_NAME="webhook",
            WEBHOOK_PORT=str(port),
            PROFILING_PORT=str(free_ports(1)[0]),
            **environment,
        )
    template = {"spec": {"containers": [{"image": "none"}]}}
    api, spec = "serving.knative.dev/v1", {"template": template}
    upstream.admits({**_OBJECT, "apiVersion": api, "kind": "Service", "spec": spec})
    yield kserve
    upstream.stop()


# No registry is asked for the digest of an image, and Routes have a domain outside.
_SETTINGS = {
    "config-deployment": {"registries-skipping-tag-resolving": "index.docker.io"},
    "config-domain": {"example.com": ""},
}


def _below(folder, pattern):
    return sorted(str(path.relative_to(folder)) for path in folder.glob(pattern))
