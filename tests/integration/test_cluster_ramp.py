"""A ramp on a real API server, by counters of its own: only the requests and the clock are made up.

Time passes where the loop waits for it. Then requests come, go where the object that carries the
split sends them, fail as often as the test says, and are counted and scraped as servers are.
"""

import itertools
import json
import time
from dataclasses import dataclass, field
from functools import partial
from unittest.mock import ANY

import numpy as np
import pytest
from clients import survives

from abctl.cli.main import run as abctl
from abctl.cluster.kube import ClusterClient
from abctl.core.ledger import ledger_ref
from abctl.errors import NotFoundError, UsageError
from abctl.forms.ledger import ledger_of
from abctl.platforms import envoy
from abctl.session.apply import start
from abctl.session.run import run, turn
from abctl.session.say import say
from abctl.session.session import Session
from abctl.sources.scrape import Scraped
from abctl.spec import parse

SCRAPED_EVERY, REQUESTS = 5.0, 400  # seconds; requests between two scrapes
_FILE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  platform: envoy
  accessLog: false
  assignment: {{unit: request}}
  variants:
    - {{name: control, split: 100%, model: {{name: iris, version: v1, image: "abctl/iris:v1"}}}}
    - {{name: treatment, split: 0, model: {{name: iris, version: v2, image: "abctl/iris:v2"}}}}
  metrics:
    - name: done
      role: primary
      kind: proportion
      of: done
      direction: increase
      mde: 5pp
      selectors:
        n: n_total{{variant="$variant"}}
        successes: done_total{{variant="$variant"}}
    - {{name: failed, role: guardrail, kind: proportion, of: server_errors, direction: decrease,
       margin: 5pp}}
  source: {{scrape: {{file: {pages}}}, preset: abctl}}
  design: {{minDuration: 1m, maxDuration: 2h, settle: 10s}}
  ramp: {ramp}
"""
RAMP = "{steps: [5%, 20%, 50%], hold: 1m, onShip: promote}"


@dataclass
class World:
    """An experiment with a ramp, its requests and its clock."""

    cluster: object
    experiment: object
    path: object
    text: str
    now: float = 1_800_000_000.0
    done: tuple = (0.6, 0.6)
    failed: tuple = (0.01, 0.01)
    scraped: tuple = (True, True)
    counts: dict = field(default_factory=dict)
    rng: object = field(default_factory=lambda: np.random.default_rng(7))

    def __post_init__(self):
        self.client = ClusterClient(kubeconfig=self.cluster.kubeconfig)
        self.pass_time(2 * SCRAPED_EVERY)
        start(self.session(), why="test")

    def session(self, client=None):
        client = client or self.client
        timed = {"clock": lambda: self.now, "sleep": self.pass_time, "actor": "ramp"}
        return Session(client, envoy, self.experiment, **timed)

    def pass_time(self, seconds):
        """Requests come and are scraped until then."""
        end = self.now + seconds
        share = self.share
        while self.now + SCRAPED_EVERY <= end:
            self.now += SCRAPED_EVERY
            self.come(share)
            self.scrape()
        self.now = end

    @property
    def share(self):
        """Of the treatment; nothing before anything is applied."""
        try:
            return self.split["treatment"] / 10_000
        except NotFoundError:
            return 0.0

    def come(self, share):
        treated = int(self.rng.binomial(REQUESTS, share))
        for i, (name, n) in enumerate((("control", REQUESTS - treated), ("treatment", treated))):
            bad = int(self.rng.binomial(n, self.failed[i]))
            told = {"n": n, "done": int(self.rng.binomial(n, self.done[i])), "2xx": n - bad}
            for what, count in (told | {"5xx": bad}).items():
                self.counts[name, what] = self.counts.get((name, what), 0) + count

    def scrape(self):
        here = f'experiment="{self.experiment.name}",namespace="{self.experiment.namespace}"'
        with self.path.open("a") as file:
            for i, name in enumerate(("control", "treatment")):
                if not self.scraped[i]:
                    continue
                of = f'variant="{name}"'
                samples = [
                    f'ab_requests_total{{{of},{here},bucket="0",code="{code}"}} '
                    f"{self.counts[name, code]}"
                    for code in ("2xx", "5xx")
                ]
                samples += [f"{w}_total{{{of}}} {self.counts[name, w]}" for w in ("n", "done")]
                samples.append("process_start_time_seconds 1799999990")
                page = {"at": self.now, "job": "scrape", "instance": f"{name}:80"}
                file.write(json.dumps(page | {"samples": samples}) + "\n")

    def turns(self, most=200):
        """What the loop does until it ends; a turn each half a minute."""
        return list(itertools.islice(run(self.session(), 30.0), most))

    @property
    def split(self):
        return envoy.split_of(self.client.get(envoy.target(self.experiment)))

    @property
    def ledger(self):
        return ledger_of(self.client.get(ledger_ref(self.experiment)))

    @property
    def shares(self):
        """Of the treatment, as the ledger has them in effect one after the other."""
        return [e.after["treatment"] for e in self.ledger.entries if e.phase == "applied"]


@pytest.fixture
def make_world(cluster, namespace, tmp_path, monkeypatch):
    numbers = itertools.count()

    def make(ramp=RAMP, **made):
        name = f"iris-{next(numbers)}"
        path = tmp_path / f"{name}.jsonl"
        text = _FILE.format(name=name, namespace=namespace, pages=path, ramp=ramp)
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
