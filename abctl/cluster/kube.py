"""A Kubernetes cluster.

Objects stay mappings, so no client's models are needed; and as the paths of the API are regular,
what a kind is called in them is only looked up where the usual plural is not known.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from abctl.cluster import Manager, Operations, _access, _refusal
from abctl.cluster._access import Access
from abctl.cluster._client import JSON, ApiClient, Done
from abctl.core.change import Object, Ref, holds, patched
from abctl.errors import (
    ClusterError,
    ConflictError,
    NotFoundError,
    NotReadyError,
    UnreachableError,
)

_JSON_PATCH, _MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"
# It may be that a network policy keeps the API server from it.
_POD_TIMEOUT_SECONDS = 3.0
# Parts of an object that the server writes, and those of its metadata that we do.
_SERVERS, _OWN = ("metadata", "status"), ("labels", "annotations")
_REVIEW = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
# Whatever became of it: sent again, it does no harm.
_MAY_BE_SENT_AGAIN: Done = lambda: None  # noqa: E731
_IDENTITY = "authentication.k8s.io/v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class ClusterClient:
    """A `KubeClient` to a cluster.

    Args:
        kubeconfig: its file; else $KUBECONFIG, ~/.kube/config, or the account of the pod.
        context: of the kubeconfig; its current one if None.
        sleep: waits for some seconds before a request is repeated.
        guard: called before each write; an error of it keeps it from being sent.

    Raises:
        UnreachableError: there is no configuration, or it is wrong.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        guard: Callable[[], None] = lambda: None,
    ) -> None:
        access = _access.find(kubeconfig, context)
        self.namespace, self.words = access.namespace, access.words
        self._client = ApiClient(access, sleep, guard)
        self._plurals: dict[tuple[str, str], str] = {}

    @property
    def access(self) -> Access:
        """The way to the API server, for what it leads to besides objects."""
        return self._client.access

    def now(self) -> float:
        """The clock of the API server, which every answer of it bears."""
        return self._client.now()

    def get(self, ref: Ref) -> Object:
        """Read an object with its status."""
        return self._on("GET", ref)

    def managers(self, ref: Ref) -> Sequence[Manager]:
        """Who has written an object, and when."""
        meta = self._answer("GET", ref).get("metadata") or {}
        return [Manager.of(each) for each in meta.get("managedFields") or ()]

    def create(self, obj: Object) -> Object:
        """Create an object."""
        ref = Ref.of(obj)
        done = self._when(ref, lambda there: _contains(there, _written_part(obj)))
        return self._on("POST", ref, obj=obj, name="", parameters=_writing(), done=done)

    def replace(self, obj: Object) -> Object:
        """Replace it whole, if nobody changed it since it was read."""
        ref = Ref.of(obj)
        if not obj["metadata"].get("resourceVersion"):
            raise ConflictError(f"{ref} has no resourceVersion", "read it first")
        done = self._when(ref, lambda there: _is_next(there, obj))
        return self._on("PUT", ref, obj=obj, parameters=_writing(), done=done)

    def patch(self, ref: Ref, operations: Operations, *, dry_run: bool = False) -> Object:
        """Apply a JSON Patch, all of it or nothing."""
        done = self._when(ref, lambda there: holds(there, operations))
        try:
            return self._on(
                "PATCH",
                ref,
                body=operations,
                content=_JSON_PATCH,
                parameters=_writing(dry_run),
                done=_MAY_BE_SENT_AGAIN if dry_run else done,
            )
        except (NotFoundError, ConflictError, UnreachableError):
            raise
        except ClusterError:
            # The server does not say whether a test failed or a path leads nowhere; we find out.
            try:
                patched(self.get(ref), operations)
            except ClusterError as error:
                raise type(error)(f"{ref}: {error.message}", error.hint) from error
            raise

    def apply(self, obj: Object, *, dry_run: bool = False, force: bool = False) -> Object:
        """Server-side apply as field manager `abctl`."""
        parameters = _writing(dry_run) | ({"force": "true"} if force else {})
        try:
            return self._on(
                "PATCH",
                Ref.of(obj),
                obj=obj,
                content=_APPLY,
                parameters=parameters,
                done=_MAY_BE_SENT_AGAIN,
            )
        except _refusal.OwnConflictError:
            # A shift is another operation of the same manager, which the server tells apart.
            return self.apply(obj, dry_run=dry_run, force=True)

    def delete(self, ref: Ref, *, dry_run: bool = False) -> bool:
        """Delete it; gives whether it was there, which is no error if not."""
        parameters = {"propagationPolicy": "Background", **({"dryRun": "All"} if dry_run else {})}
        done = self._when(ref, lambda there: not there)
        try:
            gone = _MAY_BE_SENT_AGAIN if dry_run else done
            self._on("DELETE", ref, parameters=parameters, done=gone)
        except NotFoundError:
            return False
        return True

    def list(
        self, api_version: str, kind: str, namespace: str, labels: Mapping[str, str]
    ) -> Sequence[Object]:
        """The objects of a kind that have all of the labels, in one request."""
        selector = ",".join(f"{key}={value}" for key, value in labels.items())
        parameters = {"labelSelector": selector} if selector else None
        answer = self._on("GET", Ref(api_version, kind, namespace, ""), parameters=parameters)
        # In a list the server leaves out what all have in common.
        found = [{"apiVersion": api_version, "kind": kind, **item} for item in answer["items"]]
        return [_without_managers(obj) for obj in found]

    def may(self, verb: str, ref: Ref) -> bool:
        """Whether the server would let us, by its own word."""
        kind, _, part = ref.kind.partition("/")
        if (ref.api_version, kind) not in self._plurals:
            self._look_up(replace(ref, kind=kind))
        asked = {
            "verb": verb,
            "group": ref.api_version.rpartition("/")[0],
            "resource": self._plurals[ref.api_version, kind],
            "subresource": part,
            "namespace": ref.namespace,
            # What is yet to be made, or many, has no name that a role could allow.
            "name": "" if verb in ("create", "list") else ref.name,
        }
        body = {**_REVIEW, "spec": {"resourceAttributes": asked}}
        code, answer = self._client.ask("POST", _REVIEWS, body=body, done=_MAY_BE_SENT_AGAIN)
        if code >= HTTPStatus.BAD_REQUEST:
            raise _refusal.of(code, answer, ref, self.words)
        return bool(answer["status"]["allowed"])

    def user(self) -> str:
        """Whom the server takes us for.

        Raises:
            ClusterError: it does not say.
        """
        body = {"apiVersion": _IDENTITY, "kind": "SelfSubjectReview"}
        path = f"/apis/{_IDENTITY}/selfsubjectreviews"
        code, answer = self._client.ask("POST", path, body=body, done=_MAY_BE_SENT_AGAIN)
        if code >= HTTPStatus.BAD_REQUEST:
            raise _refusal.of(code, answer, Ref(_IDENTITY, "SelfSubjectReview", "", ""), self.words)
        known = (answer.get("status") or {}).get("userInfo") or {}
        return str(known.get("username") or "")

    def ask_pod(self, pod: Ref, port: int, path: str) -> dict[str, Any]:
        """What a pod answers to GET, in JSON, asked once through the API server.

        Raises:
            NotReadyError: its port does not answer.
            ClusterError: it may not be asked, or not be reached.
        """
        path = f"{self._path(pod, f'{pod.name}:{port}')}/proxy/{path}"
        code, answer = self._client.ask_once(path, _POD_TIMEOUT_SECONDS)
        if code == HTTPStatus.SERVICE_UNAVAILABLE:
            raise NotReadyError(
                f"{pod} does not answer on port {port}", f"kubectl describe {pod} may say why"
            )
        if code >= HTTPStatus.BAD_REQUEST:
            raise _refusal.of(code, answer, pod, self.words)
        return answer

    def annotate_pod(self, pod: Ref, annotations: Mapping[str, str]) -> None:
        """Give a pod annotations by way of its status: so nobody changes what runs in it.

        Raises:
            NotFoundError: it is gone.
            ClusterError: one may not (`patch pods/status`).
        """
        code, answer = self._client.ask(
            "PATCH",
            f"{self._path(pod, pod.name)}/status",
            body={"metadata": {"annotations": annotations}},
            content=_MERGE_PATCH,
            parameters=_writing(),
            done=_MAY_BE_SENT_AGAIN,
        )
        if code >= HTTPStatus.BAD_REQUEST:
            raise _refusal.of(code, answer, pod, self.words)

    def _on(self, method: str, ref: Ref, **how: Any) -> dict[str, Any]:
        return _without_managers(self._answer(method, ref, **how))

    def _answer(
        self,
        method: str,
        ref: Ref,
        *,
        obj: Object | None = None,
        body: Any = None,
        name: str | None = None,
        content: str = JSON,
        parameters: Mapping[str, str] | None = None,
        done: Done | None = None,
    ) -> dict[str, Any]:
        if obj is not None:
            body = _written_part(obj)
        name = ref.name if name is None else name

        def ask() -> tuple[int, dict[str, Any]]:
            path = self._path(ref, name)
            return self._client.ask(
                method, path, body=body, content=content, parameters=parameters, done=done
            )

        code, answer = ask()
        if _refusal.is_unknown_resource(code, answer):
            self._look_up(ref)
            code, answer = ask()
        if code >= HTTPStatus.BAD_REQUEST:
            raise _refusal.of(code, answer, ref, self.words)
        gone = method == "DELETE" and not answer  # read back, see `_when`
        if not gone and answer.keys().isdisjoint({"metadata", "items"}):
            said = _refusal.Quoted(message=f"no object but {', '.join(answer) or 'nothing'}")
            raise _refusal.not_kubernetes(said, self.words, self.access.server)
        return answer

    def _when(self, ref: Ref, written: Callable[[dict[str, Any]], bool]) -> Done:
        """Reads back whether a write was done; what is not there is an empty object."""

        def done() -> dict[str, Any] | None:
            try:
                there = self._on("GET", ref)
            except NotFoundError:
                there = {}
            return there if written(there) else None

        return done

    def _path(self, ref: Ref, name: str) -> str:
        plural = self._plurals.get((ref.api_version, ref.kind)) or _usual_plural(ref.kind)
        parts = (ref.namespace, plural, name)
        place, resource, last = map(_quoted, parts)
        path = (
            f"{_root(ref)}/namespaces/{place}/{resource}" if place else f"{_root(ref)}/{resource}"
        )
        return f"{path}/{last}" if last else path

    def _look_up(self, ref: Ref) -> None:
        """What the kind is really called in paths."""
        code, answer = self._client.ask("GET", _root(ref))
        if code not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise _refusal.of(code, answer, ref, self.words)
        for resource in answer.get("resources") or ():
            if resource["kind"] == ref.kind and "/" not in resource["name"]:
                self._plurals[(ref.api_version, ref.kind)] = resource["name"]
                return
        raise _refusal.not_installed(ref)


