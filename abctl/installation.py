"""How this abctl was installed, and what installs it once more with what is missing.

It is in no index that everybody has, so its name alone does not say where it comes from. Installers
leave a note of that (PEP 610), unless an index or a folder of wheels was the place.
"""

import json
import shlex
import sys
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from abctl.errors import UsageError
from abctl.version import __version__

_NAME = "abctl"
# Stands for a place that nobody noted, or that is gone.
_UNKNOWN = "WHEEL"
# Folders in the cache of uv: of environments that `uvx` makes.
_OF_UVX = ("archive-v", "environments-v")


def lacks(what: str, extra: str) -> UsageError:
    """The error of something that an extra installs."""
    return UsageError(f"{what} is not installed; the extra {extra!r} has it", again(extra))


def too_new(what: str, bound: tuple[int, int], extra: str) -> UsageError:
    """The error of something that an extra installs on older Pythons than this one only."""
    (major, minor), here = bound, ".".join(map(str, sys.version_info[:2]))
    return UsageError(
        f"{what} needs a Python before {major}.{minor}, and this is {here}",
        again(extra, python=f"{major}.{minor - 1}"),
    )


def lacks_package(what: str, package: str) -> UsageError:
    """The error of something that a package of an index installs beside abctl."""
    return UsageError(f"{what} is not installed", f"{adding(package)} installs it")


def adding(package: str) -> str:
    """The command that installs a package of an index beside this abctl.

    >>> adding("mlserver-xgboost").endswith("mlserver-xgboost")
    True
    """
    what, program = shlex.quote(package), shlex.quote(sys.executable)
    if find_spec("pip"):
        return f"{program} -m pip install {what}"
    return f"uv pip install --python {program} {what}"


def again(extra: str, *, python: str = "") -> str:
    """The command that installs this abctl with an extra, by what has installed it.

    Args:
        extra: of the package.
        python: the version that it is to be installed for; else where it is now.
    """
    editable, place = _place(extra)
    what = f"-e {shlex.quote(place)}" if editable else shlex.quote(place)
    other = f"--python {python} " if python else ""
    once = f"uvx {other}--from {shlex.quote(place)} {_NAME} ..."
    home, program = Path(sys.prefix), shlex.quote(sys.executable)
    if any(part.startswith(_OF_UVX) for part in home.parts):
        command = once
    elif (home / "uv-receipt.toml").exists():
        command = f"uv tool install {other}{what}"
    elif (home / "pipx_metadata.json").exists():
        command = f"pipx install --force {other}{what}"
    elif find_spec("pip"):
        venv = f"python{python} -m venv NEW && NEW/bin/pip"
        command = f"{venv if python else f'{program} -m pip'} install {what}"
    else:
        command = once if python else f"uv pip install --python {program} {what}"
    if place.startswith(_UNKNOWN):
        command += f", where {_UNKNOWN} is the file that abctl {__version__} was installed from"
    return command


def _place(extra: str) -> tuple[bool, str]:
    """Whether a change there is a change here, and how the place is written for installers."""
    note = _note()
    url = str(note.get("url", ""))
    if not url:
        return False, f"{_UNKNOWN}[{extra}]"
    if vcs := note.get("vcs_info"):
        return False, f"{_NAME}[{extra}] @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    if urlsplit(url).scheme != "file":
        return False, f"{_NAME}[{extra}] @ {url}"
    path = Path(unquote(urlsplit(url).path))
    if not path.exists():
        return False, f"{_UNKNOWN}[{extra}]"
    return bool(note.get("dir_info", {}).get("editable")), f"{path}[{extra}]"


def _note() -> dict[str, Any]:
    for found in distributions(name=_NAME):
        if text := found.read_text("direct_url.json"):
            note: dict[str, Any] = json.loads(text)
            return note
    return {}
