"""Which secrets an experiment file wants to have sent, and where to.

It names files and variables of whoever runs it, and may be written by somebody else: nothing leaves
this machine unless the user has named the place, or said yes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from abctl.core.address import is_loopback
from abctl.core.experiment import Experiment
from abctl.errors import SourceError

OPTION = "--allow-credentials"


@dataclass(frozen=True)
class Sending:
    """Secrets and their way.

    Attributes:
        secrets: in words, by the names under which the file has them.
        to: whoever could read them: `host[:port]`, or `namespace/name` of a Service.
    """

    secrets: tuple[str, ...]
    to: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' and '.join(self.secrets)} to {' and '.join(self.to)}"

    def allowed_by(self, places: Collection[str]) -> bool:
        """Whether each of them is among the places; a host stands for all of its ports."""
        named = {each.lower() for each in places}
        return all({*_names(to)} & named for to in self.to)


def _names(to: str) -> Iterator[str]:
    """What a user may call a place: with its port or without, an IPv6 address without brackets."""
    yield to.lower()
    if "/" not in to and (host := urlsplit(f"//{to}").hostname):
        yield from (host, f"[{host}]")


def sending(experiment: Experiment) -> Sending | None:
    """What would leave this machine; None for nothing, or where the user has agreed."""
    source = experiment.source
    if source is None or source.kind != "prometheus" or source.agreed:
        return None
    secrets = tuple(_secrets(source.options))
    to = tuple(_readers(source.options, experiment.namespace))
    return Sending(secrets, to) if secrets and to else None


def agreed(experiment: Experiment) -> Experiment:
    """The experiment, once the user has agreed."""
    if experiment.source is None:
        return experiment
    return replace(experiment, source=replace(experiment.source, agreed=True))


def require_agreement(experiment: Experiment) -> None:
    """Make sure that nothing is sent that the user does not know of.

    Raises:
        SourceError: something would be.
    """
    if found := sending(experiment):
        options = " ".join(f"{OPTION} {to}" for to in found.to)
        raise SourceError(
            f"the experiment file wants to send {found}, which nobody has allowed",
            f"if that is right: {options} (or ABCTL_ALLOW_CREDENTIALS); --prometheus-config names "
            "a file of your own instead",
        )


def _secrets(options: Mapping[str, Any]) -> list[str]:
    def kept(what: str, file: str, env: str) -> list[str]:
        if file in options:
            return [f"{what} in {options[file]}"]
        return [f"{what} in ${options[env]}"] if env in options else []

    return [
        *kept(f"the password of {options.get('username')}", "password_file", "password_env"),
        *kept("the token", "bearer_token_file", "bearer_token_env"),
        *(f"${env} as {name}" for name, env in options.get("headers_env", {}).items()),
    ]


def _readers(options: Mapping[str, Any], namespace: str) -> list[str]:
    if "service" in options:
        where, _, name = options["service"].rpartition("/")
        return [f"{where or namespace}/{name.partition(':')[0]}"]
    addresses = (urlsplit(options[key]) for key in ("url", "proxy_url") if key in options)
    return [each.netloc for each in addresses if not is_loopback(each.hostname or "")]