def _root(ref: Ref) -> str:
    return f"/apis/{ref.api_version}" if "/" in ref.api_version else f"/api/{ref.api_version}"


def _quoted(part: str) -> str:
    """A part of a path, which leads nowhere else: `..` would be resolved on the way."""
    return quote(part, safe="", errors="surrogateescape") if part.strip(".") else "%2E" * len(part)


def _usual_plural(kind: str) -> str:
    word = kind.lower()
    if word.endswith("y"):
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith("s") else f"{word}s"


def _writing(dry_run: bool = False) -> dict[str, str]:
    """A field that is unknown is an error, as it would silently be lost."""
    return {
        "fieldManager": _refusal.FIELD_MANAGER,
        "fieldValidation": "Strict",
        **({"dryRun": "All"} if dry_run else {}),
    }


def _written_part(obj: Object) -> dict[str, Any]:
    """The status is the world's to write."""
    return {key: value for key, value in obj.items() if key != "status"}


def _is_next(there: Mapping[str, Any], sent: Object) -> bool:
    """Whether what is there is what was sent, written after it was read."""
    versions = [obj.get("metadata", {}).get("resourceVersion") for obj in (there, sent)]
    if versions[0] == versions[1]:
        return False
    parts = ({k: v for k, v in obj.items() if k not in _SERVERS} for obj in (there, sent))
    own = ({k: o["metadata"].get(k) or {} for k in _OWN} for o in (there, sent))
    return next(parts) == next(parts) and next(own) == next(own)


def _contains(there: Any, sent: Any) -> bool:
    """Whether all that was sent is there; the server adds to it."""
    if isinstance(sent, Mapping) and isinstance(there, Mapping):
        return all(key in there and _contains(there[key], sent[key]) for key in sent)
    if isinstance(sent, list) and isinstance(there, list) and len(sent) == len(there):
        return all(map(_contains, there, sent))
    return bool(there == sent)


def _without_managers(obj: dict[str, Any]) -> dict[str, Any]:
    obj.get("metadata", {}).pop("managedFields", None)
    return obj
