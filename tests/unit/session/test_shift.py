"""A shift: intent, patch, wait, applied; killed anywhere; two at once; drift."""

import itertools
import json
import math
from dataclasses import replace
from functools import partial

import pytest
from clients import CountingClient, contend, survives

from abctl.cluster.directory import DirectoryClient
from abctl.core.ledger import Entry, ledger_ref
from abctl.core.split import Split
from abctl.errors import ConflictError, NotFoundError, NotReadyError, SpecError, UsageError
from abctl.forms.ledger import ledger_of, with_ledger
from abctl.platforms import envoy
from abctl.session import ledger
from abctl.session.adopt import Adopting
from abctl.session.apply import create, start
from abctl.session.rollback import everything_to, plan_promotion, rollback
from abctl.session.session import Session
from abctl.session.shift import check, plan, shift
from abctl.session.wait import wait_until_in_effect

NAMES = ("control", "treatment")


def split(treatment_bp):
    return Split(NAMES, (10_000 - treatment_bp, treatment_bp))


A, B, C = split(1000), split(3000), split(5000)


class Clock:
    """Time that passes when somebody sleeps, and a little whenever somebody looks."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        self.now = round(self.now + 0.001, 3)
        return self.now

    def sleep(self, seconds):
        self.now += seconds


class LateEnvoy:
    """Reports the mounted routes, some looks after they have changed; `deaf` reports the old."""

    def __init__(self, root, looks=2):
        self.file = root / "mounts" / "iris-envoy" / "routes.json"
        self.looks, self.deaf = looks, False
        self.has, self.coming, self.left = None, None, 0

    def __call__(self, obj):
        if (obj["kind"], obj["metadata"]["name"]) != ("ConfigMap", "iris-envoy"):
            return None
        mounted = self.file.read_text()
        if mounted != self.coming:
            self.coming, self.left = mounted, self.looks
        if self.left == 0 and not self.deaf:
            self.has = mounted
        self.left = max(0, self.left - 1)
        if self.has is None:
            return {"refusal": "no routes yet"}
        return {"routes": json.loads(self.has)["resources"][0], "refusal": "update_rejected"}


def open_by(clock, client, experiment):
    """A session of Ann's."""
    time = {"clock": clock, "sleep": clock.sleep, "timeout_seconds": 5.0}
    return Session(client, envoy, experiment, actor="ann", **time)


class World:
    """An experiment that was started with split A."""

    def __init__(self, root, experiment):
        self.experiment = experiment
        self.clock = Clock()
        self.envoy = LateEnvoy(root)
        self.client = DirectoryClient(root, self.envoy)
        self.session = open_by(self.clock, self.client, experiment)
        start(self.session, why="test")

    def shift(self, to, client=None, **settings):
        session = replace(self.session, world=client or self.client, **settings)
        return shift(session, to, why="test")

    @property
    def ledger(self):
        return ledger_of(self.client.get(ledger_ref(self.experiment)))

    @property
    def asked(self):
        return envoy.split_of(self.client.get(envoy.target(self.experiment)))

    @property
    def steps(self):
        return [(e.phase, e.before, e.after) for e in self.ledger.entries]

    def tamper(self, to):
        obj = self.client.get(envoy.target(self.experiment))
        self.client.replace(envoy.with_split(obj, to))

    def intend(self, to):
        obj = self.client.get(ledger_ref(self.experiment))
        entry = Entry(self.clock(), "bob", self.asked, to, "killed", "intent")
        self.client.replace(with_ledger(obj, ledger_of(obj).with_entry(entry)))


@pytest.fixture
def make_world(tmp_path, make_experiment):
    numbers = itertools.count()

    def make():
        return World(tmp_path / str(next(numbers)), make_experiment(shares_bp=A.shares_bp))

    return make


@pytest.fixture
def world(make_world):
    return make_world()


STARTED = [("intent", None, A), ("applied", None, A)]


def test_a_start_opens_the_first_epoch_once(world):
    assert world.steps == STARTED
    assert start(world.session, why="test")
    assert world.steps == STARTED


def test_a_start_again_goes_on_with_the_split_of_the_ledger(world):
    world.shift(B)
    world.client.delete(envoy.target(world.experiment))
    start(world.session, why="test")
    assert world.asked == B
    assert world.ledger.desired == B


def test_a_shift_is_an_intent_and_an_outcome(world):
    result = world.shift(B)
    assert (result.before, result.after, result.changed, result.confirmed) == (A, B, True, True)
    assert world.steps == [*STARTED, ("intent", A, B), ("applied", A, B)]
    assert world.asked == B
    applied = world.ledger.entries[-1]
    assert (applied.actor, applied.why) == ("ann", "test")


