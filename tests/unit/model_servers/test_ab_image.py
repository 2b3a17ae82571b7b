"""The image: every file that its recipe names is there, and nothing runs as root."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SERVERS = ROOT / "model_servers"
RECIPE = (SERVERS / "Dockerfile").read_text().replace("\\\n", " ")
STEPS = [
    (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
    for line in RECIPE.splitlines()
    if line and not line.startswith("#")
]
TRAINED = {"model.joblib", "model.joblib.sha256"}  # what `make models` writes


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_everything_that_is_copied_exists(version: str) -> None:
    copied = [arguments.split()[:-1] for word, arguments in STEPS if word == "COPY"]
    sources = [source.replace("${VERSION}", version) for each in copied for source in each]
    assert len(sources) >= 6
    missing = [each for each in sources if not (ROOT / each).exists()]
    assert {Path(each).name for each in missing} <= TRAINED


def test_what_is_copied_is_not_ignored() -> None:
    lines = (SERVERS / "Dockerfile.dockerignore").read_text().split()
    assert lines[0] == "*"
    allowed = [line[1:] for line in lines if line.startswith("!")]
    copied = [arguments.split()[:-1] for word, arguments in STEPS if word == "COPY"]
    for source in (source.replace("${VERSION}", "v1") for each in copied for source in each):
        assert any(re.match(each.replace("*", "[^/]*") + "(/|$)", source) for each in allowed)


def test_nothing_goes_through_a_shell() -> None:
    run = [re.sub(r"^(--\S+\s+)*", "", args) for word, args in STEPS if word in ("RUN", "CMD")]
    assert len(run) == 2
    assert all(json.loads(each) for each in run)


def test_it_does_not_run_as_root() -> None:
    word, user = next(step for step in reversed(STEPS) if step[0] in ("USER", "RUN"))
    assert word == "USER"
    uid, _, gid = user.partition(":")
    assert int(uid) > 0
    assert int(gid) > 0


@pytest.mark.parametrize("version", ["v1", "v2", "v3"])
def test_settings_keep_what_statistics_need(version: str) -> None:
    settings = json.loads((SERVERS / version / "settings.json").read_text())
    model = json.loads((SERVERS / version / "model-settings.json").read_text())
    # Workers and batches lose headers and counts; ports come from whoever starts the server.
    assert settings == {"debug": False, "gzip_enabled": False, "parallel_workers": 0}
    assert model == {
        "name": "iris",
        "implementation": "ab_runtime.ABRuntime",
        "parameters": {"uri": "./model.joblib", "version": version},
    }
