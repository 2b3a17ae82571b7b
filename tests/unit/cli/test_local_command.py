"""`abctl local`: its answers have the form of all others, its words those of its siblings."""

import json
import os
from datetime import datetime
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.local import logs, stack
from abctl.local.identity import Identity
from abctl.local.stack import Process, Server, Stack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    me = Identity.of(os.getpid())
    names = (stack.SUPERVISOR, "envoy")
    running = Stack(
        experiment="iris",
        state_dir=tmp_path,
        started=1_700_000_000.25,
        entrance_url="http://127.0.0.1:1",
        envoy_admin_url="http://127.0.0.1:2",
        prometheus_url=None,
        servers=(Server("control", "iris", 3, 4, 5),),
        processes=tuple(Process(n, me, "ready", logs.path(tmp_path, n)) for n in names),
    )
    (tmp_path / logs.FOLDER).mkdir()
    for name in names:
        logs.path(tmp_path, name).write_text(f"{name} speaks\n")
    stack.write(running)
    return tmp_path


def test_machines_get_camel_case_and_times_with_a_zone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["local", "status", "--state", str(folder), "-o", "json"]) == 0
    text = capsys.readouterr().out
    document = json.loads(text)
    assert "_" not in "".join(_keys(document))
    assert document["entranceUrl"] == "http://127.0.0.1:1"
    assert document["started"] == "2023-11-14T22:13:20.250Z"
    assert datetime.fromisoformat(document["started"]).timestamp() == 1_700_000_000.25
    assert [p["name"] for p in document["processes"]] == ["supervisor", "envoy"]


def _keys(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(key for part in value.values() for key in _keys(part))]
    return [key for part in value for key in _keys(part)] if isinstance(value, list) else []


def test_logs_are_those_of_an_experiment_or_of_one_process_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder.parent)
    Path(".abctl").mkdir()
    Path(".abctl/iris").symlink_to(folder)
    assert run(["local", "logs", "iris"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "envoy | envoy speaks",
        "supervisor | supervisor speaks",
    ]
    assert run(["local", "logs", "iris", "--process", "envoy"]) == 0
    assert capsys.readouterr().out == "envoy speaks\n"
    assert run(["local", "logs", "envoy"]) == 2
    assert "'envoy'" in capsys.readouterr().err


def test_a_hint_names_the_stack_as_its_user_did(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.write(stack.read(folder).with_status("envoy", "dead", 3))
    monkeypatch.chdir(folder)
    Path(".abctl").mkdir()
    Path(".abctl/iris").symlink_to(folder)
    for words in (["--state", str(folder)], ["iris"], []):
        assert run(["local", "status", *words]) == 5
        which = " ".join(["", *words])
        assert capsys.readouterr().err.endswith(
            f"hint: abctl local logs --process envoy{which} says why; "
            "abctl local down"
            f"{which} cleans up, abctl local up starts afresh\n"
        )


def test_what_earlier_stacks_left_is_no_stack_that_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    for name in ("bad", "old"):
        (folder / ".abctl" / name).mkdir(parents=True)
        (folder / ".abctl" / name / "stack.lock").touch()
    assert run(["local", "down"]) == 2
    assert "error: no stack runs in .abctl\nhint: logs and evidence are left there of bad, old" in (
        capsys.readouterr().err
    )
    Path(".abctl/iris").symlink_to(folder)
    assert run(["local", "status"]) == 0


def test_a_hint_names_the_file_that_the_user_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", "none")
    assert run(["init", "my.yaml"]) == 0
    for words in (["local", "status", "my.yaml"], ["status", "my.yaml"], ["analyze", "my.yaml"]):
        capsys.readouterr()
        assert run(words) == 5
        assert "hint: abctl local up my.yaml starts " in capsys.readouterr().err
    assert run(["diff", "my.yaml"]) == 5
    assert "error: no cluster: no kubeconfig" in capsys.readouterr().err


def test_models_are_those_that_are_named_and_never_those_that_lie_about(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[Path | None] = []

    def up(*_: object, models_dir: Path | None, **__: object) -> Stack:
        found.append(models_dir)
        return stack.read(folder)

    monkeypatch.chdir(folder)
    monkeypatch.setattr("abctl.session.local_stack.up", up)
    monkeypatch.delenv("ABCTL_MODELS", raising=False)
    Path("model_servers").mkdir()
    assert run(["init", "iris.yaml"]) == 0
    assert run(["local", "up", "iris.yaml"]) == 0
    assert run(["local", "up", "iris.yaml", "--models", "mine"]) == 0
    monkeypatch.setenv("ABCTL_MODELS", "yours")
    assert run(["local", "up", "iris.yaml"]) == 0
    assert found == [None, Path("mine"), Path("yours")]
    assert "error" not in capsys.readouterr().err


def test_a_timeout_may_be_a_duration(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for timeout in ("5m", "90s"):
        assert run(["local", "up", "none.yaml", "--timeout", timeout]) == 2
        assert capsys.readouterr().err.startswith("error: none.yaml: no such file\n")
    assert run(["local", "up", "none.yaml", "--timeout", "5x"]) == 2
    assert capsys.readouterr().err.startswith("error: --timeout: '5x' is not a duration\n")