def test_it_is_applied_only_when_the_platform_says_so(world):
    world.envoy.looks = 10
    seen = world.clock.now
    world.shift(B)
    assert world.envoy.has == world.envoy.file.read_text()
    intent, applied = world.ledger.entries[-2:]
    assert applied.at - intent.at > 0.005 * 9
    assert intent.at > seen


def test_twice_is_the_same_as_once(world):
    world.shift(B)
    again = world.shift(B)
    assert (again.changed, again.confirmed) == (False, True)
    assert len(world.steps) == 4


def test_a_platform_that_cannot_tell_is_not_said_to_have_confirmed(world):
    silent = DirectoryClient(world.client._root)
    assert world.shift(B, client=silent).confirmed is False
    assert world.ledger.desired == B


def test_what_is_not_started_cannot_be_shifted(tmp_path, make_experiment):
    session = open_by(Clock(), DirectoryClient(tmp_path / "empty"), make_experiment())
    with pytest.raises(NotFoundError, match="iris was not started"):
        plan(session, A)


def test_what_the_platform_cannot_express_writes_nothing(world):
    with pytest.raises(SpecError):
        world.shift(Split(("control", "other"), (5000, 5000)))
    assert world.steps == STARTED


def test_a_plan_changes_nothing_and_says_who_moves(world):
    planned = plan(world.session, C)
    assert planned.moves == {("control", "treatment"): 4000}
    assert (planned.before, planned.empty) == (A, False)
    assert plan(world.session, A).empty
    assert plan(world.session, split(10_000)).moves == {("control", "treatment"): 9000}
    assert world.steps == STARTED
    assert world.asked == A


def test_a_variant_that_is_not_ready_gets_nothing_more(world):
    with pytest.raises(NotReadyError, match="treatment is not ready: it is down"):
        world.shift(B, ready=lambda name: name == "control" or "it is down")
    assert world.steps == STARTED
    world.shift(B)
    # Taking requests from a variant that is down is just what one wants then.
    world.shift(A, ready=lambda name: name == "control" or "it is down")
    with pytest.raises(NotReadyError, match="control"):
        world.shift(split(0), ready=lambda name: name != "control")


def test_a_refusal_is_reported_and_leaves_the_intent_open(world):
    world.envoy.deaf = True
    with pytest.raises(NotReadyError, match=r"not in effect after 5 s \(update_rejected"):
        world.shift(B)
    assert world.ledger.intent.after == B
    assert world.ledger.epochs(world.clock.now, 0)[-1].split == A
    # A shift back needs nothing of the platform that it does not have already.
    world.shift(A)
    assert world.steps[-2:] == [("intent", A, B), ("reverted", B, A)]
    assert world.ledger.intent is None
    assert world.asked == A


def test_drift_is_noticed_entered_and_reported(world):
    world.tamper(C)
    assert plan(world.session, B).state.drifted
    result = world.shift(B)
    assert (result.drift, result.before) == (C, C)
    assert world.steps[2:] == [("observed", A, C), ("intent", C, B), ("applied", C, B)]
    observed = world.ledger.entries[2]
    assert (observed.actor, observed.why) == ("unknown", "noticed by ann")
    assert not world.ledger.epochs(world.clock.now, 0)[0].certain


def test_a_drift_to_where_one_wants_to_go_is_entered_all_the_same(world):
    world.tamper(C)
    result = world.shift(C)
    assert (result.drift, result.changed) == (C, False)
    assert world.steps[2:] == [("observed", A, C)]


def test_a_drift_ends_an_open_intent(world):
    world.intend(B)
    world.tamper(C)
    world.shift(B)
    assert world.steps[2:] == [
        ("intent", A, B),
        ("observed", A, C),
        ("intent", C, B),
        ("applied", C, B),
    ]


