"""Credentials that somebody else gives: programs and providers, run by the official client."""

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from certifi import where
from kubernetes.client import Configuration
from kubernetes.config import ConfigException, exec_provider, kube_config

from abctl.cluster.kubeconfig import Entry, unusable
from abctl.waiting import within

_log = logging.getLogger(__name__)
_exec: Any = exec_provider  # which has no types
_config: Any = kube_config
_EARLY = timedelta(minutes=1)  # before a credential expires, another one is fetched
_LONGEST_SECONDS = 30.0
_OF_A_PERSON_SECONDS = 180.0  # who may have to log in; as long as the usual programs wait for it
_KUBECTL = "kubectl uses the same kubeconfig and may say more: kubectl get --raw /version"

Authorization = Callable[[], str | None]
T = TypeVar("T")


def credentials(user: Entry, cluster: Entry) -> tuple[Authorization, tuple[bytes, bytes] | None]:
    """What gives the header of a request, and a certificate with its key.

    Raises:
        UnreachableError: there are none to be had, with the reason.
    """
    if user.values.get("auth-provider"):
        return _of_provider(user), None
    program = _Program(user, cluster)
    return program.authorization, program.certificate


class _Program:
    """A program that gives credentials, and is run again before they expire."""

    def __init__(self, user: Entry, cluster: Entry) -> None:
        self._user, self._cluster = user, cluster
        self._given = self._run()

    def authorization(self) -> str | None:
        if self._expires <= datetime.now(UTC) + _EARLY:
            self._given = self._run()
        token = self._given.get("token")
        return f"Bearer {token}" if token else None

    @property
    def certificate(self) -> tuple[bytes, bytes] | None:
        certificate = self._given.get("clientCertificateData")
        key = self._given.get("clientKeyData")
        return (certificate.encode(), key.encode()) if certificate and key else None

    @property
    def _expires(self) -> datetime:
        stated = self._given.get("expirationTimestamp")
        return datetime.fromisoformat(stated) if stated else datetime.max.replace(tzinfo=UTC)

    def _run(self) -> Mapping[str, Any]:
        said = self._user.values["exec"]
        config = _config.ConfigNode(f"{self._user.words}: exec", said)
        cluster = _config.ConfigNode(self._cluster.words, dict(self._cluster.values))
        _log.info("%s: credentials by the program %s", self._user.words, said.get("command"))
        try:
            provider = _exec.ExecProvider(config, str(self._user.folder), cluster)
            given: Mapping[str, Any] = _in_time(self._user, str(said["command"]), provider.run)
        except (ConfigException, OSError) as error:
            hint = str(said.get("installHint") or _KUBECTL).strip()
            raise _failed(self._user, f"{said.get('command')}: {error}", hint) from None
        if not (given.get("token") or (given.get("clientCertificateData"))):
            raise _failed(self._user, f"{said['command']} gave neither a token nor a certificate")
        return given


def _of_provider(user: Entry) -> Authorization:
    provider = dict(user.values["auth-provider"])
    details = dict(provider.get("config") or {})
    words = f"the auth-provider {provider.get('name')}"
    if "idp-certificate-authority-data" not in details:
        # Without one the client would not verify whom it sends its secret to.
        details.setdefault("idp-certificate-authority", where())
    provider["config"] = details
    merged = {
        "current-context": "-",
        "contexts": [{"name": "-", "context": {"cluster": "-", "user": "-"}}],
        "clusters": [{"name": "-", "cluster": {}}],
        "users": [{"name": "-", "user": {"auth-provider": provider}}],
    }
    configuration = Configuration()
    try:
        loader = _config.KubeConfigLoader(merged, config_base_path=str(user.folder))
        _in_time(user, words, lambda: loader.load_and_set(configuration))
    except (ConfigException, OSError, LookupError, ValueError) as error:
        raise _failed(user, f"auth-provider: {error}") from None

    def authorization() -> str | None:
        # Asked anew each time: a token that is about to expire is renewed here.
        settings: Any = _in_time(user, words, configuration.auth_settings)
        return next((setting["value"] for setting in settings.values()), None)

    if not authorization():
        raise _failed(user, f"{words} gave no token")
    return authorization


def _in_time(user: Entry, words: str, ask: Callable[[], T]) -> T:
    """What somebody else gives.

    A program that is given up on runs on: the client keeps its process, and so its pid, to itself.

    Raises:
        UnreachableError: nothing, in all the time that there is.
    """
    # The client lets a program ask questions where there is a terminal.
    seconds = _OF_A_PERSON_SECONDS if sys.stdout.isatty() else _LONGEST_SECONDS
    try:
        return within(seconds, ask)
    except TimeoutError:
        raise _failed(user, f"{words} gave nothing within {seconds:g} s") from None


def _failed(user: Entry, reason: str, hint: str = _KUBECTL) -> Exception:
    error = unusable(f"{user.words}: {reason}")
    return type(error)(error.message, hint)
