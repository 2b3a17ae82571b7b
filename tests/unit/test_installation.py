"""How to get an extra is said for the installation that there is."""

import json
import shlex
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from abctl import __version__, installation

Installed = Callable[..., Path]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "abctl-1-py3-none-any.whl"
    path.touch()
    return path


def note_of(wheel: Path) -> dict[str, Any]:
    return {"url": wheel.as_uri(), "archive_info": {}}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """Installs abctl, as far as its metadata go, in an environment with a file, and pip or not."""

    def install(note: dict[str, Any] | None, *, file: str = "", pip: bool = True) -> Path:
        home = tmp_path / "home"
        metadata = home / "lib" / "abctl-1.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: abctl\nVersion: 1\n")
        if note is not None:
            (metadata / "direct_url.json").write_text(json.dumps(note))
        if file:
            (home / file).touch()
        monkeypatch.setattr(sys, "path", [str(metadata.parent)])
        monkeypatch.setattr(sys, "prefix", str(home))
        monkeypatch.setattr(sys, "executable", str(home / "bin" / "python"))
        monkeypatch.setattr(
            installation, "find_spec", lambda name: find_spec("sys") if pip else None
        )
        return home / "bin" / "python"

    return install


@pytest.mark.parametrize(("editable", "flag"), [({"editable": True}, "-e "), ({}, "")])
def test_a_checkout_that_is_run_or_was_copied(
    installed: Installed, tmp_path: Path, editable: dict[str, bool], flag: str
) -> None:
    checkout = tmp_path / "my work"
    checkout.mkdir()
    python = installed({"url": checkout.as_uri(), "dir_info": editable})
    assert installation.again("local") == f"{python} -m pip install {flag}'{checkout}[local]'"


@pytest.mark.parametrize(
    ("file", "pip", "command"),
    [
        ("", True, "{python} -m pip install"),
        ("", False, "uv pip install --python {python}"),
        ("uv-receipt.toml", False, "uv tool install"),
        ("pipx_metadata.json", True, "pipx install --force"),
    ],
)
def test_a_wheel_by_what_has_installed_it(
    installed: Installed, wheel: Path, file: str, pip: bool, command: str
) -> None:
    python = installed(note_of(wheel), file=file, pip=pip)
    assert installation.again("local") == f"{command.format(python=python)} '{wheel}[local]'"


def test_a_wheel_that_was_run_without_being_installed(
    installed: Installed, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(note_of(wheel))
    monkeypatch.setattr(sys, "prefix", "/home/ann/.cache/uv/archive-v0/Xy")
    assert installation.again("local") == f"uvx --from '{wheel}[local]' abctl ..."


@pytest.mark.parametrize(
    ("note", "place"),
    [
        ({"url": "https://a.example/abctl.whl", "archive_info": {}}, "https://a.example/abctl.whl"),
        (
            {"url": "https://a.example/abctl", "vcs_info": {"vcs": "git", "commit_id": "f00"}},
            "git+https://a.example/abctl@f00",
        ),
    ],
)
def test_another_address(installed: Installed, note: dict[str, Any], place: str) -> None:
    python = installed(note)
    assert installation.again("local") == f"{python} -m pip install 'abctl[local] @ {place}'"


@pytest.mark.parametrize("gone", [True, False])
def test_from_where_nobody_noted_or_what_is_gone(
    installed: Installed, wheel: Path, gone: bool
) -> None:
    wheel.unlink()
    python = installed(note_of(wheel) if gone else None)
    assert installation.again("local") == (
        f"{python} -m pip install 'WHEEL[local]', "
        f"where WHEEL is the file that abctl {__version__} was installed from"
    )


@pytest.mark.parametrize(
    ("file", "pip", "command"),
    [
        ("", True, "python3.12 -m venv NEW && NEW/bin/pip install {wheel}"),
        ("", False, "uvx --python 3.12 --from {wheel} abctl ..."),
        ("uv-receipt.toml", False, "uv tool install --python 3.12 {wheel}"),
        ("pipx_metadata.json", True, "pipx install --force --python 3.12 {wheel}"),
    ],
)
def test_for_an_older_python(
    installed: Installed, wheel: Path, file: str, pip: bool, command: str
) -> None:
    installed(note_of(wheel), file=file, pip=pip)
    again = shlex.quote(f"{wheel}[local]")
    error = installation.too_new("MLServer", (3, 13), "local")
    assert error.hint == command.format(wheel=again)
    here = ".".join(map(str, sys.version_info[:2]))
    assert error.message == f"MLServer needs a Python before 3.13, and this is {here}"
    assert error.exit_code == 2


def test_the_installation_that_runs_this_knows_where_it_comes_from() -> None:
    assert "[local]" in installation.again("local")
    assert "WHEEL[" not in installation.again("local")
