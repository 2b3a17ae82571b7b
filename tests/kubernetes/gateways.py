"""Envoy Gateway and Istio as controllers of an API server of the tests, and what they carry.

No pod runs: Deployments and endpoints are what a test says, and the proxy that a controller tells
what to do is an Envoy of the test's own (`data_plane.py`). See `upstream.py`.
"""

import json
import shutil
from collections import Counter
from contextlib import ExitStack

import pytest
from api_server import HOST
from controllers import Controllers
from data_plane import Proxy, endpoints
from upstream import (
    Upstream,
    certificate,
    free_port,
    hooks,
    namespace_of,
    outside,
    programs,
    published,
)

from abctl.platforms import platform
from abctl.services.load import load

_GATEWAY_API = "gateway.networking.k8s.io/v1"
_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
ENTRANCE = "iris.example.com"


class EnvoyGateway(Upstream):
    """It tells proxies what to do on a socket in its folder; each side trusts one certificate."""

    def node(self, namespace):
        return {"id": "proxy", "cluster": f"{namespace}/public"}

    def leads_to(self):
        folder = self.folder / "certs"
        own = {"certificate_chain": folder / "tls.crt", "private_key": folder / "tls.key"}
        types = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
        context = {
            "tls_params": {"tls_maximum_protocol_version": "TLSv1_3"},
            "tls_certificates": [{key: {"filename": str(path)} for key, path in own.items()}],
            "validation_context": {"trusted_ca": {"filename": str(folder / "ca.crt")}},
        }
        return {"pipe": {"path": str(self.folder / "xds")}}, {
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": f"{types}.UpstreamTlsContext",
                "common_tls_context": context,
            },
        }

    def splits(self, route, obj):
        """Whether a route of the proxy's is what became of the rule that splits."""
        (rule,) = (i for i, r in enumerate(obj["spec"]["rules"]) if r.get("name") == "split")
        return f"/rule/{rule}/" in route["name"]

    def gateway(self, namespace, port):
        listener = {"name": "http", "port": port, "protocol": "HTTP"}
        return {
            "apiVersion": _GATEWAY_API,
            "kind": "Gateway",
            "metadata": {"name": "public"},
            "spec": {"gatewayClassName": "envoy", "listeners": [listener]},
        }


class Istio(Upstream):
    """It tells proxies what to do on a port; a proxy has a Gateway by its labels."""

    def node(self, namespace):
        labels = {"NAMESPACE": namespace, "LABELS": {"gateway": namespace}}
        name = f"router~{HOST}~public.{namespace}~{namespace}.svc.cluster.local"
        return {
            "id": name,
            "cluster": f"public.{namespace}",
            "metadata": labels | {"CLUSTER_ID": "Kubernetes"},
        }

    def leads_to(self):
        return {"socket_address": {"address": HOST, "port_value": self.ports["grpc"]}}, None

    def splits(self, route, obj):
        """Whether a route of the proxy's is what became of the route that splits."""
        return route.get("name") == "split"

    def gateway(self, namespace, port):
        listener = {"port": {"number": port, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
        return {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "public"},
            "spec": {"selector": {"gateway": namespace}, "servers": [listener]},
        }


@pytest.fixture(scope="session")
def envoy_gateway(make_api_server, tmp_path_factory):
    """Envoy Gateway, with a GatewayClass."""
    programs("envoy-gateway")
    server = published(make_api_server(), ("gateway-api-*-standard_*", "envoy-gateway-*"))
    found = EnvoyGateway(server, "envoy-gateway", tmp_path_factory.mktemp("envoy-gateway"))
    certificate(found.folder / "certs", "envoy-gateway")
    shutil.copy(found.folder / "certs" / "tls.crt", found.folder / "certs" / "ca.crt")
    of_gateways = {
        "apiVersion": _GATEWAY_API,
        "kind": "GatewayClass",
        "metadata": {"name": "envoy"},
        "spec": {"controllerName": _CONTROLLER},
    }
    found.apply([namespace_of("envoy-gateway-system"), of_gateways])
    file = found.folder / "settings.json"
    file.write_text(json.dumps(_settings()))
    found.start("envoy-gateway", "server", f"--config-path={file}")
    found.until(lambda: _accepted(server.read("gatewayclass", "envoy")))
    yield found
    found.stop()


def _settings():
    alone = {"leaderElection": {"disable": True}, "proxyTopologyInjector": {"disabled": True}}
    return {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "gateway": {"controllerName": _CONTROLLER},
        "provider": {"type": "Kubernetes", "kubernetes": alone},
        "admin": {"address": {"host": HOST, "port": free_port()}},
        "telemetry": {"metrics": {"prometheus": {"disable": True}}},
    }


def _accepted(obj):
    conditions = (obj.get("status") or {}).get("conditions", ())
    return any(c["type"] == "Accepted" and c["status"] == "True" for c in conditions)


@pytest.fixture(scope="session")
def istio(make_api_server, tmp_path_factory):
    """Istio's controller, with its webhook."""
    programs("istio")
    server = make_api_server()
    found = Istio(server, "istio", tmp_path_factory.mktemp("istio"))
    found.apply(found.manifests("istio/crd-all.gen.yaml"))
    found.ports = ports = {name: free_port() for name in ("http", "https", "grpc", "monitoring")}
    found.apply([namespace_of("istio-system"), outside("istiod", "istio-system")])
    found.apply(hooks([_ISTIO_WEBHOOK], ports["https"]))
    found.start(
        "pilot-discovery",
        "discovery",
        *(f"--{name}Addr={HOST}:{port}" for name, port in ports.items()),
        "--secureGRPCAddr=",
        "--ctrlz_port=0",
        f"--kubeconfig={server.kubeconfig}",
        POD_NAMESPACE="istio-system",
        POD_NAME="istiod",
        # Filters of Istio's own build of Envoy, for its metrics.
        PILOT_ENABLE_METADATA_EXCHANGE="false",
        PILOT_ENABLE_ALPN_FILTER="false",
    )
    found.admits(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": {"name": "probe", "namespace": "default"},
            "spec": {"hosts": ["a"], "http": [{"route": [{"destination": {"host": "a"}}]}]},
        }
    )
    yield found
    found.stop()


