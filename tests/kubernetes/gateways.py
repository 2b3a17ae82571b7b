"""Envoy Gateway as the controller of an API server of the tests, and what it carries.

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
from own_ports import free_ports
from upstream import (
    Upstream,
    certificate,
    namespace_of,
    programs,
    published,
)

from abctl.platforms import platform
from abctl.spec import load

_GATEWAY_API = "gateway.networking.k8s.io/v1"
_CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
ENTRANCE = "iris.example.com"


class EnvoyGateway(Upstream):
    """It tells proxies what to do on a socket in its folder; each side trusts one certificate."""

    def node(self, namespace):
        return {"id": "proxy", "cluster": f"{namespace}/public"}

    def leads_to(self):
        """Where a proxy finds it, and how it shows who it is."""
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

    def gateway(self, port):
        listener = {"name": "http", "port": port, "protocol": "HTTP"}
        return {
            "apiVersion": _GATEWAY_API,
            "kind": "Gateway",
            "metadata": {"name": "public"},
            "spec": {"gatewayClassName": "envoy", "listeners": [listener]},
        }


@pytest.fixture(scope="module")
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
        "admin": {"address": {"host": HOST, "port": free_ports(1)[0]}},
        "telemetry": {"metrics": {"prometheus": {"disable": True}}},
    }


def _accepted(obj):
    conditions = (obj.get("status") or {}).get("conditions", ())
    return any(c["type"] == "Accepted" and c["status"] == "True" for c in conditions)


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
        objects = [upstream.gateway(self.proxy.port)]
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
        """The weights that the proxy has been told for the split, by variant where it is one.

        A rule has a route for each of its paths: they are told once all of them have the same.
        """
        obj, routes = self.obj(), []
        called = self.platform.upstreams(obj).items()
        for route in self.proxy.routes():
            if self.upstream.splits(route, obj):
                to = route.get("route", {})
                if self.experiment.assignment.unit != "request" and "hash_policy" not in to:
                    continue  # the policy is told after the route
                found = Counter()
                every = to.get("weighted_clusters", {}).get("clusters")
                for cluster in every or [{"name": to.get("cluster", ""), "weight": 1}]:
                    name = cluster["name"]
                    known = [v for v, names in called if any(n in name for n in names)]
                    found[known[0] if known else name] += cluster.get("weight", 0)
                routes.append(+found)
        return routes[0] if routes and all(each == routes[0] for each in routes) else routes

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
            abctl("apply", str(found.file), "--yes", "--timeout", "5m")
            return found

        yield begin


@pytest.fixture
def server(upstream):
    return upstream.server
