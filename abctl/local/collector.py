"""The collector of a local stack: takes feedback for all variants, in a process of its own."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from abctl.core.collector import KEYS, MEMORY, Place, settings
from abctl.core.experiment import Experiment
from abctl.local.plan import Command
from abctl.local.stack import HOST

FOLDER = "collector"


def command(experiment: Experiment, port: int, state_dir: Path) -> Command:
    """Write its settings and new keys, and say how it is started."""
    from ab_runtime.token import Keys  # noqa: PLC0415 - of the extra `local`

    folder = state_dir / FOLDER
    folder.mkdir(mode=0o700)
    opened = os.open(folder / KEYS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(opened, "w") as keys:
        keys.write(Keys.fresh())
    file = folder / "collector.json"
    place = Place(str(folder / KEYS), str(folder / MEMORY), HOST, port)
    file.write_text(json.dumps(settings(experiment, place), indent=1))
    return Command(
        name="collector",
        argv=(sys.executable, "-P", "-m", "ab_runtime.collector", str(file)),
        folder=folder,
        environment={},
        ready_port=port,
        ready_path="/ready",
    )


def environment(port: int, state_dir: Path) -> Mapping[str, str]:
    """What a model server is told of it."""
    return {
        "AB_COLLECTOR": f"http://{HOST}:{port}",
        "AB_KEYS": str(state_dir / FOLDER / KEYS),
    }
