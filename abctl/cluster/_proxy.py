"""Which proxy is between us and an API server: by the rules of kubectl."""

import os
from urllib.parse import SplitResult, urlsplit

from abctl.cluster.kubeconfig import Entry


def between(server: str, cluster: Entry) -> str | None:
    """The proxy of a cluster's kubeconfig, else that of the environment; None for none."""
    return cluster.text("proxy-url") or _of_environment(urlsplit(server))


def _of_environment(server: SplitResult) -> str | None:
    for name in (f"{server.scheme.upper()}_PROXY", f"{server.scheme}_proxy"):
        if proxy := os.environ.get(name):
            exempt = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
            return None if _is_exempt(server, exempt) else proxy
    return None


def _is_exempt(server: SplitResult, rules: str) -> bool:
    """Whether no proxy is used, by the rules of Go, which are kubectl's."""
    from ipaddress import ip_address, ip_network  # noqa: PLC0415 - few have a proxy

    host = (server.hostname or "").rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    if host == "localhost" or (address and address.is_loopback):
        return True
    port = server.port or (443 if server.scheme == "https" else 80)
    for rule in filter(None, (word.strip().lower() for word in rules.split(","))):
        name = rule.removesuffix(f":{port}")
        if address:
            try:
                matches = address in ip_network(name.strip("[]"), strict=False)
            except ValueError:
                matches = False
        else:
            name = name.removeprefix("*")
            matches = host == name or host.endswith(f".{name.removeprefix('.')}")
        if rule == "*" or matches:
            return True
    return False
