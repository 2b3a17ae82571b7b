"""The world of the local stack: its directory, and what its Envoy says of itself."""

import json
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from abctl import files
from abctl.cluster import KubeClient
from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.ledger import LEDGER_PREFIX
from abctl.errors import ClusterError, NotFoundError
from abctl.forms.ledger import ledger_of
from abctl.local import stack
from abctl.platforms import platform
from abctl.session.session import Session

WORLD, _TIMEOUT_SECONDS = "world", 2.0


def session(experiment: Experiment, state_dir: Path) -> Session:
    """An experiment in its local stack."""
    world = client(experiment, state_dir)
    return Session(
        world,
        platform(experiment.platform),
        experiment,
        ready=partial(ready, state_dir),
        words=f"the local stack in {state_dir}",
        state_dir=state_dir,
        clock=world.now,
    )


def client(experiment: Experiment, state_dir: Path) -> KubeClient:
    """The client to an experiment's local stack; what carries the split is read with its status."""
    target = platform(experiment.platform).target(experiment)

    def live(obj: Object) -> Mapping[str, Any] | None:
        if Ref.of(obj) != target:
            return None
        try:
            admin = stack.read(state_dir).envoy_admin_url
        except NotFoundError as error:
            return {"refusal": error.message}
        return envoy_status(admin, experiment.name)

    return DirectoryClient(state_dir / WORLD, live)


def was_started(state_dir: Path, besides: Experiment | None = None) -> bool:
    """Whether an experiment, besides a given one, ran there that somebody may want to judge."""
    own = None if besides is None else (besides.namespace, f"{LEDGER_PREFIX}{besides.name}")
    for path in (state_dir / WORLD / "objects").glob(f"*/ConfigMap/{LEDGER_PREFIX}*.json"):
        if (path.parts[-3], path.stem) == own:
            continue
        try:
            entries = ledger_of(json.loads(files.read(path))).entries
        except (OSError, ValueError, LookupError, TypeError, RecursionError, ClusterError):
            return True  # nobody can say that it was not
        if any(entry.phase != "intent" for entry in entries):
            return True
    return False


def ready(state_dir: Path, variant: str) -> bool | str:
    """Whether a variant's model server can take requests; if not, why.

    Raises:
        NotFoundError: no local stack runs there.
    """
    running = stack.read(state_dir)
    servers = {server.variant: server for server in running.servers}
    if variant not in servers:
        return f"{state_dir} runs no server of it, only of {' and '.join(servers)}"
    server = servers[variant]
    for process in running.dead:
        if process.name == server.process:
            return f"{process.name} {process.ending}"
    try:
        _get(server.url, f"/v2/models/{server.model}/ready")
    except TimeoutError:
        return f"{server.process} does not answer within {_TIMEOUT_SECONDS:g} s on {server.url}"
    except (OSError, HTTPException) as error:
        return f"{server.process} does not say on {server.url} that it is ready ({error})"
    return True


def envoy_status(admin_url: str, name: str) -> dict[str, Any]:
    """The routes of that name that an Envoy has, and whether it has refused any.

    Args:
        admin_url: where its admin interface listens.
        name: the name of the RouteConfiguration.

    Returns:
        `routes`: the RouteConfiguration in effect, if there is one; `refusal`: why it is not the
        one in the file, should it differ. That Envoy does not answer is such a reason, no error.
    """
    try:
        dump = json.loads(_get(admin_url, "/config_dump?resource=dynamic_route_configs"))
        counters = _get(admin_url, f"/stats?filter=rds.{name}.update_(rejected|failure)")
    except (OSError, HTTPException, ValueError, RecursionError) as error:
        return {"refusal": f"Envoy does not answer on {admin_url} ({error})"}
    configs = [config.get("route_config", {}) for config in dump.get("configs", ())]
    routes = [config for config in configs if config.get("name") == name]
    refused = [line.rpartition(".")[2] for line in counters.splitlines() if line[-3:] != ": 0"]
    why = "" if routes else "Envoy has no routes yet"
    if refused:
        why = f"Envoy has refused routes ({', '.join(refused)}); its log says why"
    return ({"routes": routes[0]} if routes else {}) | ({"refusal": why} if why else {})


def _get(base_url: str, path: str) -> str:
    connection = HTTPConnection(urlsplit(base_url).netloc, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read().decode()
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        raise HTTPException(f"{response.status} {response.reason}")
    return body
