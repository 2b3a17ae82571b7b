"""What is checked before a server starts, so that the reason is the last line of its log."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ab_runtime.__main__ import serve

PORTS = ("http_port", "grpc_port", "metrics_port")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [each for each in os.environ if each.startswith("MLSERVER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AB_VARIANT", "control")
    monkeypatch.setenv("AB_SALT", "salt-1")
    model = {"name": "iris", "implementation": "ab_runtime.ABRuntime"}
    (tmp_path / "model-settings.json").write_text(json.dumps(model))
    return tmp_path


@pytest.mark.parametrize("name", PORTS)
def test_a_taken_port_is_named(
    folder: Path, taken_port: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"host": "127.0.0.1", **dict.fromkeys(PORTS, 0), name: taken_port}
    for key, value in settings.items():
        monkeypatch.setenv(f"MLSERVER_{key.upper()}", str(value))
    wanted = f"error: {name} 127.0.0.1:{taken_port}: Address already in use"
    with pytest.raises(SystemExit, match=wanted):
        asyncio.run(serve(str(folder)))


def test_a_folder_without_a_model_is_refused(folder: Path) -> None:
    (folder / "model-settings.json").unlink()
    with pytest.raises(SystemExit, match=r"error: .*: no model-settings.json in it or below"):
        asyncio.run(serve(str(folder)))


@pytest.mark.parametrize(
    ("name", "value"), [("AB_SALT", ""), ("AB_MAX_BODY_BYTES", "many"), ("AB_MODELS", "wine")]
)
def test_a_wrong_setting_ends_it(
    folder: Path, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match=f"error: {name}"):
        asyncio.run(serve(str(folder)))
