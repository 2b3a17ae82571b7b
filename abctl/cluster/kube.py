"""A Kubernetes cluster, by the official client's configuration and connections.

Objects stay mappings, so none of the client's models is needed; and as the paths of the API are
regular, what a kind is called in them is only looked up where the usual plural is not known.
"""

import json
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import yaml
from kubernetes import config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

from abctl import __version__
from abctl.cluster import _refusal
from abctl.cluster.kubeconfig import files as kubeconfig_files
from abctl.cluster.kubeconfig import in_pod
from abctl.core.change import Object, Ref, patched
from abctl.errors import ClusterError, ConflictError, NotFoundError, UnreachableError

_config: Any = config  # which has no types
_TIMEOUT_SECONDS = 15.0
_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6)
_LONGEST_PAUSE_SECONDS = 10.0
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_JSON, _JSON_PATCH = "application/json", "application/json-patch+json"
_APPLY = "application/apply-patch+yaml"


class KubeDoor:
    """A `Door` to a cluster.

    Args:
        kubeconfig: its file; else $KUBECONFIG, ~/.kube/config, or the account of the pod.
        context: of the kubeconfig; its current one if None.
        sleep: waits for some seconds before a request is repeated.

    Raises:
        UnreachableError: there is no configuration, or it is wrong.
    """

    def __init__(
        self,
        *,
        kubeconfig: Path | None = None,
        context: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._configuration, self.namespace, self.words = _configure(kubeconfig, context)
        self._client = ApiClient(self._configuration)
        self._sleep = sleep
        self._answered = False
        self._plurals: dict[tuple[str, str], str] = {}

    def get(self, ref: Ref) -> Object:
        """Read an object with its status."""
        return self._on("GET", ref)

    def create(self, obj: Object) -> Object:
        """Create an object."""
        ref = Ref.of(obj)
        return self._on("POST", ref, obj=obj, name="", parameters=_writing())

    def replace(self, obj: Object) -> Object:
        """Replace it whole, if nobody changed it since it was read."""
        ref = Ref.of(obj)
        if not obj["metadata"].get("resourceVersion"):
            raise ConflictError(f"{ref} has no resourceVersion", "read it first")
        return self._on("PUT", ref, obj=obj, parameters=_writing())

    def patch(self, ref: Ref, operations: list[dict[str, Any]], *, dry_run: bool = False) -> Object:
        """Apply a JSON Patch, all of it or nothing."""
        try:
            return self._on(
                "PATCH", ref, body=operations, content=_JSON_PATCH, parameters=_writing(dry_run)
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
            return self._on("PATCH", Ref.of(obj), obj=obj, content=_APPLY, parameters=parameters)
        except _refusal.OwnConflictError:
            # A shift is another operation of the same manager, which the server tells apart.
            return self.apply(obj, dry_run=dry_run, force=True)

    def delete(self, ref: Ref) -> None:
        """Delete it; that it is gone already is no error."""
        try:
            self._on("DELETE", ref, parameters={"propagationPolicy": "Background"})
        except NotFoundError:
            return

    def _on(
        self,
        method: str,
        ref: Ref,
        *,
        obj: Object | None = None,
        body: Any = None,
        name: str | None = None,
        content: str = _JSON,
        parameters: Mapping[str, str] | None = None,
    ) -> Object:
        if obj is not None:
            body = _written_part(obj)
        text = None if body is None else json.dumps(body).encode()
        name = ref.name if name is None else name
        code, answer = self._ask(method, self._path(ref, name), text, content, parameters or {})
        if _refusal.is_unknown_resource(code, answer):
            self._look_up(ref)
            code, answer = self._ask(method, self._path(ref, name), text, content, parameters or {})
        if code >= HTTPStatus.BAD_REQUEST:
            raise _refusal.of(code, answer, ref, self.words)
        answer.get("metadata", {}).pop("managedFields", None)
        return answer

    def _path(self, ref: Ref, name: str) -> str:
        plural = self._plurals.get((ref.api_version, ref.kind)) or _usual_plural(ref.kind)
        parts = (ref.namespace, plural, name)
        place, resource, last = (quote(part, safe="") for part in parts)
        path = f"{_root(ref)}/namespaces/{place}/{resource}"
        return f"{path}/{last}" if last else path

    def _look_up(self, ref: Ref) -> None:
        """What the kind is really called in paths."""
        code, answer = self._ask("GET", _root(ref), None, _JSON, {})
        if code not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise _refusal.of(code, answer, ref, self.words)
        for resource in answer.get("resources") or ():
            if resource["kind"] == ref.kind and "/" not in resource["name"]:
                self._plurals[(ref.api_version, ref.kind)] = resource["name"]
                return
        raise _refusal.not_installed(ref)

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        content: str,
        parameters: Mapping[str, str],
    ) -> tuple[int, dict[str, Any]]:
        """The answer's code and content; what may pass is tried again, with growing pauses."""
        url = f"{self._configuration.host.rstrip('/')}{path}"
        if parameters:
            url += f"?{urlencode(parameters)}"
        for pause in (*_PAUSES_SECONDS, None):
            try:
                answer = self._client.rest_client.pool_manager.request(
                    method,
                    url,
                    body=body,
                    headers=self._headers(content if body else None),
                    timeout=_TIMEOUT_SECONDS,
                    retries=False,
                    redirect=False,
                )
            except HTTPError as error:
                refused = isinstance(error, NewConnectionError | MaxRetryError)
                # Where nobody ever answered, waiting is of no use; and of a write that was cut off
                # nobody knows whether it was done.
                if pause is None or not self._answered or not (refused or method == "GET"):
                    raise self._unreachable(error) from error
            else:
                self._answered = True
                status = _refusal.said(answer.data)
                if pause is None or not _refusal.is_temporary(answer.status, status):
                    return answer.status, status
                pause = max(pause, _retry_after_seconds(answer.headers))  # noqa: PLW2901
            self._sleep(pause)
        raise AssertionError  # the last round returns or raises

    def _headers(self, content: str | None) -> dict[str, str]:
        headers = {"Accept": _JSON, "User-Agent": f"abctl/{__version__}"}
        if content:
            headers["Content-Type"] = content
        # Asked anew each time: a token that is about to expire is renewed here.
        settings: Any = self._configuration.auth_settings()
        headers |= {setting["key"]: setting["value"] for setting in settings.values()}
        return headers

    def _unreachable(self, error: HTTPError) -> UnreachableError:
        reason = str(error).rpartition(": ")[2] or type(error).__name__
        return UnreachableError(
            f"{self.words}: no answer from {self._configuration.host} ({reason})",
            "is it the right context (kubectl config get-contexts), and does the cluster run? "
            "What was begun is finished or reverted by the next command",
        )


def _configure(kubeconfig: Path | None, context: str | None) -> tuple[Configuration, str, str]:
    """The client's configuration, the namespace of the context, and what it is called."""
    configuration, files = Configuration(), str(kubeconfig or kubeconfig_files())
    if kubeconfig and not kubeconfig.is_file():
        raise UnreachableError(f"no kubeconfig {kubeconfig}", "name another one with --kubeconfig")
    try:
        if not files and context is None and in_pod():
            _config.load_incluster_config(client_configuration=configuration)
            return configuration, (_ACCOUNT / "namespace").read_text(), "this pod's cluster"
        merged = _config.kube_config.KubeConfigMerger(files).config if files else None
        loader = _config.kube_config.KubeConfigLoader(config_dict=merged, active_context=context)
        loader.load_and_set(configuration)
        chosen = loader.current_context
    except (ConfigException, yaml.YAMLError, OSError, LookupError, TypeError, ValueError) as error:
        # A file that is no YAML would be quoted, with the secrets in it.
        reason = "not YAML" if isinstance(error, yaml.YAMLError) else str(error)
        reason = reason if files else "no kubeconfig"
        raise UnreachableError(
            f"no cluster: {f'{files}: ' if files else ''}{reason}",
            "name a kubeconfig with --kubeconfig or KUBECONFIG, and a context with --context",
        ) from None
    details = chosen["context"]
    return configuration, details.get("namespace") or "default", f"context {chosen['name']}"


def _root(ref: Ref) -> str:
    return f"/apis/{ref.api_version}" if "/" in ref.api_version else f"/api/{ref.api_version}"


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


def _retry_after_seconds(headers: Mapping[str, str]) -> float:
    given = headers.get("Retry-After", "")
    return min(float(given), _LONGEST_PAUSE_SECONDS) if given.isdecimal() else 0.0
