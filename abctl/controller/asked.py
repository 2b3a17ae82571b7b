"""What others are told who drive something by a verdict: Argo Rollouts and Flagger.

    GET  /verdict/NAMESPACE/NAME        what the last look found, as JSON
    POST /gate/GATE/NAMESPACE/NAME      200 where the gate is open, 409 where it is not

The answer is the status of the Experiment object, so every controller gives the same one, and one
that was just started as well. A gate is shut where nobody has looked lately.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from abctl.cluster.askers import may, user_of
from abctl.cluster.kube import ClusterClient
from abctl.controller.serve import Request, Response
from abctl.core.change import Object, Ref
from abctl.core.time import parse_moment
from abctl.errors import EXIT_CODES, ClusterError, NotFoundError
from abctl.session.declared import API_VERSION, KIND

# The verdicts at which each gate is open. The names are those of Flagger's webhooks.
GATES: Mapping[str, frozenset[str]] = {
    "confirm-traffic-increase": frozenset(("continue", "ship")),
    "confirm-promotion": frozenset(("ship",)),
    "rollback": frozenset(("stop",)),
}
_RESOURCE = "experiments"
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_TOLD = ("phase", "verdict", "reason", "codes", "split", "shares", "lastLookAt")
# Looks that may be missing before what the last one found is old.
_LOOKS, _GRACE_SECONDS = 3.0, 60.0


class _RefusalError(Exception):
    """It is not answered, and why."""

    def __init__(self, code: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass(frozen=True)
class Asked:
    """Answers what is asked.

    Args:
        client: to the cluster; what it sleeps is what an asker waits.
        namespaces: whose experiments; of all where empty.
        interval_seconds: between two looks; of one that is over ten times that.
        tokens: whether askers need one; else whoever reaches it may ask.
    """

    client: ClusterClient
    namespaces: Collection[str]
    interval_seconds: float
    tokens: bool = True

    def __call__(self, request: Request) -> Response:
        """The answer to a request, whatever goes wrong."""
        try:
            gate, ref = _parsed(request)
            self._require_allowed(request, ref)
            return self._answer(ref, gate)
        except _RefusalError as refusal:
            code, message = refusal.code, refusal.message
        except NotFoundError as error:
            code, message = HTTPStatus.NOT_FOUND, error.message
        except ClusterError as error:
            code, message = HTTPStatus.SERVICE_UNAVAILABLE, error.message
        return _json(code, {"apiVersion": API_VERSION, "kind": "Refusal", "message": message})

    def _require_allowed(self, request: Request, ref: Ref) -> None:
        if self.tokens:
            # Whoever may not know it is not told whether it is there.
            user = user_of(self.client, request.token) if request.token else None
            if user is None:
                message = "send a token that the API server knows: Authorization: Bearer TOKEN"
                raise _RefusalError(HTTPStatus.UNAUTHORIZED, message)
            if not may(self.client, user, "get", _RESOURCE, ref):
                who, what = user.get("username", ""), f"{_RESOURCE}.abctl.dev {ref.name}"
                message = f"{who} may not get {what} in {ref.namespace}"
                raise _RefusalError(HTTPStatus.FORBIDDEN, message)
        if self.namespaces and ref.namespace not in self.namespaces:
            message = f"this controller works in {', '.join(sorted(self.namespaces))}"
            raise _RefusalError(HTTPStatus.NOT_FOUND, message)

    def _answer(self, ref: Ref, gate: str | None) -> Response:
        obj = self.client.get(ref)
        told = self._told(obj)
        if gate is None:
            return _json(HTTPStatus.OK, told)
        shut = _why_shut(gate, told)
        code = HTTPStatus.CONFLICT if shut else HTTPStatus.OK
        return _json(code, {**told, "gate": gate, "open": not shut, "why": shut})

    def _told(self, obj: Object) -> dict[str, Any]:
        status: Mapping[str, Any] = obj.get("status") or {}
        ref = Ref.of(obj)
        told = {key: status.get(key) for key in _TOLD}
        return {
            "apiVersion": API_VERSION,
            "kind": "Verdict",
            "experiment": ref.name,
            "namespace": ref.namespace,
            **told,
            "exitCode": EXIT_CODES.get(str(told["verdict"])),
            "outdated": self._outdated(obj, status),
        }

    def _outdated(self, obj: Object, status: Mapping[str, Any]) -> str:
        """Why the last look says nothing of now; empty where it does."""
        if not status.get("lastLookAt"):
            return "nobody has looked yet"
        if status.get("observedGeneration") != obj["metadata"].get("generation"):
            return "its spec is newer than the last look"
        ready = [c for c in status.get("conditions") or () if c.get("type") == "Ready"]
        if any(c.get("reason") in ("Starting", "NotStarted") for c in ready):
            return f"the last look could not judge it: {ready[0].get('message')}"
        slower = 10.0 if status.get("phase") == "Completed" else 1.0
        try:
            age_seconds = self.client.now() - parse_moment(str(status["lastLookAt"]))
        except ValueError:
            return "nobody knows when it was looked at"
        if age_seconds > _LOOKS * slower * self.interval_seconds + _GRACE_SECONDS:
            return f"the last look was {age_seconds:.0f} s ago: does the controller run?"
        return ""


def _parsed(request: Request) -> tuple[str | None, Ref]:
    """Which gate is asked for, if any, and of which object."""
    match request.path.strip("/").split("/"):
        case ["verdict", namespace, name]:
            gate, method = None, "GET"
        case ["gate", str() as gate, namespace, name] if gate in GATES:
            method = "POST"
        case _:
            known = ", ".join(f"/gate/{each}/NAMESPACE/NAME" for each in GATES)
            message = f"there is /verdict/NAMESPACE/NAME, {known}"
            raise _RefusalError(HTTPStatus.NOT_FOUND, message)
    if request.method != method:
        raise _RefusalError(HTTPStatus.METHOD_NOT_ALLOWED, f"ask by {method}")
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
        raise _RefusalError(HTTPStatus.BAD_REQUEST, "no name of an object")
    return gate, Ref(API_VERSION, KIND, namespace, name)


def _why_shut(gate: str, told: Mapping[str, Any]) -> str:
    if told["outdated"]:
        return str(told["outdated"])
    if told["verdict"] in GATES[gate]:
        return ""
    wanted = " or ".join(sorted(GATES[gate]))
    return f"the verdict is {told['verdict'] or 'not known'}; {gate} waits for {wanted}"


def _json(code: HTTPStatus, document: Mapping[str, Any]) -> Response:
    return Response(code, "application/json", json.dumps(document).encode() + b"\n")
