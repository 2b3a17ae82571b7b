"""What shift, promote and rollback share: the question, what it is told, and what it costs."""

import io
import json
from dataclasses import fields, replace

import pytest

from abctl.cli import _shift
from abctl.cli._session import WorldOptions
from abctl.cli.main import run
from abctl.cluster.directory import DirectoryClient
from abctl.core.ledger import ledger_ref
from abctl.core.split import Split
from abctl.forms.ledger import ledger_of
from abctl.platforms import envoy
from abctl.session.apply import start
from abctl.session.session import Session

A = Split(("control", "treatment"), (9000, 1000))


class Counting:
    """A client that writes down what is asked of it."""

    def __init__(self, client):
        self.client, self.asked = client, []
        self.now = client.now  # which takes no request

    def __getattr__(self, verb):
        def call(*args, **kwargs):
            self.asked.append(verb)
            return getattr(self.client, verb)(*args, **kwargs)

        return call


@pytest.fixture
def session(tmp_path, make_experiment, monkeypatch):
    """A started experiment, which the commands find whatever they are told."""
    client, experiment = DirectoryClient(tmp_path / "world"), make_experiment(shares_bp=A.shares_bp)
    start(Session(client, envoy, experiment, actor="ann", clock=lambda: 1.0), why="")
    found = [Session(Counting(client), envoy, experiment)]
    monkeypatch.setattr(_shift, "session_of", lambda *_, **given: replace(found[0], **given))
    return found


@pytest.fixture
def steps(session):
    def count():
        return len(ledger_of(session[0].world.get(ledger_ref(session[0].experiment))).entries)

    return count


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Interrupting(Terminal):
    def readline(self, *_):
        raise KeyboardInterrupt


def answering(monkeypatch, terminal):
    monkeypatch.setattr("sys.stdin", terminal)


def test_a_no_is_no_error_and_changes_nothing(session, steps, monkeypatch, capsys):
    answering(monkeypatch, Terminal("n\n"))
    assert run(["shift", "iris.yaml", "treatment=30%"]) == 130
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1].endswith("nothing was changed")
    assert "error" not in printed.err
    assert (printed.out.strip(), steps()) == ("", 2)


@pytest.mark.parametrize("terminal", [Interrupting(), Terminal("")], ids=["ctrl-c", "ctrl-d"])
@pytest.mark.usefixtures("session")
def test_no_answer_at_all_changes_nothing_and_says_so(steps, monkeypatch, capsys, terminal):
    answering(monkeypatch, terminal)
    assert run(["promote", "iris.yaml"]) == 130
    assert "\nerror: interrupted: nothing was changed\nhint: " in capsys.readouterr().err
    assert steps() == 2


def test_a_split_as_an_argument_and_as_an_option_is_given_twice(session, steps, capsys):
    assert run(["shift", "iris.yaml", "50/50", "--to", "50/50", "--yes"]) == 2
    assert capsys.readouterr().err == (
        "error: the split is given twice: 50/50 and --to 50/50\n"
        "hint: give it once, with or without --to\n"
    )


def test_the_control_is_no_candidate(session, steps, capsys):
    control = session[0].experiment.split.control
    assert run(["promote", "iris.yaml", control, "--yes"]) == 2
    assert f"{control!r} is the control, not a treatment" in capsys.readouterr().err
    assert steps() == 2


def test_where_nobody_can_be_asked_nothing_is_changed(session, steps, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(["rollback", "iris.yaml"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert steps() == 2


def test_a_yes_shifts_the_world_as_it_is_by_then(session, steps, monkeypatch, capsys):
    class Slow(Terminal):
        def readline(self, *_):
            client = session[0].world.client
            target = envoy.target(session[0].experiment)
            client.replace(envoy.with_split(client.get(target), Split(A.names, (5000, 5000))))
            return "y\n"

    answering(monkeypatch, Slow())
    assert run(["shift", "iris.yaml", "treatment=30%", "-o", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    # Meanwhile somebody had set another split, which is entered as well.
    assert answer["from"] == {"control": 0.5, "treatment": 0.5}
    assert steps() == 5


def test_a_plan_that_changed_is_warned_of(session, capsys):
    plan = session[0].experiment
    changed = replace(plan, assignment=replace(plan.assignment, salt="other"))
    session[0] = replace(session[0], experiment=changed)
    assert run(["shift", "iris.yaml", "treatment=30%", "--yes"]) == 0
    warning = "warning: assignment of the file differs from what was locked at the start"
    assert warning in capsys.readouterr().err
    # Without a file there is no plan.
    session[0] = replace(session[0], adopted=True)
    assert run(["shift", "iris.yaml", "treatment=40%", "--yes"]) == 0
    assert "warning" not in capsys.readouterr().err


def test_a_shift_asks_the_world_no_more_than_safety_needs(session, capsys):
    assert run(["shift", "iris.yaml", "treatment=30%", "--yes"]) == 0
    # A look (two reads), and who else writes the object; a trial; the intent; the patch, which
    # tests that the object is as it was seen; the object read back; the outcome.
    looked, acted = ["get", "get", "managers"], ["patch", "replace", "patch", "get", "replace"]
    assert session[0].world.asked == looked + acted
    session[0].world.asked.clear()
    assert run(["shift", "iris.yaml", "treatment=30%", "--yes"]) == 0
    assert session[0].world.asked == ["get", "get", "get"]


def test_the_commands_have_the_same_options(capsys):
    shown = {}
    for name in ("shift", "promote", "rollback"):
        assert run([name, "--help"]) == 0
        words = capsys.readouterr().out.split()
        shown[name] = {w.strip(",") for w in words if w.startswith("-") and "=" not in w}
    assert shown["promote"] | {"--to"} == shown["rollback"] == shown["shift"]
    groups = (_shift.ShiftOptions, WorldOptions)
    every = {field.name.replace("_", "-") for group in groups for field in fields(group)}
    assert {f"--{name}" for name in every} <= shown["shift"]
