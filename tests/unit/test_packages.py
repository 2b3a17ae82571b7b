"""What the packages say of themselves: the wheel brings the runtime, so its extra must too."""

import re
import tomllib
from pathlib import Path
from typing import Any

from abctl import __version__
from abctl.local import mlserver

ROOT = Path(__file__).parents[2]


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return found


ABCTL, RUNTIME = project(ROOT), project(ROOT / "model_servers" / "runtime")
LOCAL = ABCTL["optional-dependencies"]["local"]
BOUND = ".".join(map(str, mlserver.TOO_NEW))
MARKERS = ("", BEFORE := f"python_version < '{BOUND}'", FROM := f"python_version >= '{BOUND}'")


def split(requirement: str) -> tuple[str, str, str]:
    """Name, versions, and on which Python."""
    what, _, marker = requirement.partition("; ")
    name = re.match(r"[\w-]+", what)
    assert name
    return name[0], what.removeprefix(name[0]), marker


def test_the_extra_has_what_the_runtime_is_made_of() -> None:
    here = {split(each)[:2] for each in LOCAL}
    core = {split(each)[0] for each in ABCTL["dependencies"]}
    assert len(RUNTIME["dependencies"]) > 10
    for each in RUNTIME["dependencies"]:
        name, versions, _ = split(each)
        assert name in core or (name, versions) in here


def test_only_what_comes_with_mlserver_has_its_bound() -> None:
    assert RUNTIME["requires-python"] == f">=3.11,<{BOUND}"
    assert ABCTL["requires-python"] == ">=3.11"
    on = {marker: {n for n, _, m in map(split, LOCAL) if m == marker} for marker in MARKERS}
    assert set().union(*on.values()) == {split(each)[0] for each in LOCAL}
    assert {"mlserver", "mlserver-sklearn"} <= on[BEFORE]
    # What `simulate` imports.
    assert on[""] | on[FROM] == {"httptools", "scikit-learn", "uvloop"}


def test_they_have_one_version() -> None:
    assert RUNTIME["version"] == __version__