# As upstream's chart renders it; the controller itself writes the certificate into it.
_ISTIO_WEBHOOK = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {
        "name": "istio-validator-istio-system",
        "labels": {"app": "istiod", "istio.io/rev": "default"},
    },
    "webhooks": [
        {
            "name": "rev.validation.istio.io",
            "clientConfig": {
                "service": {"name": "istiod", "namespace": "istio-system", "path": "/validate"}
            },
            "rules": [
                {
                    "operations": ["CREATE", "UPDATE"],
                    "apiGroups": ["networking.istio.io"],
                    "apiVersions": ["*"],
                    "resources": ["*"],
                }
            ],
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
    ],
}


class Carried:
    """An experiment that abctl has applied, its controller, and a proxy that carries it out."""

    def __init__(self, upstream, namespace, folder, text):
        self.upstream, self.namespace = upstream, namespace
        self.file = folder / "experiment.yaml"
        self.file.write_text(text)
        self.experiment = load(self.file)
        self.platform = platform(self.experiment.platform)
        names = [variant.name for variant in self.experiment.served]
        node, leads = upstream.node(namespace), upstream.leads_to()
        self.proxy = Proxy(folder, node, leads, names)
        objects = [upstream.gateway(namespace, self.proxy.port)]
        objects += [endpoints(f"iris-{name}", self.proxy.behind[name]) for name in names]
        self.apply(*objects)

    def apply(self, *objects, namespace=None):
        place = {"namespace": namespace or self.namespace}
        self.upstream.apply({**o, "metadata": o["metadata"] | place} for o in objects)

    def ask(self, requests, path="/v2/models/iris/infer", host=ENTRANCE):
        return self.proxy.ask(requests, host, path)

    def obj(self):
        """The object that carries the split."""
        ref = self.platform.target(self.experiment)
        kind = f"{ref.kind}.{ref.api_version.partition('/')[0]}"
        return self.upstream.server.read("-n", self.namespace, kind, ref.name)

    def told(self):
        """The weights that the proxy has been told for the split, by variant where it is one."""
        obj, found = self.obj(), Counter()
        called = self.platform.upstreams(obj).items()
        for route in self.proxy.routes():
            if self.upstream.splits(route, obj):
                to = route.get("route", {})
                every = to.get("weighted_clusters", {}).get("clusters")
                for cluster in every or [{"name": to.get("cluster", ""), "weight": 1}]:
                    name = cluster["name"]
                    known = [v for v, names in called if any(n in name for n in names)]
                    found[known[0] if known else name] += cluster.get("weight", 0)
        return +found

    def wait_for(self, **weights):
        """Waits until the proxy has been told these weights."""
        self.proxy.until(lambda: self.told() == weights, f"what the proxy is told: {weights}")

    def counts(self):
        """How many requests were sent to each variant by the split, by Envoy's own count."""
        by_cluster = self.proxy.requests_by_cluster()
        return {
            variant: sum(by_cluster.get(name, 0) for name in names)
            for variant, names in self.platform.upstreams(self.obj()).items()
        }


@pytest.fixture
def carry(upstream, own, abctl, tmp_path):
    """Applies experiments as users do; what is not here (nodes) is played."""
    with ExitStack() as left:

        def begin(text):
            found = Carried(upstream, own, tmp_path, text.replace("NAMESPACE", own))
            left.callback(found.proxy.stop)
            left.enter_context(Controllers(upstream.server, own, "deployments"))
            abctl("apply", str(found.file), "--yes", "--timeout", "60")
            return found

        yield begin


@pytest.fixture
def server(upstream):
    return upstream.server
