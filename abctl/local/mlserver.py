"""A variant's MLServer: its own settings, ports and metrics, and nothing of the shell's."""

import glob
import json
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from abctl import installation
from abctl.errors import NotFoundError, SpecError, UsageError
from abctl.files import read
from abctl.local.plan import Command
from abctl.local.stack import HOST, Server

_SETTINGS = "its format: docs.seldon.ai/mlserver"
# The first Python that MLServer 1.7.1 does not run on; the extra `local` has the same bound.
TOO_NEW = (3, 13)
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
    server: Server, model_dir: Path, environment: Mapping[str, str], state_dir: Path
) -> Command:
    """Prepare the folder that MLServer serves and say how it is started.

    MLServer prefers settings.json to its environment, so our own settings go over the model's in
    a file of ours; beside it a link to the model's folder.

    Raises:
        NotFoundError: the model is not there.
        SpecError: another model is there.
        UsageError: a state folder that MLServer cannot search.
    """
    _check_model(server, model_dir)
    if glob.escape(str(state_dir)) != str(state_dir):
        raise UsageError(
            f"--state {state_dir}: MLServer does not find models below a path with * ? [",
            "name a folder without them",
        )
    folder = state_dir / "servers" / server.variant
    metrics = state_dir / "metrics" / server.variant
    for each in (folder, metrics):
        each.mkdir(parents=True)
    (folder / model_dir.name).symlink_to(model_dir.resolve())
    ours = {
        "debug": False,
        "host": HOST,
        "http_port": server.http_port,
        "grpc_port": server.grpc_port,
        "metrics_port": server.metrics_port,
        "metrics_dir": str(metrics),
        # Workers cost more than they give for small models, and break per-request counters.
        "parallel_workers": 0,
    }
    settings = _json(model_dir / "settings.json", missing={}) | ours
    (folder / "settings.json").write_text(json.dumps(settings, indent=1))
    return Command(
        name=server.process,
        argv=(sys.executable, "-P", "-m", "ab_runtime", str(folder)),
        folder=folder,
        environment={"OMP_NUM_THREADS": "1", **environment},
        ready_port=server.http_port,
        ready_path=f"/v2/models/{server.model}/ready",
    )


def _check_model(server: Server, model_dir: Path) -> None:
    settings = _json(model_dir / "model-settings.json")
    uri = settings.get("parameters", {}).get("uri")
    if uri and "://" not in uri and not (model_dir / uri).exists():
        path = (model_dir / uri).resolve()
        message = f"no model of variant {server.variant}: {path} does not exist"
        raise NotFoundError(message, _elsewhere(model_dir))
    name = settings.get("name") or model_dir.name
    if name != server.model:
        raise SpecError(
            f"variant {server.variant}: model.name is {server.model!r}, but {model_dir} holds "
            f"{name!r}",
            "MLServer serves a model under the name in its model-settings.json",
        )


def _elsewhere(model_dir: Path) -> str:
    recipe = model_dir.parent / "train.py"
    makes = f"python {recipe} makes those of that folder; " if recipe.is_file() else ""
    return f"{makes}--models names the folder that has one for each version"


def _json(path: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        data = json.loads(read(path))
    except (FileNotFoundError, NotADirectoryError):
        if missing is None:
            hint = _elsewhere(path.parent)
            raise NotFoundError(f"no model: {path} does not exist", hint) from None
        return missing
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}", _SETTINGS) from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not JSON: {error}", _SETTINGS) from None
    if not isinstance(data, dict):
        raise SpecError(f"{path}: must be a mapping", _SETTINGS)
    return data
