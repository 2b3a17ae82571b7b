"""Addresses: what is on this machine."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether what is sent to a host never leaves this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
