"""Writes the status of objects whose controller abctl is, as a field manager of its own."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from abctl.cluster import _refusal
from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref

MANAGER = "abctl-controller"


def write_status(client: ClusterClient, ref: Ref, uid: str, status: Mapping[str, Any]) -> None:
    """Make it the whole status of an object, unless another one has its name meanwhile.

    Args:
        client: to the cluster.
        ref: the object.
        uid: of it.
        status: what is left out goes.

    Raises:
        ClusterError: it is gone, or the server refuses.
    """
    meta = {"name": ref.name, "namespace": ref.namespace, "uid": uid}
    body = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta, "status": status}
    code, answer = client._client.ask(  # noqa: SLF001 - of this folder
        "PATCH",
        f"{client._path(ref, ref.name)}/status",  # noqa: SLF001 - as above
        body=body,
        content="application/apply-patch+yaml",
        parameters={"fieldManager": MANAGER, "force": "true", "fieldValidation": "Strict"},
        done=lambda: None,
    )
    if code >= HTTPStatus.BAD_REQUEST:
        raise _refusal.of(code, answer, ref, client.words)