@pytest.mark.parametrize("patched", [False, True])
def test_an_open_intent_is_finished_reverted_or_replaced(make_world, patched):
    ends = {B: ("applied", A, B), A: ("reverted", B, A)}
    for wanted in (A, B, C):
        world = make_world()
        world.intend(B)
        if patched:
            world.tamper(B)
        world.shift(wanted)
        assert world.ledger.intent is None
        assert (world.asked, world.ledger.desired) == (wanted, wanted)
        where = B if patched else A
        last = ends.get(wanted, ("applied", where, C))
        assert world.steps[-1] == last


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("then", [A, B, C], ids=["back", "again", "elsewhere"])
def test_killed_at_any_call_the_next_command_brings_order(make_world, after, then):
    for at in itertools.count(1):
        world = make_world()
        completed = survives(partial(world.shift, B), world.client, at, after)
        left = world.ledger
        assert left.entries[:2] == world.ledger.entries[:2]
        world.shift(then)
        known = world.ledger
        # Nothing that was written is lost, nothing stays open, and nothing is invented.
        assert known.entries[: len(left.entries)] == left.entries
        assert known.intent is None
        assert (world.asked, known.desired) == (then, then)
        assert "observed" not in {entry.phase for entry in known.entries}
        steps = len(known.entries)
        assert world.shift(then).changed is False
        assert len(world.ledger.entries) == steps
        if completed:
            break
    assert at > 8


@pytest.mark.slow
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_start_that_is_killed_is_done_again(tmp_path, make_experiment, after):
    experiment = make_experiment(shares_bp=A.shares_bp)
    for at in itertools.count(1):
        root = tmp_path / str(at)
        client = DirectoryClient(root, LateEnvoy(root))
        clock = Clock()
        session = open_by(clock, client, experiment)

        def begin(client, session=session):
            start(replace(session, world=client), why="")

        completed = survives(begin, client, at, after)
        create(session, why="")
        start(session, why="")
        entries = ledger_of(client.get(ledger_ref(experiment))).entries
        assert [(e.phase, e.before, e.after) for e in entries] == STARTED
        if completed:
            break
    assert at > 4


@pytest.mark.slow
def test_of_two_at_once_one_wins_and_no_entry_is_ever_lost(world):
    world.envoy.looks = 0
    contend(world, world.client, world.client, rounds=100)


class RequestTemplate(CountingClient):
    """Writes down what is read."""

    def __init__(self, client):
        super().__init__(client)
        self.asked = []

    def get(self, ref):
        self.asked.append(ref)
        return self.client.get(ref)


def test_one_look_reads_each_object_once_and_drift_is_looked_at_twice(world):
    both = [ledger_ref(world.experiment), envoy.target(world.experiment)]
    client = RequestTemplate(world.client)
    session = replace(world.session, world=client)
    state = session.observe()
    assert (state.asked, state.drifted, client.asked) == (A, False, both)
    world.tamper(C)
    client.asked.clear()
    state = session.observe()
    assert (state.asked, state.drifted, client.asked) == (C, True, both * 2)


def test_what_was_found_is_not_read_again_and_no_drift_where_it_is_old(world):
    target = envoy.target(world.experiment)
    found, client = world.client.get(target), RequestTemplate(world.client)
    adopted = Adopting(client, world.experiment, found)
    session = replace(world.session, world=adopted, adopted=True)
    assert (session.observe().asked, client.asked) == (A, [ledger_ref(world.experiment)])
    assert session.observe().asked == A
    assert client.asked[-1] == target
    session = replace(session, world=Adopting(client, world.experiment, found))
    world.shift(B)
    assert (session.observe().asked, session.observe().drifted) == (B, False)


def test_the_ledger_is_parsed_once_for_each_state_that_is_read(world, monkeypatch):
    parsed, split_of, decoded = [], envoy.split_of, []
    monkeypatch.setattr(ledger, "ledger_of", lambda obj: parsed.append(obj) or ledger_of(obj))
    monkeypatch.setattr(envoy, "split_of", lambda obj: decoded.append(obj) or split_of(obj))
    world.envoy.looks = 0
    assert world.shift(B).changed
    # As it was before; and the split once more when it is read back.
    assert (len(parsed), len(decoded)) == (1, 2)


def test_a_promotion_and_a_rollback_are_splits_like_others(world):
    planned = plan_promotion(world.session, None)
    assert (planned.before, planned.after) == (A, split(10_000))
    assert world.shift(planned.after).after == world.asked == split(10_000)
    assert rollback(world.session, why="test").after == world.asked == split(0)
    assert world.steps[-1] == ("applied", split(10_000), split(0))
    many = Split(("a", "b", "c"), (5000, 3000, 2000))
    assert everything_to(many, "c") == Split(many.names, (0, 0, 10_000))
    assert everything_to(many, "a") == Split(many.names, (10_000, 0, 0))
    with pytest.raises(UsageError):
        everything_to(many, "d")
    with pytest.raises(UsageError):
        plan_promotion(world.session, "control")


def test_what_somebody_changes_before_the_patch_is_seen_and_the_last_intent_wins(world):
    class Disturbed(CountingClient):
        def patch(self, *args, **kwargs):
            if world.asked == A:
                world.tamper(C)
            return self.client.patch(*args, **kwargs)

    world.shift(B, client=Disturbed(world.client))
    assert (world.asked, world.steps[2:]) == (B, [("intent", A, B), ("applied", A, B)])


