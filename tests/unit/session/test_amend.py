"""A plan for what runs already, a plan that changes on record, and whose ledger it is."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Object, Ref
from abctl.core.doubts import accepted
from abctl.core.experiment import Experiment
from abctl.core.ledger import ledger_ref
from abctl.core.split import Split
from abctl.errors import ConflictError, NotFoundError, NotReadyError, UsageError
from abctl.forms.ledger import ledger_of, target_of
from abctl.platforms import envoy
from abctl.session import adopt as by_name
from abctl.session import ledger
from abctl.session.amend import accept, adopt, adoption, amend
from abctl.session.session import Session
from abctl.session.shift import shift

END, SETTLE = 2000.0, 0.0
NAMES = ("control", "treatment")
A, B = Split(NAMES, (9000, 1000)), Split(NAMES, (7000, 3000))


class Clock:
    """A second passes whenever somebody looks."""

    now = 1000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def session(tmp_path: Path, written: Experiment) -> Session:
    """What somebody else has applied, with a split of their own."""
    client = DirectoryClient(tmp_path)
    for obj in envoy.objects(written):
        client.create(obj)
    found = client.get(envoy.target(written))
    client.replace(envoy.with_split(found, B))
    return Session(client, envoy, written, actor="ann", clock=Clock())


def objects(session: Session) -> list[Object]:
    made = session.platform.objects(session.experiment)
    return [session.world.get(Ref.of(obj)) for obj in made]


def stricter(session: Session) -> Session:
    design = replace(session.experiment.design, alpha=0.01)
    changed = replace(session.experiment, design=design, written=None)
    return replace(session, experiment=changed, actor="eve")


def test_what_others_applied_gets_a_ledger_and_stays_as_it_is(session: Session) -> None:
    before = objects(session)
    assert adoption(session, why="by Argo CD").ledger.entries[0].after == B
    with pytest.raises(NotFoundError):
        ledger.read(session.world, session.experiment)
    known = adopt(session, why="by Argo CD")
    assert objects(session) == before
    first = known.entries[0]
    assert (first.phase, first.before, first.after) == ("observed", None, B)
    assert (known.without_plan, known.changed_since(session.experiment)) == (False, ())
    assert known.epochs(END, SETTLE)[0].split == B
    assert shift(session, A, why="less").changed
    said = target_of(session.world.get(ledger_ref(session.experiment)))
    assert said
    assert said[0] == session.target
    with pytest.raises(ConflictError, match="started already"):
        adopt(session, why="again")


def test_what_is_not_there_or_of_others_is_not_adopted(session: Session) -> None:
    swapped = replace(session.experiment, split=Split(("x", "y"), A.shares_bp))
    with pytest.raises(ConflictError, match="control and treatment"):
        adopt(replace(session, experiment=swapped), why="")
    session.world.delete(session.target)
    with pytest.raises(NotFoundError):
        adopt(session, why="")


def test_a_ledger_that_a_shift_began_gets_its_plan(session: Session) -> None:
    client, (name, place) = session.world, ("cm/iris-envoy", session.experiment.namespace)
    carrier, made_up, found = by_name.experiment(client, name, place)
    adopting = by_name.Adopting(client, made_up, found)
    alone = Session(adopting, carrier, made_up, adopted=True, actor="bob", clock=session.clock)
    shift(alone, A, why="a try")
    known = adopt(session, why="a plan at last")
    assert [e.phase for e in known.entries] == ["observed", "intent", "applied", "amended"]
    assert (known.without_plan, known.changed_since(session.experiment)) == (False, ())
    # What came before was not planned.
    [epoch] = known.epochs(known.entries[-1].at + 60.0, SETTLE)
    assert (epoch.start, epoch.split) == (known.entries[-1].at, A)


def test_a_plan_is_amended_on_record(session: Session) -> None:
    adopt(session, why="by Flux")
    shift(session, A, why="less")
    changed = stricter(session)
    with pytest.raises(UsageError):
        amend(changed, why=" ")
    with pytest.raises(UsageError):
        amend(session, why="nothing differs")
    assert amend(changed, why="stricter", dry_run=True).entries[-1].parts == ("design",)
    before = ledger.read(session.world, session.experiment).ledger
    known = amend(changed, why="stricter")
    last = known.entries[-1]
    assert (last.phase, last.actor, last.parts) == ("amended", "eve", ("design",))
    assert (known.desired, known.present, last.after) == (A, A, A)
    assert known.changed_since(changed.experiment) == ()
    assert known.changed_since(session.experiment) == ("design",)
    [epoch] = known.epochs(END, SETTLE)
    assert (epoch.start, epoch.split, known.counts_from(SETTLE)) == (last.at, A, last.at)
    obj = session.world.get(ledger_ref(session.experiment))
    assert before.plan in obj["data"].values()
    assert (ledger_of(obj), obj["data"]["format"]) == (known, "3")
    # The next shift goes on from there.
    assert shift(changed, B, why="more").changed
    later = ledger.read(session.world, session.experiment).ledger
    assert [epoch.split for epoch in later.epochs(END, SETTLE)] == [A, B]


def test_a_doubt_is_accepted_on_record_and_the_plan_and_what_counted_stay(session: Session) -> None:
    before = adopt(session, why="by Flux")
    with pytest.raises(UsageError, match="splitMismatch cannot be accepted"):
        accept(session, ["splitMismatch"], why="it is fine")
    with pytest.raises(UsageError, match="needs a reason"):
        accept(session, ["bornUnknown"], why=" ")
    assert accepted(accept(session, ["bornUnknown"], why="a try", dry_run=True))
    assert not accepted(ledger.read(session.world, session.experiment).ledger)
    accept(session, ["bornUnknown", "refusalsDiffer"], why="a try")
    accept(replace(session, actor="eve"), ["refusalsDiffer"], why="it is meant to")
    known = ledger.read(session.world, session.experiment).ledger
    said = {code: (entry.actor, entry.why) for code, entry in accepted(known).items()}
    assert said == {"bornUnknown": ("ann", "a try"), "refusalsDiffer": ("eve", "it is meant to")}
    assert known.plan == before.plan
    assert known.amendments == ()
    assert known.epochs(END, SETTLE) == before.epochs(END, SETTLE)


def test_another_experiment_is_no_amendment(session: Session) -> None:
    adopt(session, why="")
    others = replace(stricter(session).experiment, split=Split(("a", "b"), A.shares_bp))
    with pytest.raises(ConflictError, match="another set of variants"):
        amend(replace(session, experiment=others), why="others")


def test_kinds_that_share_a_name_share_no_ledger(tmp_path: Path) -> None:
    client = DirectoryClient(tmp_path)
    meta = {"name": "iris", "namespace": "prod"}
    candidates = [{"name": name, "weight": 50} for name in ("v1", "v2")]
    routes = [{"destination": {"host": host}, "weight": 50} for host in ("v1", "v2")]
    kinds = {
        "vs/iris": {
            "apiVersion": "networking.istio.io/v1",
            "kind": "VirtualService",
            "metadata": meta,
            "spec": {"hosts": ["iris"], "http": [{"route": routes}]},
        },
        "experiment/iris": {
            "apiVersion": "mlops.seldon.io/v1alpha1",
            "kind": "Experiment",
            "metadata": meta,
            "spec": {"default": "v1", "candidates": candidates},
        },
    }
    found = []
    for share, (word, obj) in enumerate(kinds.items(), 1):
        client.create(obj)
        for more in (1000, 2000):
            carrier, made_up, there = by_name.experiment(client, word, "prod")
            adopting = by_name.Adopting(client, made_up, there)
            session = Session(
                adopting, carrier, made_up, adopted=True, actor="ann", timeout_seconds=0.0
            )
            with suppress(NotReadyError):  # no controller reports on it here
                bp = share * 100 + more
                shift(session, Split(("v1", "v2"), (10_000 - bp, bp)), why="")
        found.append(ledger.find(client, made_up))
    names = [obj["metadata"]["name"] for obj in found]
    assert names == ["abctl-iris", "abctl-experiment.iris"]
    assert [ledger_of(obj).wanted.short for obj in found] == ["79/21", "78/22"]
    targets = [target_of(obj) for obj in found]
    assert [said and said[0].kind for said in targets] == ["VirtualService", "Experiment"]
