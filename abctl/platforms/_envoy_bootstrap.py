"""Envoy's static configuration: one listener, clusters of variants, routes from a watched file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from abctl.core.experiment import Experiment
from abctl.platforms import _entrance, _envoy_log
from abctl.platforms._entrance import ASIDE, GRPC
from abctl.platforms._envoy_routes import COLLECTOR, PATH, RANDOMIZED

ROUTES_FILE = "routes.json"
STAT_PREFIX = "ab"
# Fine where models answer; Envoy measures whole milliseconds.
LATENCY_BUCKETS_MS = (
    *(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 17, 20, 25, 30, 35, 40, 50, 60, 70, 80, 100),
    *(120, 140, 170, 200, 250, 300, 400, 500, 700, 1000, 1400, 2000, 3000, 5000, 10000, 20000),
)
_MAX_RETRIES = 100  # at a time
# Half of what a pod takes to leave (_workload.LEAVE): a connection in use is elsewhere by then.
_CONNECTION_DURATION = "10s"
_TYPES = "type.googleapis.com/envoy"
_HTTP = "envoy.filters.http"
# What a client could tell Envoy's router to do, with names of its own in the statistics.
_ORDERS = (
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-decorator-operation",
    "x-envoy-max-retries",
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-retriable-status-codes",
    "x-envoy-retriable-header-names",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
)
# What an entrance lets in is one expression, about 250 by RE2's count; Envoy refuses over 100.
_RUNTIME = {"re2.max_program_size.error_level": 1000}
# Model servers close idle connections after 5 s, and every one when they end: Envoy must be first,
# and find out soon who else is there.
_BRIEF = {
    "common_http_protocol_options": {"idle_timeout": "4s", "max_connection_duration": "5s"},
}
# No variant is called so.
_ADMIN = "_admin"

Json = dict[str, Any]
Address = tuple[str, int]


@dataclass(frozen=True)
class Others:
    """Whoever Envoy sends to besides model servers.

    >>> Others(collector=("collector", 8090)).log is None
    True

    Attributes:
        collector: host and port of it; without one a model server passes feedback on.
        log: whoever counts the access log: host and port, or the name of an abstract socket;
            without one there is no log.
    """

    collector: Address | None = None
    log: Address | str | None = None


def bootstrap(
    experiment: Experiment,
    *,
    listen: int,
    admin: int,
    upstreams: Mapping[str, Address],
    routes_dir: str,
    grpc: Mapping[str, Address] | None = None,
    others: Others | None = None,
    host: str = "127.0.0.1",
) -> Json:
    """A complete bootstrap (v3, JSON).

    Args:
        experiment: its name is the name of the routes.
        listen: port of the traffic.
        admin: port of what Envoy tells of itself: readiness, counters and routes, to read.
        upstreams: host and port of each variant's model server.
        routes_dir: the directory that holds routes.json; replaced by rename, noticed at once.
        grpc: the same as `upstreams` for gRPC, where that is another port.
        others: whoever else it sends to.
        host: the address that both ports are bound to.
    """
    others = others or Others()
    # Without a port, so nobody out there can end Envoy; it is of the pod's network, or the machine.
    socket = {"pipe": {"path": f"@abctl-{admin}"}}
    names = experiment.split.names
    clusters = [_cluster(variant, where) for variant, where in upstreams.items()]
    clusters += [_cluster(name + ASIDE, upstreams[name]) for name in names]
    if experiment.outcomes:
        takes = others.collector or upstreams[experiment.split.control]
        clusters.append(_cluster(COLLECTOR, takes))
    if _entrance.grpc(experiment):
        places = upstreams if grpc is None else grpc
        clusters += [_grpc_cluster(name + GRPC, where) for name, where in places.items()]
        clusters += [_grpc_cluster(name + GRPC + ASIDE, places[name]) for name in names]
    if (log := others.log) is not None:
        reader = {"pipe": {"path": f"@{log}"}} if isinstance(log, str) else _address(*log)
        clusters.append({**_around(_envoy_log.CLUSTER, reader), **_http2({})})
    return {
        "node": {"id": experiment.name, "cluster": "abctl"},
        "admin": {"address": socket},
        "layered_runtime": {"layers": [{"name": "abctl", "static_layer": _RUNTIME}]},
        "stats_flush_interval": "1s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": list(LATENCY_BUCKETS_MS)}
            ]
        },
        "static_resources": {
            "listeners": [
                _entrance_listener(experiment, (host, listen), routes_dir, logs=log is not None),
                _listener(_ADMIN, (host, admin), [_chain(_asked())]),
            ],
            "clusters": [*clusters, _around(_ADMIN, socket)],
        },
    }


def _listener(name: str, where: Address, chains: list[Json]) -> Json:
    return {"name": name, "address": _address(*where), "filter_chains": chains}


def _chain(connections: Json) -> Json:
    kind = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    manager = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {"@type": f"{_TYPES}.{kind}", **connections},
    }
    return {"filters": [manager]}


def _entrance_listener(
    experiment: Experiment, where: Address, routes_dir: str, *, logs: bool
) -> Json:
    traffic = _traffic(experiment, routes_dir)
    if logs:
        traffic["access_log"] = [_envoy_log.access_log(experiment.assignment.key)]
    # In use, a connection of HTTP/1.1 ends with an answer, which says so. One of HTTP/2 has other
    # requests under way, and there are clients that lose them at a GOAWAY (httpx); it ends idle.
    often = {
        "common_http_protocol_options": {"max_connection_duration": _CONNECTION_DURATION},
        "http1_safe_max_connection_duration": True,
    }
    seldom = {"filter_chain_match": {"application_protocols": ["h2c"]}, **_chain(traffic)}
    kind = f"{_TYPES}.extensions.filters.listener.http_inspector.v3.HttpInspector"
    inspector = {
        "name": "envoy.filters.listener.http_inspector",
        "typed_config": {"@type": kind},
    }
    chains = [seldom, _chain({**traffic, **often})]
    return {**_listener(experiment.name, where, chains), "listener_filters": [inspector]}


def _traffic(experiment: Experiment, routes_dir: str) -> Json:
    source = {"path": f"{routes_dir}/{ROUTES_FILE}", "watched_directory": {"path": routes_dir}}
    return {
        "stat_prefix": STAT_PREFIX,
        "http_protocol_options": {
            "accept_http_10": True,
            "default_host_for_http_10": experiment.name,
        },
        # Else a path could be one thing here, and another one to a model server.
        "normalize_path": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "early_header_mutation_extensions": [_as_one(experiment)],
        "rds": {
            "route_config_name": experiment.name,
            "config_source": {"resource_api_version": "V3", "path_config_source": source},
        },
        "http_filters": [
            _filter("grpc_stats", "FilterConfig", stats_for_all_methods=False),
            _filter("buffer", "Buffer", max_request_bytes=_entrance.MOST_BODY_BYTES),
            _filter("router", "Router"),
        ],
    }


def _as_one(experiment: Experiment) -> Json:
    """What a header means is the first value that it was sent with, here and to model servers."""
    rules = experiment.assignment
    names = [rules.key, rules.override, *(cohort.header for cohort in rules.cohorts)]
    once = [
        {
            "append": {
                "header": {"key": name, "value": f"%REQ({name})%"},
                "append_action": "OVERWRITE_IF_EXISTS",
            }
        }
        for name in dict.fromkeys(filter(None, names))
    ]
    kind = "extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
    mutations = [*({"remove": name} for name in (*_ORDERS, RANDOMIZED)), *once]
    return {
        "name": "envoy.http.early_header_mutation.header_mutation",
        "typed_config": {"@type": f"{_TYPES}.{kind}", "mutations": mutations},
    }


def _filter(name: str, kind: str, **settings: object) -> Json:
    config = {"@type": f"{_TYPES}.extensions.filters.http.{name}.v3.{kind}", **settings}
    return {"name": f"{_HTTP}.{name}", "typed_config": config}


def _asked() -> Json:
    """The pages that Envoy's own admin has for readers; others could end it."""
    loaded = [
        {"name": name, "string_match": {"exact": value}}
        for name, _, value in [PATH.partition("?")[2].partition("=")]
    ]
    pages: list[Json] = [
        {"path": "/ready"},
        {"path": "/stats"},
        {"path": "/stats/prometheus"},
        {"path": f"/{PATH.partition('?')[0]}", "query_parameters": loaded},
    ]
    reading = [{"name": ":method", "string_match": {"exact": "GET"}}]
    return {
        "stat_prefix": _ADMIN,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": _ADMIN,
                    "domains": ["*"],
                    "routes": [
                        {"match": {**page, "headers": reading}, "route": {"cluster": _ADMIN}}
                        for page in pages
                    ],
                }
            ]
        },
        "http_filters": [_filter("router", "Router")],
    }


def _cluster(name: str, where: Address) -> Json:
    spoken: Json = {"http_protocol_options": {}}
    return {**_around(name, _address(*where)), **_spoken(spoken, **_BRIEF)}


def _grpc_cluster(name: str, where: Address) -> Json:
    return {**_around(name, _address(*where)), **_http2(_BRIEF)}


def _around(name: str, address: Json) -> Json:
    # In its name for counters a dot would end what they call the cluster.
    counted = {"alt_stat_name": name.replace(".", "_")} if "." in name else {}
    return {
        "name": name,
        **counted,
        "type": "STATIC" if "pipe" in address else "STRICT_DNS",
        "connect_timeout": "1s",
        # A pod that ends takes more than three requests, the default, with it.
        "circuit_breakers": {"thresholds": [{"max_retries": _MAX_RETRIES}]},
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _http2(common: Json) -> Json:
    return _spoken({"http2_protocol_options": {}}, **common)


def _spoken(protocol: Json, **common: object) -> Json:
    return {
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                **common,
                "explicit_http_config": protocol,
            }
        },
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}
