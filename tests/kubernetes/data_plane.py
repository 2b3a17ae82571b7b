"""A real Envoy that is told what to do by a platform's own controller, over xDS.

Behind each variant is a listener of the same Envoy that answers with the variant's name and with
what the request was told. It listens on this machine's own address: Kubernetes takes no loopback
address for an endpoint.
"""

import http.client
import json
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from api_server import DEADLINE_SECONDS, HOST, wait_for

from abctl.local.envoy import command
from abctl.local.ports import free_ports

CONNECTIONS, PIPELINED = 4, 100
_XDS = "xds"
_TYPES = "type.googleapis.com/envoy.extensions"


class Answer(NamedTuple):
    """Who answered, who the proxy says has answered, and what the model server was told.

    Where the proxy itself refused, its status code.
    """

    variant: str
    stamped: str = ""
    randomized: str = ""


class Proxy:
    """A running Envoy of a controller's; `names` answer behind it."""

    def __init__(self, folder, node, leads_to, names):
        self.port, self.admin, *behind = free_ports(2 + len(names))
        self.behind = dict(zip(names, behind, strict=True))
        bootstrap = {
            "node": node,
            "admin": {"address": _at(HOST, self.admin)},
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
                "listeners": [_answering(*each) for each in self.behind.items()],
            },
        }
        self.folder, self.log = folder, folder / "envoy.log"
        argv = command(bootstrap, self.admin, folder).argv
        with self.log.open("wb") as log:
            # A controller has it log every request to its standard output.
            self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=log)

    def stop(self):
        self.process.kill()
        self.process.wait(DEADLINE_SECONDS)

    def until(self, reached, what):
        """Waits until something holds, as long as Envoy is there."""

        def asked():
            assert self.process.poll() is None, f"Envoy has ended: {self.why()}"
            try:
                return reached()
            except OSError:
                return False  # it does not listen yet

        wait_for(asked, what, self.why)

    def why(self):
        return self.log.read_text()[-3000:]

    def ask(self, requests, host, path):
        """The answer to each request, by its headers, over a few connections."""
        parts = [requests[i::CONNECTIONS] for i in range(CONNECTIONS)]
        answers = [None] * len(requests)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for i, part in enumerate(pool.map(lambda p: self._ask(p, host, path), parts)):
                answers[i::CONNECTIONS] = part
        return answers

    def requests_by_cluster(self):
        """How many requests each cluster has had, by Envoy's own count."""
        stats = json.loads(self._get("/stats?format=json&filter=upstream_rq_total"))["stats"]
        return {_cluster(s["name"]): s["value"] for s in stats if "value" in s}

    def clusters(self):
        """What the controller has told of the clusters, by name."""
        dump = json.loads(self._get("/config_dump?resource=dynamic_active_clusters"))
        return {c["cluster"]["name"]: c["cluster"] for c in dump.get("configs", ())}

    def routes(self):
        """The routes that the controller has told, of every virtual host."""
        dump = json.loads(self._get("/config_dump?resource=dynamic_route_configs"))
        tables = [c["route_config"] for c in dump.get("configs", ())]
        return [r for t in tables for v in t.get("virtual_hosts", ()) for r in v["routes"]]

    def answered(self, name):
        """How many requests what is behind a variant has answered."""
        stats = self._get(f"/stats?filter=^http.behind_{name}.downstream_rq_completed$")
        return int(stats.partition(b":")[2])

    def _ask(self, requests, host, path):
        found = []
        while len(found) < len(requests):
            before = len(found)
            found += self._over_one_connection(requests[before:], host, path)
            assert len(found) > before, f"Envoy does not answer: {self.why()}"
        return found

    def _over_one_connection(self, requests, host, path):
        """The answers until Envoy closes it, as it may once it has refused what it was asked."""
        found = []
        with socket.create_connection((HOST, self.port), DEADLINE_SECONDS) as connection:
            for i in range(0, len(requests), PIPELINED):
                batch = requests[i : i + PIPELINED]
                connection.sendall(b"".join(_written(headers, host, path) for headers in batch))
                received = more = b" "
                while received.count(b"\r\n\r\n") < len(batch) and more:
                    received += (more := connection.recv(1 << 16))
                found += map(_read, received.strip(b" ").split(b"\r\n\r\n")[:-1])
                if not more:
                    break
        return found

    def _get(self, path):
        connection = http.client.HTTPConnection(HOST, self.admin, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()


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
        "ports": [{"name": name, "port": port or 1, "protocol": "TCP"}],
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


def _at(address, port):
    return {"socket_address": {"address": address, "port_value": port}}


def _cluster(stat):
    return re.fullmatch(r"cluster\.(.*)\.upstream_rq_total", stat)[1]


def _answering(name, port):
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
    }
    told = {"x-answered-by": name, "x-told": "%REQ(x-ab-randomized)%"}
    answer = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200},
        "response_headers_to_add": [{"header": {"key": k, "value": v}} for k, v in told.items()],
    }
    connections = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": f"behind_{name}",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [answer]}]},
    }
    network = {"name": "envoy.filters.network.http_connection_manager", "typed_config": connections}
    return {
        "name": f"behind_{name}",
        "address": _at(own_address(), port),
        "filter_chains": [{"filters": [network]}],
    }


def _written(headers, host, path):
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nhost: {host}\r\n{lines}\r\n".encode()


def _read(answer):
    headers = dict(re.findall(r"^([a-z-]+): (.*?)\r?$", answer.decode(), re.MULTILINE))
    if "x-answered-by" not in headers:
        return Answer(answer.split()[1].decode())
    return Answer(*(headers.get(n, "") for n in ("x-answered-by", "x-ab-variant", "x-told")))
