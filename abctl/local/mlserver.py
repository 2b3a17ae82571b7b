"""A variant's MLServer: its own settings, ports and metrics, and nothing of the shell's."""

import glob
import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from abctl import installation
from abctl.errors import SpecError, UsageError
from abctl.local.model_folder import SERVER_SETTINGS, SETTINGS, ModelFolder, settings_of
from abctl.local.plan import Command
from abctl.local.stack import HOST, Server

# The first Python that MLServer 1.7.1 does not run on; the extra `local` has the same bound.
TOO_NEW = (3, 13)
SERVERS = "servers"
_EXTRA = "local"


def require_installed() -> None:
    """Make sure that there is a model server to start.

    Raises:
        UsageError: there is none, or none for this Python.
    """
    if all(map(find_spec, ("ab_runtime", "mlserver", "mlserver_sklearn"))):
        return
    if sys.version_info >= TOO_NEW:
        raise installation.too_new("the local stack's MLServer", TOO_NEW, _EXTRA)
    raise installation.lacks("MLServer", _EXTRA)


def command(
    server: Server, model: ModelFolder, environment: Mapping[str, str], state_dir: Path
) -> Command:
    """Prepare the folder that MLServer serves and say how it is started.

    MLServer prefers settings.json to its environment, so our own settings go over the model's in
    a file of ours; beside it a link to the model's folder.

    Raises:
        SpecError: another model is there.
        UsageError: a state folder that MLServer cannot search.
    """
    if glob.escape(str(state_dir)) != str(state_dir):
        raise UsageError(
            f"--state {state_dir}: MLServer does not find models below a path with * ? [",
            "name a folder without them",
        )
    folder = state_dir / SERVERS / server.variant
    metrics = state_dir / "metrics" / server.variant
    for each in (folder, metrics):
        each.mkdir(parents=True)
    _link(server, model, folder / model.place.resolve().name)
    ours = {
        "debug": False,
        "load_models_at_startup": True,
        "metrics_endpoint": "/metrics",
        "root_path": "",
        "host": HOST,
        "http_port": server.http_port,
        "grpc_port": server.grpc_port,
        "metrics_port": server.metrics_port,
        "metrics_dir": str(metrics),
    }
    # Workers cost more than they give for small models.
    given = {"parallel_workers": 0, **settings_of(model.place / SERVER_SETTINGS, missing={})}
    settings = given | ours
    (folder / "settings.json").write_text(json.dumps(settings, indent=1))
    return Command(
        name=server.process,
        argv=(sys.executable, "-P", "-m", "ab_runtime", str(folder)),
        folder=folder,
        # Others in the folder are nobody's variant.
        environment={"OMP_NUM_THREADS": "1", **environment, "AB_MODELS": server.model},
        ready_port=server.http_port,
        ready_path=f"/v2/models/{server.model}/ready",
    )


def _link(server: Server, model: ModelFolder, link: Path) -> None:
    """Put the model's folder there; with the name that requests use, and with its model beside it.

    MLServer takes a path to the model as one within the link.

    Raises:
        SpecError: it has another one, and nobody has named the folder itself.
    """
    same = (model.settings.get("name") or link.name) == server.model
    if same and not (model.reaches_out or model.changed):
        link.symlink_to(model.place.resolve())
        return
    if not (same or model.renamed):
        raise SpecError(
            f"variant {server.variant}: model.name is {server.model!r}, but {model.place} holds "
            f"{model.name!r}",
            "MLServer serves a model under the name in its model-settings.json",
        )
    link.mkdir()
    for each in model.place.resolve().iterdir():
        if each.name != SETTINGS:
            (link / each.name).symlink_to(each)
    settings = {**model.settings, "name": server.model}
    if model.reaches_out:
        settings["parameters"] = {**settings["parameters"], "uri": str(model.artefact)}
    (link / SETTINGS).write_text(json.dumps(settings, indent=1))