def test_who_resumes_an_intent_that_was_overtaken_says_by_whom(world):
    world.intend(B)

    class Overtaken(CountingClient):
        looks = 0

        def get(self, ref):
            seen = self.client.get(ref)
            if ref == envoy.target(world.experiment) and not self.looks:
                self.looks = 1
                world.shift(C, actor="bob")
            return seen

    with pytest.raises(ConflictError, match="bob was faster: applied control 50%, treatment 50%"):
        world.shift(B, client=Overtaken(world.client))
    assert (world.asked, world.ledger.desired) == (C, C)


def test_two_with_the_same_wish_both_get_it(world):
    world.intend(B)

    class Overtaken(CountingClient):
        def replace(self, obj):
            # Somebody else finishes the same intent just before we do.
            world.shift(B, actor="bob")
            return self.client.replace(obj)

    result = world.shift(B, client=Overtaken(world.client))
    assert (result.after, result.changed) == (B, True)
    assert world.steps[2:] == [("intent", A, B), ("applied", A, B)]


def test_who_is_overtaken_says_by_whom(world):
    class Overtaken(CountingClient):
        def patch(self, *args, **kwargs):
            world.shift(C, actor="bob")
            return self.client.patch(*args, **kwargs)

    with pytest.raises(ConflictError, match="bob was faster: applied control 50%, treatment 50%"):
        world.shift(B, client=Overtaken(world.client))
    assert (world.asked, world.ledger.desired) == (C, C)


def test_whoever_waits_is_told_what_for(world):
    world.envoy.looks, said = 40, []
    assert world.shift(B, report=said.append, timeout_seconds=60.0).confirmed
    assert said == ["waiting: update_rejected"]
    # Where it takes but a moment there is nothing to tell.
    world.envoy.looks = 2
    assert world.shift(A, report=said.append).confirmed
    assert len(said) == 1


def test_what_somebody_changes_while_one_waits_ends_the_wait(world):
    world.envoy.looks = 10

    def sleep(seconds):
        world.clock.sleep(seconds)
        world.tamper(C)

    with pytest.raises(ConflictError, match="somebody else changed it to control 50%"):
        world.shift(B, sleep=sleep)
    assert (world.asked, world.ledger.intent, world.ledger.desired) == (C, None, C)
    assert world.steps[2:] == [("intent", A, B), ("observed", B, C)]


def test_it_looks_often_at_first_and_every_half_second_later(world):
    world.envoy.deaf, pauses = True, []

    def sleep(seconds):
        pauses.append(seconds)
        world.clock.sleep(seconds)

    began, looks = world.clock.now, 0.001
    session = replace(world.session, sleep=sleep, timeout_seconds=3.0)
    with pytest.raises(NotReadyError, match="not in effect after 3 s"):
        shift(session, B, why="test")
    assert pauses == pytest.approx([min(0.5, 0.005 * 1.5**i) for i in range(len(pauses))])
    assert sum(pauses[:-1]) + looks * len(pauses) < 3 <= sum(pauses) + looks * len(pauses)
    assert math.isclose(world.clock.now - began, sum(pauses), abs_tol=0.1)
    # Whoever waits by himself says how long, and is told the same.
    pauses.clear()
    with pytest.raises(NotReadyError, match="not in effect after 1 s"):
        wait_until_in_effect(session, B, 1.0)
    assert 0.5 < sum(pauses) < 1.5


def test_whoever_waits_reminds_the_world_and_says_once_that_it_cannot(world):
    world.envoy.looks, reminders, said = 10, [], []

    def remind():
        reminders.append(world.clock.now)
        return "you may not"

    assert world.shift(B, remind=remind, report=said.append).confirmed
    assert len(reminders) == 1
    assert "you may not" in said[0]
    # What is in effect at once needs no reminder.
    reminders.clear()
    world.envoy.looks = 0
    assert world.shift(A, remind=remind).confirmed
    assert not reminders


def test_the_time_is_over_at_its_very_end(world):
    world.envoy.deaf = True
    world.client.replace(envoy.with_split(world.client.get(envoy.target(world.experiment)), B))
    looks = []

    def clock():
        looks.append(1000.0 + len(looks))
        return looks[-1]

    session = replace(world.session, clock=clock, sleep=lambda _: None)
    with pytest.raises(NotReadyError):
        wait_until_in_effect(session, B, 2.0)
    assert looks == [1000.0, 1001.0, 1002.0]


