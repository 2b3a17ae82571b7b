"""The way to an API server: its address, who one is there, and connections."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from urllib3 import PoolManager

from abctl.cluster import _login, kubeconfig
from abctl.cluster._login import Login
from abctl.cluster._pool import pool
from abctl.cluster.kubeconfig import Context, Entry, unusable

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class Access:
    """The way to an API server.

    Attributes:
        server: the address that all paths begin with.
        namespace: where things are, unless somebody says otherwise.
        words: which cluster it is, for people.
        login: who one is.
        pool: of connections.
    """

    server: str
    namespace: str
    words: str
    login: Login
    pool: PoolManager


def find(path: Path | None, context: str | None) -> Access:
    """The cluster of a kubeconfig, or the one of the pod.

    Args:
        path: the kubeconfig; else $KUBECONFIG, ~/.kube/config, or the account of the pod.
        context: of the kubeconfig; its current one if None.

    Raises:
        UnreachableError: there is no configuration, or it is wrong.
    """
    if path and not path.is_file():
        raise unusable(f"no kubeconfig {path}")
    files = str(path or kubeconfig.files())
    if not files and context is None and kubeconfig.in_pod():
        return _of_pod()
    return _of_context(kubeconfig.read(files, context))


def _of_pod() -> Access:
    host, port = (os.environ.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    here = Entry("the account of this pod", ACCOUNT, {"certificate-authority": "ca.crt"})
    # The kubelet writes a new token long before the old one expires.
    login = _login.of_file(ACCOUNT / "token")
    login.headers()
    try:
        namespace = (ACCOUNT / "namespace").read_text().strip()
    except OSError as error:
        raise unusable(f"{here.words}: {error.strerror}") from None
    return Access(server, namespace, "this pod's cluster", login, pool(server, here, None))


def _of_context(chosen: Context) -> Access:
    cluster, user = chosen.cluster, chosen.user
    server = (cluster.text("server") or "").rstrip("/")
    if urlsplit(server).scheme not in ("http", "https") or not urlsplit(server).hostname:
        raise unusable(f"{cluster.words}: the server {server!r} is no address")
    login = _login.of_user(user, cluster) if user else Login()
    connections = pool(server, cluster, login.certificate)
    return Access(server, chosen.namespace, f"context {chosen.name}", login, connections)
