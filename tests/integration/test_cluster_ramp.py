"""A ramp on a real API server, by counters of its own: see `ramped`."""

import itertools
import json
import time
from functools import partial
from unittest.mock import ANY

import pytest
from clients import survives
from ramped import FILE, RAMP, World

from abctl.cli.main import run as abctl
from abctl.errors import UsageError
from abctl.session.run import turn
from abctl.session.say import say
from abctl.sources.scrape import Scraped
from abctl.spec import parse


@pytest.fixture
def make_world(cluster, namespace, tmp_path, monkeypatch):
    numbers = itertools.count()

    def make(ramp=RAMP, **made):
        name = f"iris-{next(numbers)}"
        path = tmp_path / f"{name}.jsonl"
        text = FILE.format(name=name, namespace=namespace, pages=path, ramp=ramp)
        world = World(cluster, parse(text, "iris.yaml"), path, text, **made)
        monkeypatch.setattr(Scraped, "now", lambda _: world.now)
        return world

    return make


def codes(found):
    return [reason.code for reason in found.action.reasons]


def test_a_better_model_is_ramped_up_approved_and_promoted(make_world):
    gated = "{steps: [5%, 20%, 50%], hold: 1m, onShip: promote, gate: [50%, promote]}"
    world = make_world(gated)
    found = world.turns(most=9)
    assert world.shares == [0, 500, 2000]
    assert (found[-1].action.kind, codes(found[-1])[-1]) == ("hold", "rampGate")
    assert say(world.session(), "approved", why="it looks fine").gate == "50%"
    world.turns(most=6)
    assert world.shares == [0, 500, 2000, 5000]
    world.done = (0.6, 0.9)
    found = world.turns(most=15)
    assert (found[-1].verdict, codes(found[-1])) == ("ship", ["rampGate"])
    assert say(world.session(), "approved", why="ship it").gate == "promote"
    with pytest.raises(UsageError, match="no gate waits"):
        say(world.session(), "approved", why="more")
    found = world.turns()
    assert [each.action.kind for each in found] == ["promote", "finish"]
    assert (world.split["treatment"], found[-1].verdict) == (10_000, "ship")
    words = [(e.phase, e.parts, e.why) for e in world.ledger.words]
    assert words == [
        ("approved", ("50%",), "it looks fine"),
        ("approved", ("promote",), "ship it"),
    ]
    assert [each.action.kind for each in world.turns()] == ["finish"]


def test_harm_is_rolled_back_at_the_first_step(make_world):
    world = make_world(failed=(0.01, 0.3))
    found = world.turns()
    assert (world.shares, found[-1].verdict) == ([0, 500, 0], "stop")
    assert [each.action.kind for each in found[-2:]] == ["rollback", "finish"]
    assert "harmProven" in codes(found[-2])
    # Every other bound is shared, so that it stayed where it was until then.
    assert {each.action.kind for each in found[1:-2]} <= {"hold"}


def test_a_treatment_without_a_good_answer_is_rolled_back_in_minutes(make_world):
    world = make_world()
    world.turns(most=2)
    world.failed = (0.01, 1.0)
    before = world.now
    found = world.turns()
    assert (world.split["treatment"], found[-1].verdict) == (0, "stop")
    assert world.now - before <= 120


def test_what_is_not_scraped_is_held_and_goes_on_when_it_is(make_world):
    world = make_world()
    world.turns(most=2)
    world.scraped = (False, False)
    world.turns(most=4)  # what was scraped last still counts for two minutes
    share = world.split["treatment"]
    held = world.turns(most=4)
    assert codes(held[-1])[:2] == ["rampInvalid", "stale"]
    assert (world.split["treatment"], share < 5000) == (share, True)
    world.scraped = (True, True)
    world.pass_time(2400.0)
    world.turns(most=6)
    assert world.split["treatment"] > share


def test_people_hold_it_and_end_it(make_world):
    world = make_world()
    world.turns(most=3)
    session = world.session()
    assert say(session, "paused", why="a holiday").changed
    assert not say(session, "paused", why="again").changed
    found = world.turns(most=12)
    assert (world.shares, codes(found[-1])) == ([0, 500], ["rampPaused"])
    say(session, "resumed", why="back")
    world.turns(most=6)
    assert world.shares[2] > 500
    say(session, "aborted", why="errors in the shop")
    found = world.turns()
    assert [each.action.kind for each in found] == ["rollback", "finish"]
    assert world.ledger.entries[-1].why.endswith("errors in the shop")


def test_what_somebody_says_in_the_middle_of_a_shift_does_not_break_it(make_world):
    world = make_world()

    def speak(verb, *args, **kwargs):
        if verb == "patch" and not (kwargs.get("dry_run") or world.ledger.words):
            say(world.session(), "paused", why="now")
        return getattr(world.client, verb)(*args, **kwargs)

    class Speaking:
        def __getattr__(self, verb):
            return partial(speak, verb)

    world.pass_time(60.0)
    assert turn(world.session(Speaking())).failure is None
    phases = [entry.phase for entry in world.ledger.entries]
    assert phases[-3:] == ["intent", "paused", "applied"]
    assert world.ledger.intent is None


def test_killed_at_any_call_the_next_turn_goes_on(make_world):
    for at in itertools.count(1):
        world = make_world()  # which begins with its first step
        known = world.ledger.entries
        killed = partial(lambda world, client: turn(world.session(client)), world)
        completed = survives(killed, world.client, at, at % 2)
        left = world.ledger.entries
        assert left[: len(known)] == known
        world.pass_time(30.0)
        turn(world.session())
        assert world.ledger.entries[: len(left)] == left
        assert world.ledger.intent is None
        assert world.split["treatment"] == world.ledger.desired["treatment"] == 500
        if completed:
            break
    assert at > 6


def test_the_commands(make_world, tmp_path, capsys, monkeypatch):
    world = make_world(now=time.time() - 130.0)
    world.pass_time(115.0)  # to the present, as the commands go by the clocks that there are
    monkeypatch.setattr(Scraped, "now", lambda _: time.time())
    monkeypatch.setenv("ABCTL_KUBECONFIG", str(world.cluster.kubeconfig))
    file = tmp_path / "iris.yaml"
    file.write_text(world.text)

    def command(name, *options):
        code = abctl([name, str(file), *options, "-o", "json"])
        return code, json.loads(capsys.readouterr().out)

    assert command("pause", "--why", "a holiday", "--actor", "ann")[1]["changed"]
    code, found = command("run", "--once", "--yes", "--exit-code")
    assert (code, found["action"], found["worst"]) == (10, "hold", {"treatment": ANY})
    assert found["reasonCodes"][0]["code"] == "rampPaused"
    assert not command("resume")[1]["gate"]
    code, found = command("run", "--once", "--yes")
    assert (code, found["action"], found["to"]["treatment"]) == (5, "shift", 0.05)
    assert found["failure"].startswith("treatment is not ready")
    assert command("abort", "--why", "enough")[0] == 0
    code, found = command("run", "--yes", "--fail-on", "stop")
    assert (code, found["action"], found["verdict"]) == (11, "finish", "stop")
    phases = [each["phase"] for each in command("log")[1]["entries"][2:]]
    assert phases == ["paused", "resumed", "aborted"]
    assert abctl(["approve", str(file)]) == 2
    assert "no gate waits" in capsys.readouterr().err
