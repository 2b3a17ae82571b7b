from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.core.experiment import Experiment, Metric
from abctl.errors import AbctlError, NotFoundError, UsageError
from abctl.local import lifecycle
from abctl.local.ports import PortTakenError
from abctl.services import local

Make = Callable[..., Experiment]


def silent(_: str) -> None:
    """Nobody listens."""


def up(experiment: Experiment, state_dir: Path) -> None:
    local.up(experiment, state_dir=state_dir, models_dir=state_dir / "models", report=silent)


def test_only_envoy_runs_locally(make_experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(AbctlError, match="seldon"):
        up(replace(make_experiment(), platform="seldon"), tmp_path / "stack")


def test_what_cannot_start_leaves_no_stack(make_experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="model"):
        up(make_experiment(), tmp_path / "stack")
    with pytest.raises(NotFoundError, match="no local stack"):
        local.status(tmp_path / "stack")
    with pytest.raises(NotFoundError, match="model"):
        up(make_experiment(), tmp_path / "stack")


def test_a_stack_whose_ports_are_always_taken_is_given_up(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, starts = list[str](), list[bool]()

    def start(*_: object, **__: object) -> None:
        starts.append(True)
        raise PortTakenError("envoy found its port taken; its last lines:\n  in use", "its log")

    monkeypatch.setattr(local, "_up", start)
    with pytest.raises(PortTakenError, match="in use"):
        local.up(make_experiment(), state_dir=tmp_path, models_dir=tmp_path, report=said.append)
    assert len(starts) == len(said) + 1 > 3
    (again,) = set(said)
    assert again == "envoy found its port taken; starting all again with other ports"


def test_a_server_learns_of_feedback_and_not_of_what_it_measures_itself(
    make_experiment: Make,
) -> None:
    metrics = tuple(
        Metric(f"{of}-{i}", "secondary", "mean", of, "increase")
        for i, of in enumerate(("errors", "accuracy", "latency", "revenue", "accuracy"))
    )
    experiment = replace(make_experiment(buckets=8), metrics=metrics)
    assert local.environment(experiment, "treatment") == {
        "AB_VARIANT": "treatment",
        "AB_SALT": "salt-1",
        "AB_BUCKETS": "8",
        "AB_KEY": "x-user-id",
        "AB_OUTCOMES": "accuracy,revenue",
    }


def test_requests_without_units_need_no_salt(make_experiment: Make) -> None:
    experiment = make_experiment(unit="request", key="", salt="")
    assert local.environment(experiment, "control")["AB_SALT"]


def test_the_only_stack_is_meant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no stack"):
        local.only_state()
    for name in ("red", "blue"):
        with lifecycle.locked(local.default_state(name)):
            lifecycle.prepare(local.default_state(name))
    with pytest.raises(UsageError, match="blue, red"):
        local.only_state()
    (local.default_state("red") / "state.json").touch()
    assert local.only_state() == Path(".abctl/red")


def test_down_keeps_the_folder_and_purge_removes_it(tmp_path: Path) -> None:
    state_dir = tmp_path / "stack"
    assert not local.down(state_dir)
    assert not state_dir.exists()
    with lifecycle.locked(state_dir):
        lifecycle.prepare(state_dir)
    assert not local.down(state_dir)
    assert (state_dir / "logs").exists()
    assert not local.down(state_dir, purge=True)
    assert not state_dir.exists()


def test_the_folder_of_somebody_else_is_left_alone(make_experiment: Make, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with pytest.raises(UsageError, match="not of a local stack"):
        local.down(tmp_path, purge=True)
    with pytest.raises(UsageError, match="not of a local stack"):
        up(make_experiment(), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder"):
        local.down(tmp_path / "file")
    assert (tmp_path / "logs").exists()
