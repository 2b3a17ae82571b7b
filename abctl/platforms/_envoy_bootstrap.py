"""Envoy's static configuration: one listener, one cluster a variant, routes from a watched file."""

from collections.abc import Mapping
from typing import Any

from abctl.core.experiment import Experiment

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


def bootstrap(
    experiment: Experiment,
    *,
    listen: int,
    admin: int,
    upstreams: Mapping[str, tuple[str, int]],
    routes_dir: str,
    host: str = "127.0.0.1",
) -> dict[str, Any]:
    """A complete bootstrap (v3, JSON).

    Args:
        experiment: its name is the name of the routes.
        listen: port of the traffic.
        admin: port of Envoy's admin interface.
        upstreams: host and port of each variant's model server.
        routes_dir: the directory that holds routes.json; replaced by rename, noticed at once.
        host: the address that both ports are bound to.
    """
    return {
        "node": {"id": experiment.name, "cluster": experiment.namespace},
        "admin": {"address": _address(host, admin)},
        "stats_flush_interval": "1s",
        "stats_config": {
            "histogram_bucket_settings": [
                {"match": {"suffix": "upstream_rq_time"}, "buckets": list(LATENCY_BUCKETS_MS)}
            ]
        },
        "static_resources": {
            "listeners": [
                {
                    "name": experiment.name,
                    "address": _address(host, listen),
                    "filter_chains": [{"filters": [_connections(experiment.name, routes_dir)]}],
                }
            ],
            "clusters": [_cluster(variant, *where) for variant, where in upstreams.items()],
        },
    }


def _connections(name: str, routes_dir: str) -> dict[str, Any]:
    router = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
    }
    source = {"path": f"{routes_dir}/{ROUTES_FILE}", "watched_directory": {"path": routes_dir}}
    kind = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": f"{_TYPES}.{kind}",
            "stat_prefix": STAT_PREFIX,
            "common_http_protocol_options": {"max_connection_duration": _CONNECTION_DURATION},
            # An answer says that it is the last one; else a request may meet the end.
            "http1_safe_max_connection_duration": True,
            "rds": {
                "route_config_name": name,
                "config_source": {"resource_api_version": "V3", "path_config_source": source},
            },
            "http_filters": [router],
        },
    }


def _cluster(variant: str, host: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(host, port)}}
    return {
        "name": variant,
        "type": "STRICT_DNS",
        "connect_timeout": "1s",
        # A pod that ends takes more than three requests, the default, with it.
        "circuit_breakers": {"thresholds": [{"max_retries": _MAX_RETRIES}]},
        "load_assignment": {
            "cluster_name": variant,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPES}.extensions.upstreams.http.v3.HttpProtocolOptions",
                # Model servers close idle connections after 5 s, and every one when they end: Envoy
                # must be first, and find out soon who else is there.
                "common_http_protocol_options": {
                    "idle_timeout": "4s",
                    "max_connection_duration": "5s",
                },
                "explicit_http_config": {"http_protocol_options": {}},
            }
        },
    }


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}
