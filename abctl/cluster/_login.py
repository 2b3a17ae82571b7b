"""Who talks to a cluster: what a kubeconfig or a pod says about it, as headers and certificates."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from abctl.cluster.kubeconfig import Entry, unusable
from abctl.files import read as read_file

Certificate = tuple[Path | bytes, Path | bytes]
Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Login:
    """How to say who one is.

    Attributes:
        authorization: gives the value of the header, anew for each request; None for no header.
        certificate: with its key; each a file, or what would be in one.
        impersonation: headers by which one is somebody else.
    """

    authorization: Callable[[], str | None] = lambda: None
    certificate: Certificate | None = None
    impersonation: Headers | None = None

    def headers(self) -> Headers:
        """The headers of a request.

        Raises:
            UnreachableError: what should be a token is none.
        """
        value = self.authorization()
        if value and not (value.isascii() and value.isprintable()):
            raise unusable("the token has characters that no token has")
        named = [("Authorization", value)] if value else []
        return [*named, *(self.impersonation or ())]


def of_file(path: Path) -> Login:
    """By a token in a file that somebody else keeps fresh."""

    def read() -> str:
        try:
            token = read_file(path).decode().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no text"
            raise unusable(f"{path}: {reason}") from None
        if not token:
            raise unusable(f"{path}: no token in it")
        return f"Bearer {token}"

    return Login(read)


def of_user(user: Entry, cluster: Entry) -> Login:
    """As a user of a kubeconfig.

    Raises:
        UnreachableError: what it says makes no sense, or no credential can be had.
    """
    certificate, authorization = _certificate(user), Login().authorization
    if user.values.get("auth-provider") or (user.values.get("exec") and not user.text("token")):
        # The official client takes a third of a second to import: not for those who have a token.
        from abctl.cluster import _official  # noqa: PLC0415

        authorization, given = _official.credentials(user, cluster)
        certificate = given or certificate
    elif token := user.text("token"):
        authorization = lambda: f"Bearer {token}"  # noqa: E731 - one of several
    elif path := user.path("tokenFile"):
        authorization = of_file(path).authorization
    elif (name := user.text("username")) and (password := user.text("password")):
        encoded = b64encode(f"{name}:{password}".encode()).decode()
        authorization = lambda: f"Basic {encoded}"  # noqa: E731 - one of several
    return Login(authorization, certificate, _impersonation(user))


def _certificate(user: Entry) -> Certificate | None:
    parts = [user.data(key) or user.path(key) for key in ("client-certificate", "client-key")]
    certificate, key = parts
    if certificate and key:
        return certificate, key
    if certificate or key:
        raise unusable(f"{user.words}: client-certificate and client-key go together")
    return None


def _impersonation(user: Entry) -> Headers:
    groups, extra = user.values.get("as-groups") or (), user.values.get("as-user-extra") or {}
    if not isinstance(groups, list | tuple) or not isinstance(extra, Mapping):
        raise unusable(f"{user.words}: as-groups must be a list, as-user-extra a mapping")
    fields = [("User", user.text("as")), ("Uid", user.text("as-uid"))]
    fields += [("Group", group) for group in groups]
    for key, values in extra.items():
        fields += [(f"Extra-{quote(key.lower(), safe='')}", value) for value in values or ()]
    headers = [(f"Impersonate-{key}", value) for key, value in fields if value]
    if headers and not user.text("as"):
        raise unusable(f"{user.words}: as-uid, as-groups and as-user-extra need `as`")
    return headers
