"""Who asks abctl something, by their token, and whether they may: the API server says so."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from abctl.cluster import _refusal
from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref

_TOKENS = "authentication.k8s.io/v1"
_ACCESS = "authorization.k8s.io/v1"


def user_of(client: ClusterClient, token: str) -> Mapping[str, Any] | None:
    """Whom the API server takes a token for (TokenReview); None: for nobody.

    Args:
        client: to the cluster, of somebody who may create TokenReviews.
        token: a bearer token.

    Raises:
        ClusterError: it may not be asked, or does not answer.
    """
    status = _ask(client, _TOKENS, "TokenReview", {"token": token})
    if not status.get("authenticated"):
        return None
    user: Mapping[str, Any] = status.get("user") or {}
    return user


def may(client: ClusterClient, user: Mapping[str, Any], verb: str, resource: str, ref: Ref) -> bool:
    """Whether a user may do something (SubjectAccessReview).

    Args:
        client: to the cluster, of somebody who may create SubjectAccessReviews.
        user: as `user_of` gives it.
        verb: of the API, such as get.
        resource: the plural of the object's kind.
        ref: the object.

    Raises:
        ClusterError: it may not be asked, or does not answer.
    """
    asked = {
        "verb": verb,
        "group": ref.api_version.rpartition("/")[0],
        "resource": resource,
        "namespace": ref.namespace,
        "name": ref.name,
    }
    who = {key: user[key] for key in ("uid", "groups", "extra") if key in user}
    spec = {"user": user.get("username", ""), **who, "resourceAttributes": asked}
    return bool(_ask(client, _ACCESS, "SubjectAccessReview", spec).get("allowed"))


def _ask(client: ClusterClient, api: str, kind: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    body = {"apiVersion": api, "kind": kind, "spec": spec}
    path = f"/apis/{api}/{kind.lower()}s"
    code, answer = client._client.ask("POST", path, body=body, done=lambda: None)  # noqa: SLF001
    if code >= HTTPStatus.BAD_REQUEST:
        raise _refusal.of(code, answer, Ref(api, kind, "", ""), client.words)
    status: Mapping[str, Any] = answer.get("status") or {}
    return status
