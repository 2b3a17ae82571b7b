"""The way to an API server: its address, who one is there, and connections."""

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from abctl.cluster import _credentials, kubeconfig
from abctl.cluster._credentials import Credentials
from abctl.cluster.kubeconfig import Context, Entry, unusable
from abctl.files import read
from abctl.waiting import in_pod

if TYPE_CHECKING:
    from urllib3 import PoolManager

    from abctl.cluster._connections import Connections

_log = logging.getLogger(__name__)
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Access:
    """The way to an API server.

    Attributes:
        server: the address that all paths begin with.
        namespace: where things are, unless somebody says otherwise.
        words: which cluster it is, for people.
        credentials: who one is.
        connections: what its requests go by.
    """

    server: str
    namespace: str
    words: str
    credentials: Credentials
    connections: "Connections"

    @property
    def pool(self) -> "PoolManager":
        """Connections for whoever speaks HTTP with urllib3."""
        return self.connections.pool


def find(path: Path | None, context: str | None) -> Access:
    """The cluster of a kubeconfig, or the one of the pod.

    Args:
        path: the kubeconfig; else $KUBECONFIG, ~/.kube/config, or the account of the pod.
        context: of the kubeconfig; its current one if None.

    Raises:
        UnreachableError: there is no configuration, or it is wrong.
    """
    files = str(path or kubeconfig.files())
    if not files and context is None and in_pod():
        return _of_pod()
    return _of_context(kubeconfig.read(files, context))


def _of_pod() -> Access:
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    here = Entry("the account of this pod", ACCOUNT, {"certificate-authority": "ca.crt"})
    # The kubelet writes a new token long before the old one expires.
    credentials = _credentials.of_file(ACCOUNT / "token")
    credentials.headers()
    try:
        namespace = read(ACCOUNT / "namespace").decode().strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no text"
        raise unusable(f"{here.words}: namespace: {reason}") from None
    return _made(server, namespace, "this pod's cluster", credentials, here)


def _of_context(chosen: Context) -> Access:
    cluster, user = chosen.cluster, chosen.user
    server = (cluster.text("server") or "").rstrip("/")
    if not _is_address(server):
        words = server.rpartition("@")[2]  # before it may be a password
        raise unusable(f"{cluster.words}: the server {words!r} is not an address")
    # Nobody is sent a password of the address, and no message shall have it.
    start, _, rest = server.partition("://")
    server = f"{start}://{rest.rpartition('@')[2]}"
    credentials = _credentials.of_user(user, cluster) if user else Credentials()
    return _made(server, chosen.namespace, f"context {chosen.name}", credentials, cluster)


def _made(
    server: str, namespace: str, words: str, credentials: Credentials, cluster: Entry
) -> Access:
    from abctl.cluster._connections import Connections  # noqa: PLC0415 - urllib3 is slow to import

    secure = server.startswith("https:")
    tls = _credentials.context(cluster, credentials.certificate) if secure else None
    proxy = _credentials.between(server, cluster)
    if proxy:
        _log.info("%s: through the proxy %s", words, urlsplit(proxy).hostname)
    connections = Connections(server, tls, cluster.text("tls-server-name"), proxy)
    return Access(server, namespace, words, credentials, connections)


def _is_address(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
