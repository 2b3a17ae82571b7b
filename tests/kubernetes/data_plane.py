"""A real Envoy that is told what to do by a platform's own controller, over xDS.

What is behind it listens on this machine's own address: Kubernetes takes no loopback address for
an endpoint.
"""

import json
import re
import socket

from answering_envoy import AnsweringEnvoy, listeners
from api_server import HOST
from own_ports import free_ports

_XDS = "xds"
_TYPES = "type.googleapis.com/envoy.extensions"


class Proxy(AnsweringEnvoy):
    """A running Envoy of a controller's; `names` answer behind it."""

    def __init__(self, folder, node, leads_to, names):
        port, admin, *behind = free_ports(2 + len(names))
        self.behind = dict(zip(names, behind, strict=True))
        bootstrap = {
            "node": node,
            "admin": {"address": {"socket_address": {"address": HOST, "port_value": admin}}},
            "dynamic_resources": {
                "ads_config": {
                    "api_type": "DELTA_GRPC",
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": True,
                    "grpc_services": [{"envoy_grpc": {"cluster_name": _XDS}}],
                },
                **dict.fromkeys(("lds_config", "cds_config"), _FROM_CONTROLLER),
            },
            "static_resources": {
                "clusters": [_controller(*leads_to)],
                "listeners": listeners(self.behind, own_address()),
            },
        }
        super().__init__(folder, bootstrap, port, admin)

    def requests_by_cluster(self):
        """How many requests each cluster has had, by Envoy's own count."""
        stats = json.loads(self.get("/stats?format=json&filter=upstream_rq_total"))["stats"]
        return {_cluster(s["name"]): s["value"] for s in stats if "value" in s}

    def clusters(self):
        """What the controller has told of the clusters, by name."""
        dump = json.loads(self.get("/config_dump?resource=dynamic_active_clusters"))
        return {c["cluster"]["name"]: c["cluster"] for c in dump.get("configs", ())}

    def routes(self):
        """The routes that the controller has told, of every virtual host."""
        dump = json.loads(self.get("/config_dump?resource=dynamic_route_configs"))
        tables = [c["route_config"] for c in dump.get("configs", ())]
        return [r for t in tables for v in t.get("virtual_hosts", ()) for r in v["routes"]]


def idle_timeout(cluster):
    """How long a cluster keeps a connection that is not used."""
    options = cluster.get("typed_extension_protocol_options", {}).get(_HTTP, {})
    return options.get("common_http_protocol_options", {}).get("idle_timeout")


def own_address():
    """An address of this machine that is no loopback address; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.connect(("192.0.2.1", 9))
        return found.getsockname()[0]


def endpoints(service, port, name="http"):
    """What would be written of the one pod of a Service; without a port none is ready."""
    ready = [] if port is None else [{"addresses": [own_address()], "conditions": _READY}]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        # One listener of Envoy answers both.
        "ports": [
            {"name": each, "port": port or 1, "protocol": "TCP"}
            for each in ((name, "grpc") if name == "http" else (name,))
        ],
        "endpoints": ready,
    }


def _controller(address, transport_socket):
    return {
        "name": _XDS,
        "typed_extension_protocol_options": _HTTP2,
        "load_assignment": {
            "cluster_name": _XDS,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "transport_socket": transport_socket,
    }


_READY = {"ready": True, "serving": True, "terminating": False}
_FROM_CONTROLLER = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_HTTP2 = {
    _HTTP: {
        "@type": f"{_TYPES}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
}


def _cluster(stat):
    return re.fullmatch(r"cluster\.(.*)\.upstream_rq_total", stat)[1]
