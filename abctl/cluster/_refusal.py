"""What the Kubernetes API says when it does not do as it is told, in words for people."""

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from http.client import responses
from typing import Any

from abctl import foreign
from abctl.core.change import Ref
from abctl.errors import ClusterError, ConflictError, NoPlaceError, NotFoundError, UnreachableError

FIELD_MANAGER = "abctl"
# The server did not act, or may act when it is asked again.
_TRY_AGAIN = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_FORBIDDEN = re.compile(r'cannot (\S+) resource "([^"]+)"(?: in API group "([^"]*)")?')
_MANAGER = re.compile(r'conflict with "([^"]*)"')
_MOST_FIELDS = 4  # that are named
_REFUSED = (
    "the reason is the server's: change what it names; --diff --dry-run=client of apply, shift, "
    "promote and rollback shows what would be sent"
)
# Words of the API server: an admission webhook did not answer, so nothing was written.
_WEBHOOK = re.compile(r'failed calling webhook "([^"]*)"')
_NO_SUCH_RESOURCE = "the server could not find the requested resource"


class OwnConflictError(ConflictError):
    """What is applied conflicts with what abctl itself has set, by another operation."""


class Quoted(dict[str, Any]):
    """What is no object at all: its words as the message of one."""


def said(body: bytes) -> dict[str, Any]:
    """The object of an answer, such as a `Status`; a proxy in between may say anything else."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    return Quoted({"message": foreign.said(body.decode(errors="replace"))})


def is_temporary(code: int, status: Mapping[str, Any]) -> bool:
    """Whether the same request may succeed a little later."""
    return code in _TRY_AGAIN or (
        code == HTTPStatus.INTERNAL_SERVER_ERROR and status.get("reason") == "InternalError"
    )


def may_be_done(code: int, status: Mapping[str, Any]) -> bool:
    """Whether a write that was answered so may have been done all the same."""
    if _WEBHOOK.search(str(status.get("message", ""))):
        return False
    return is_temporary(code, status) and code != HTTPStatus.TOO_MANY_REQUESTS


def is_unknown_resource(code: int, status: Mapping[str, Any]) -> bool:
    """Whether the server does not know the kind at all, as opposed to an object of it."""
    message = str(status.get("message", ""))
    unknown = message in (_NO_SUCH_RESOURCE, "404 page not found")
    return code == HTTPStatus.NOT_FOUND and unknown


def of(code: int, status: Mapping[str, Any], ref: Ref, context: str) -> ClusterError:
    """The error for an answer that is no success."""
    message = str(status.get("message") or responses.get(code, "no reason given"))
    if found := _WEBHOOK.search(message):
        return ClusterError(
            f"{ref} is refused ({code}): {message}",
            f"the webhook {found[1]} must answer first: do its pods run?",
        )
    if is_temporary(code, status):
        return UnreachableError(
            f"{context}: the API server failed with {code} ({message})",
            "try again; what was begun is finished or reverted by the next command",
        )
    match code:
        case HTTPStatus.UNAUTHORIZED:
            error = ClusterError(
                f"{context}: the API server does not know you (401 {message})",
                "the token or certificate has expired or is wrong: log in again",
            )
        case HTTPStatus.FORBIDDEN:
            error = ClusterError(message, _permission(message, ref))
        case HTTPStatus.NOT_FOUND:
            error = _not_found(message, status, ref)
        case HTTPStatus.CONFLICT:
            error = _conflict(status, ref)
        case _:
            error = ClusterError(f"{ref} is refused ({code}): {message}", _REFUSED)
    return error


def not_kubernetes(answer: Quoted, words: str, server: str) -> UnreachableError:
    """Something else answers there."""
    return UnreachableError(
        f"{words}: {server} does not answer like an API server: {answer['message'] or 'nothing'}",
        "is it the server of the kubeconfig, or does a proxy or a login page answer for it?",
    )


def not_installed(ref: Ref) -> NoPlaceError:
    """The cluster does not know the kind."""
    return NoPlaceError(
        f"the cluster knows no {ref.kind} of {ref.api_version}, so there is no {ref}",
        "its CRD is not installed there; `kubectl api-resources` lists what is",
    )


def _not_found(message: str, status: Mapping[str, Any], ref: Ref) -> NotFoundError:
    if (status.get("details") or {}).get("kind") == "namespaces":
        return NoPlaceError(message, f"kubectl create namespace {ref.namespace}")
    # Its usual words only say the same once more.
    more = "" if message.endswith(f'"{ref.name}" not found') else f" ({message})"
    return NotFoundError(
        f"no {ref} in namespace {ref.namespace}{more}",
        f"kubectl get {ref.kind.lower()} -n {ref.namespace} lists what is there; "
        "abctl apply FILE makes it",
    )


def _permission(message: str, ref: Ref) -> str:
    """What to ask for; other words are an admission webhook's, or a policy's."""
    if not (match := _FORBIDDEN.search(message)):
        return "no lack of rights but a rule of the cluster: change the object, or ask who made it"
    verb, resource, group = match.groups()
    full = f"{resource}.{group}" if group else resource
    return f"ask for a Role in {ref.namespace} that may {verb} {full}"


def _conflict(status: Mapping[str, Any], ref: Ref) -> ConflictError:
    causes = (status.get("details") or {}).get("causes") or []
    if any(cause.get("reason") == "FieldManagerConflict" for cause in causes):
        return _managed(ref, causes)
    if status.get("reason") == "AlreadyExists":
        return ConflictError(f"{ref} exists already", "somebody else has just made it: try again")
    return ConflictError(f"{ref} was changed by somebody else", "read it again")


def _managed(ref: Ref, causes: Iterable[Mapping[str, str]]) -> ConflictError:
    """Fields that another field manager has set otherwise."""
    fields: dict[str, list[str]] = {}
    for cause in causes:
        found = _MANAGER.match(cause.get("message", ""))
        manager = found[1] if found else "somebody else"
        fields.setdefault(manager, []).append(cause.get("field", "").removeprefix("."))
    if fields.keys() == {FIELD_MANAGER}:
        return OwnConflictError(f"{ref}: set by another operation of {FIELD_MANAGER}", "try again")
    parts = []
    for manager in sorted(fields.keys() - {FIELD_MANAGER}):
        named, rest = fields[manager][:_MOST_FIELDS], fields[manager][_MOST_FIELDS:]
        more = f" and {len(rest)} more" if rest else ""
        parts.append(f"{manager} has set {', '.join(named)}{more}")
    return ConflictError(
        f"{ref}: {'; '.join(parts)}",
        "agree with them, or --force: abctl takes over the fields that it renders, no others",
    )