def test_a_patch_that_always_comes_too_late_is_tried_five_times(make_world):
    class Busy(CountingClient):
        left, tries = 4, 0

        def patch(self, *args, dry_run=False):
            self.tries += not dry_run
            if self.tries <= self.left:
                raise ConflictError("busy", "again")
            return self.client.patch(*args, dry_run=dry_run)

    world = make_world()
    client = Busy(world.client)
    assert world.shift(B, client=client).changed
    assert (client.tries, world.ledger.desired) == (5, B)
    world, Busy.left = make_world(), 99
    client = Busy(world.client)
    with pytest.raises(ConflictError, match="busy"):
        world.shift(B, client=client)
    assert (client.tries, world.asked, world.ledger.intent.after) == (5, A, B)


def test_a_plan_is_checked_by_the_world_and_carried_out_as_it_is(world):
    class Tried(CountingClient):
        dry = ()

        def patch(self, *args, dry_run=False):
            self.dry = (*self.dry, dry_run)
            return self.client.patch(*args, dry_run=dry_run)

    client = Tried(world.client)
    session = replace(world.session, world=client)
    planned = plan(session, B)
    check(session, planned)
    check(session, plan(session, A))
    assert (client.dry, world.asked, world.steps) == ((True,), A, STARTED)
    world.tamper(C)
    with pytest.raises(ConflictError):
        check(session, planned)
    world.tamper(A)
    planned = plan(session, B)
    assert shift(session, C, why="test", planned=planned).after == B


def test_whoever_finishes_anothers_intent_is_no_empty_plan(world):
    world.intend(A)
    assert not plan(world.session, A).empty
    assert world.shift(A).changed
    assert plan(world.session, A).empty
    world.tamper(C)
    assert not plan(world.session, C).empty


def test_of_three_only_those_move_whose_variant_changes(world):
    names = ("control", "a", "b")
    planned = plan(world.session, A)
    state = replace(planned.state, asked=Split(names, (4000, 4000, 2000)))
    moves = replace(planned, state=state, after=Split(names, (5000, 1000, 4000))).moves
    assert sum(moves.values()) == 3000 + 2000 - moves.get(("a", "b"), 0)
    back = replace(
        planned,
        state=replace(state, asked=Split(names, (5000, 1000, 4000))),
        after=Split(names, (4000, 4000, 2000)),
    ).moves
    assert back == {(two, one): moved for (one, two), moved in moves.items()}
    assert replace(planned, state=state, after=state.asked).moves == {}


def test_what_is_not_ready_may_say_nothing_or_why(world):
    with pytest.raises(NotReadyError) as silent:
        world.shift(B, ready=lambda name: False)
    with pytest.raises(NotReadyError) as told:
        world.shift(B, ready=lambda name: "it is down")
    assert silent.value.message == "treatment is not ready"
    assert told.value.message == "treatment is not ready: it is down"


def test_a_change_that_the_platform_would_refuse_is_no_plan(world, monkeypatch):
    def refuse(platform, objects):
        assert (platform, [envoy.split_of(obj) for obj in objects]) == (envoy, [B])
        raise SpecError("refused", "change it")

    monkeypatch.setattr("abctl.session.shift.require_admissible", refuse)
    with pytest.raises(SpecError, match="refused"):
        plan(world.session, B)
    assert plan(world.session, A).empty


def test_whoever_overtakes_a_resumed_intent_finds_nothing_patched(world):
    world.intend(B)

    class Overtaken(CountingClient):
        looks = 0

        def get(self, ref):
            seen = self.client.get(ref)
            if ref == envoy.target(world.experiment) and not self.looks:
                self.looks = 1
                world.intend(C)
            return seen

    with pytest.raises(ConflictError, match="bob was faster"):
        world.shift(B, client=Overtaken(world.client))
    assert world.asked == A


def test_the_old_split_without_a_refusal_is_waited_for(world):
    world.envoy.looks, late, said = 12, world.envoy, []

    def status(obj):
        found = late(obj)
        return found and {**found, "refusal": None}

    client = DirectoryClient(world.client._root, status)
    settings = {"report": said.append, "timeout_seconds": 60.0}
    result = world.shift(B, client=client, **settings)
    assert (result.changed, result.confirmed) == (True, True)
    late.deaf = True
    with pytest.raises(NotReadyError, match="still control 70%, treatment 30%"):
        world.shift(A, client=client, **settings)


def test_an_equal_share_needs_nobody_to_be_ready(world):
    assert not world.shift(A, ready=lambda _: False).changed
