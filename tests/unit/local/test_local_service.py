import shutil
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.core.experiment import Experiment, Metric, Model, Variant
from abctl.core.ledger import Entry, Phase
from abctl.core.server import environment
from abctl.errors import AbctlError, ClusterError, NotFoundError, UsageError
from abctl.forms.ledger import ledger_of, new_object, with_ledger
from abctl.local import lifecycle
from abctl.local.ports import PortTakenError
from abctl.session import ledger, local_stack, local_world

Make = Callable[..., Experiment]


def silent(_: str) -> None:
    """Nobody listens."""


def up(experiment: Experiment, state_dir: Path) -> None:
    local_stack.up(experiment, state_dir=state_dir, models_dir=state_dir / "models", report=silent)


def test_only_envoy_runs_locally(make_experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(AbctlError, match="seldon"):
        up(replace(make_experiment(), platform="seldon"), tmp_path / "stack")


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model server; it is not started."""
    monkeypatch.setattr("abctl.local.mlserver.require_installed", lambda: None)


@pytest.mark.usefixtures("_installed")
def test_what_cannot_start_leaves_no_stack(make_experiment: Make, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="model"):
        up(make_experiment(), tmp_path / "stack")
    with pytest.raises(NotFoundError, match="no local stack"):
        local_stack.status(tmp_path / "stack")
    assert not (tmp_path / "stack").exists()
    (tmp_path / "stack").mkdir()
    with pytest.raises(NotFoundError, match="model"):
        up(make_experiment(), tmp_path / "stack")
    assert (tmp_path / "stack").exists()
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"--models .*file: not a folder"):
        local_stack.up(
            make_experiment(),
            state_dir=tmp_path / "stack",
            models_dir=tmp_path / "file",
            report=silent,
        )


@pytest.mark.usefixtures("_installed")
def test_only_the_example_models_need_no_folder(make_experiment: Make, tmp_path: Path) -> None:
    other = Variant("treatment", Model("iris", "v9"))
    experiment = make_experiment()
    experiment = replace(experiment, variants=(experiment.variants[0], other))
    with pytest.raises(NotFoundError, match="treatment: iris v9 is not among") as error:
        local_stack.up(experiment, state_dir=tmp_path / "stack", models_dir=None, report=silent)
    assert error.value.hint == "--models names the folder that has one for each version"


def test_what_is_there_stays_where_there_is_no_model_server(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("abctl.local.mlserver.find_spec", lambda _: None)
    with lifecycle.locked(tmp_path):
        (tmp_path / "evidence").touch()
    with pytest.raises(UsageError, match="MLServer"):
        local_stack.up(make_experiment(), state_dir=tmp_path, models_dir=None, report=silent)
    assert (tmp_path / "evidence").exists()


@pytest.mark.usefixtures("_installed")
def test_a_stack_whose_ports_are_always_taken_is_given_up(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, starts = list[str](), list[bool]()

    def start(*_: object, **__: object) -> None:
        starts.append(True)
        raise PortTakenError("envoy found its port taken; its last lines:\n  in use", "its log")

    monkeypatch.setattr(local_stack, "_up", start)
    with pytest.raises(PortTakenError, match="in use"):
        local_stack.up(
            make_experiment(), state_dir=tmp_path, models_dir=tmp_path, report=said.append
        )
    assert len(starts) == len(said) + 1 > 3
    (again,) = set(said)
    assert again == "envoy found its port taken; starting all again with other ports"


def test_a_port_that_was_named_is_not_tried_again_where_it_is_taken(
    make_experiment: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, starts = list[str](), list[bool]()

    def start(*_: object, **__: object) -> None:
        starts.append(True)
        raise PortTakenError("envoy ended with exit code 1; its last lines:\n  in use", "its log")

    monkeypatch.setattr("abctl.local.mlserver.require_installed", lambda: None)
    monkeypatch.setattr(local_stack, "_up", start)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ClusterError, match=f"port {port} of 127.0.0.1 cannot be used") as error:
            local_stack.up(
                make_experiment(),
                state_dir=tmp_path,
                models_dir=tmp_path,
                port=port,
                report=said.append,
            )
    assert "--port" in error.value.hint
    assert (len(starts), said) == (1, [])


def test_a_server_learns_of_feedback_and_not_of_what_it_measures_itself(
    make_experiment: Make,
) -> None:
    metrics = tuple(
        Metric(f"{of}-{i}", "secondary", "mean", of, "increase")
        for i, of in enumerate(("errors", "accuracy", "latency", "revenue", "accuracy"))
    )
    experiment = replace(make_experiment(buckets=8), metrics=metrics)
    assert environment(experiment, "treatment") == {
        "AB_VARIANT": "treatment",
        "AB_SALT": "salt-1",
        "AB_BUCKETS": "8",
        "AB_KEY": "x-user-id",
        "AB_OUTCOMES": "accuracy,revenue",
        "AB_KINDS": "accuracy=number,revenue=number",
    }


def test_a_server_learns_which_values_an_outcome_can_have(make_experiment: Make) -> None:
    def of(*kinds: str) -> str:
        metrics = tuple(
            Metric(f"m{i}", "secondary", kind, "click", "increase")  # type: ignore[arg-type]
            for i, kind in enumerate(kinds)
        )
        return environment(replace(make_experiment(), metrics=metrics), "treatment")["AB_KINDS"]

    assert of("proportion") == of("mean", "proportion") == "click=binary"
    assert of("rate") == of("mean", "rate") == "click=amount"
    assert of("mean") == "click=number"


def test_requests_without_units_need_no_salt(make_experiment: Make) -> None:
    experiment = make_experiment(unit="request", key="", salt="")
    assert environment(experiment, "control")["AB_SALT"]


def test_the_only_stack_is_meant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no stack"):
        local_stack.only_state()
    for name in ("red", "blue"):
        with lifecycle.locked(local_stack.default_state(name)):
            lifecycle.prepare(local_stack.default_state(name))
    with pytest.raises(UsageError) as left:
        local_stack.only_state()
    assert "blue, red" in left.value.hint
    (local_stack.default_state("red") / "state.json").touch()
    assert local_stack.only_state() == Path(".abctl/red")


def test_down_keeps_the_folder_and_purge_removes_it(tmp_path: Path) -> None:
    state_dir = tmp_path / "stack"
    assert not local_stack.down(state_dir)
    assert not state_dir.exists()
    with lifecycle.locked(state_dir):
        lifecycle.prepare(state_dir)
    assert not local_stack.down(state_dir)
    assert (state_dir / "logs").exists()
    assert not local_stack.down(state_dir, purge=True)
    assert not state_dir.exists()


@pytest.mark.usefixtures("_installed")
def test_the_folder_of_somebody_else_is_left_alone(make_experiment: Make, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with pytest.raises(UsageError, match="do not belong to a local stack"):
        local_stack.down(tmp_path, purge=True)
    with pytest.raises(UsageError, match="do not belong to a local stack"):
        up(make_experiment(), tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="not a folder"):
        local_stack.down(tmp_path / "file")
    assert (tmp_path / "logs").exists()


def leave_behind(experiment: Experiment, state_dir: Path, *phases: Phase) -> None:
    """What a stack leaves: its ledger and something that it counted."""
    with lifecycle.locked(state_dir):
        lifecycle.prepare(state_dir)
    obj = new_object(experiment, Entry(1.0, "me", None, experiment.split, "", "intent"))
    for phase in phases:
        entry = Entry(2.0, "me", None, experiment.split, "", phase)
        obj = with_ledger(obj, ledger_of(obj).with_entry(entry))
    local_world.client(experiment, state_dir).create(obj)
    (state_dir / "scrapes.jsonl").write_text("counted")


def start_again(experiment: Experiment, state_dir: Path, *, tied: bool = False) -> list[str]:
    """Start, as far as it goes without a model; gives what was told."""
    told: list[str] = []
    with pytest.raises(NotFoundError, match="no model"):
        local_stack.up(
            experiment,
            state_dir=state_dir,
            models_dir=state_dir / "models",
            tied=tied,
            report=told.append,
        )
    return told


@pytest.mark.usefixtures("_installed")
def test_what_an_experiment_left_behind_is_kept_whatever_comes_after(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment, state_dir = make_experiment(), tmp_path / "stack"
    for number in (1, 2, 3):
        leave_behind(experiment, state_dir, "applied")
        if number == 2:
            (state_dir / "state.json").touch()  # nobody has stopped it
        (told,) = start_again(experiment, state_dir)
        kept = sorted((state_dir / lifecycle.EARLIER).iterdir())
        assert len(kept) == number
        assert str(kept[-1]) in told
        assert told.startswith(
            "an earlier stack was not stopped" if number == 2 else "an earlier stack was stopped"
        )
        for folder in kept:
            assert (folder / "scrapes.jsonl").read_text() == "counted"
            assert ledger.read(local_world.client(experiment, folder), experiment).ledger.desired
        assert not (state_dir / "scrapes.jsonl").exists()
    assert not local_stack.down(state_dir, purge=True)
    assert not state_dir.exists()


@pytest.mark.usefixtures("_installed")
def test_what_never_started_or_was_tied_to_its_starter_is_no_evidence(
    make_experiment: Make, tmp_path: Path
) -> None:
    experiment, state_dir = make_experiment(), tmp_path / "stack"
    leave_behind(experiment, state_dir)
    assert start_again(experiment, state_dir) == []
    leave_behind(experiment, state_dir, "applied")
    assert start_again(experiment, state_dir, tied=True) == []
    assert not (state_dir / lifecycle.EARLIER).exists()
    # That of another experiment is, whoever comes after it.
    other = replace(experiment, name="other")
    leave_behind(other, state_dir, "applied")
    (told,) = start_again(experiment, state_dir, tied=True)
    (kept,) = (state_dir / lifecycle.EARLIER).iterdir()
    assert str(kept) in told
    assert ledger.read(local_world.client(other, kept), other).ledger.desired
    shutil.rmtree(state_dir / lifecycle.EARLIER)
    # What nobody can read may be evidence.
    leave_behind(experiment, state_dir)
    (book,) = (state_dir / "world" / "objects").rglob("abctl-iris.json")
    book.write_text("{")
    assert len(start_again(experiment, state_dir)) == 1
