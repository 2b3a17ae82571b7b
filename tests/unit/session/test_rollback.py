"""The way back: who the control is, and what stands in the way and does not."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from abctl.cli.main import run
from abctl.cluster import Manager, Operations
from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Object, Ref
from abctl.core.ledger import Entry, Ledger, ledger_ref
from abctl.core.split import Split
from abctl.errors import (
    ClusterError,
    ConflictError,
    NotReadyError,
    UnreachableError,
    UsageError,
)
from abctl.forms.ledger import ledger_of, rewritten, with_ledger
from abctl.platforms import seldon
from abctl.session import adopt
from abctl.session import open as opening
from abctl.session.ledger import Book, append
from abctl.session.readiness import Partly, ready
from abctl.session.rollback import plan_promotion, plan_rollback, rollback
from abctl.session.route import Following
from abctl.session.session import Session
from abctl.session.shift import plan, shift
from abctl.session.status import StatusReader


def route(name: str, weights: Mapping[str, Any], **meta: Any) -> Object:
    backends = [{"name": to, "port": 80, "weight": w} for to, w in weights.items()]
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "prod", **meta},
        "spec": {"rules": [{"backendRefs": backends}]},
    }


def seldon2(default: str) -> Object:
    names = {"iris-next": 10, "iris-prod": 90}
    return {
        "apiVersion": "mlops.seldon.io/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "e3", "namespace": "prod"},
        "spec": {
            "default": default,
            "candidates": [{"name": name, "weight": weight} for name, weight in names.items()],
        },
    }


CANARY_FIRST = route("iris", {"iris-canary": 10, "iris-stable": 90})


class World(DirectoryClient):
    """A directory whose gateway takes everything at once."""

    noted: tuple[Manager, ...] = ()
    refuses = ""

    def get(self, ref: Ref) -> Object:
        found = super().get(ref)
        if ref.kind == "ConfigMap" and self.refuses == "get":
            raise ClusterError("may not get", "ask")
        if ref.kind != "HTTPRoute":
            return found
        version = int(found["metadata"]["resourceVersion"])
        seen = {"status": "True", "observedGeneration": version}
        conditions = [{"type": t, **seen} for t in ("Accepted", "ResolvedRefs")]
        parent = {"parentRef": {"name": "gate"}, "conditions": conditions}
        meta = {**found["metadata"], "generation": version}
        return {**found, "metadata": meta, "status": {"parents": [parent]}}

    def managers(self, ref: Ref) -> Any:
        return self.noted or super().managers(ref)

    def create(self, obj: Object) -> Object:
        if self.refuses and obj["kind"] == "ConfigMap":
            raise ClusterError("may not create", "ask")
        return super().create(obj)


def session_of(world: World, word: str, **settings: Any) -> Session:
    carrier, made_up, found = adopt.experiment(world, word, "prod")
    client = adopt.Adopting(world, made_up, found)
    settings = {"timeout_seconds": 5.0} | settings
    return Session(client, carrier, made_up, adopted=True, actor="ann", **settings)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize("default", ["iris-prod", "iris-next"])
def test_the_control_of_seldon_2_is_its_default(world: World, default: str) -> None:
    world.create(seldon2(default))
    after = plan_rollback(session_of(world, "experiment/e3")).after
    assert after[default] == 10_000


def test_where_nobody_says_who_the_control_is_it_is_asked_by_name(world: World) -> None:
    world.create(CANARY_FIRST)
    session = session_of(world, "httproute/iris")
    with pytest.raises(UsageError) as asked:
        plan_rollback(session)
    assert "--to iris-canary or --to iris-stable" in asked.value.hint
    with pytest.raises(UsageError):
        plan_promotion(session, None)
    assert plan_promotion(session, "iris-canary").after["iris-canary"] == 10_000
    with pytest.raises(UsageError, match="no variant 'other'"):
        plan_rollback(session, "other")
    done = rollback(session, "iris-stable", why="errors")
    assert (done.after["iris-stable"], done.changed, done.unrecorded) == (10_000, True, "")


def test_the_objects_that_abctl_made_have_the_control_first(world: World) -> None:
    meta = {"labels": {"abctl.dev/experiment": "iris"}}
    world.create(route("iris", {"control": 50, "treatment": 50}, **meta))
    assert plan_rollback(session_of(world, "httproute/iris")).after["control"] == 10_000


def test_the_command_asks_also_with_yes(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create(CANARY_FIRST)
    monkeypatch.setattr(opening, "_adopted", lambda word, _: session_of(world, word))
    command = ["rollback", "httproute/iris", "-n", "prod", "--yes"]
    assert run(command) == 2
    assert "--to iris-stable" in capsys.readouterr().err
    assert run([*command, "--to", "iris-stable"]) == 0
    assert plan_rollback(session_of(world, "httproute/iris"), "iris-stable").change.empty


@pytest.mark.parametrize("refuses", ["create", "get"])
def test_without_the_ledger_it_goes_through_and_says_so(world: World, refuses: str) -> None:
    world.create(CANARY_FIRST)
    world.refuses = refuses
    session = session_of(world, "httproute/iris")
    with pytest.raises(ClusterError, match="may not"):
        shift(session, Split(("iris-canary", "iris-stable"), (2000, 8000)), why="more")
    done = rollback(session, "iris-stable", why="errors")
    assert "may not" in done.unrecorded
    assert done.after["iris-stable"] == 10_000
    # As soon as it can be written, it says what was found.
    world.refuses = ""
    later = session_of(world, "httproute/iris")
    shift(later, Split(("iris-canary", "iris-stable"), (2000, 8000)), why="again")
    first, *_ = later.observe().ledger.entries
    assert (first.phase, first.after["iris-stable"]) == ("observed", 10_000)


NO_SPLITS = {"zero": {"v1": 0, "v2": 0}, "negative": {"v1": 110, "v2": -10}, "text": {"v1": "x"}}


@pytest.mark.parametrize("how", NO_SPLITS)
def test_weights_that_are_no_split_are_rolled_back_by_name(world: World, how: str) -> None:
    world.create(route("iris", {"v1": 80, "v2": 20} | NO_SPLITS[how]))
    session = session_of(world, "httproute/iris")
    with pytest.raises(ClusterError, match="are not a split") as told:
        shift(session, HALF, why="more")
    assert "abctl rollback" in told.value.hint
    with pytest.raises(UsageError, match="are not a split") as asked:
        plan_rollback(session)
    assert "--to v1 or --to v2" in asked.value.hint
    done = rollback(session, "v1", why="errors")
    assert (done.before, done.after.shares_bp, done.changed) == (None, (10_000, 0), True)
    assert "are not a split" in done.unrecorded  # no ledger can begin with that
    found = session_of(world, "httproute/iris").observe()
    assert (found.asked, found.drifted, found.ledger.entries[0].phase) == (
        *(done.after, False),
        "observed",
    )


def test_what_was_no_split_is_on_record_and_ends_what_was_known(world: World) -> None:
    world.create(route("iris", {"v1": 80, "v2": 20}))
    shift(session_of(world, "httproute/iris"), HALF, why="more")
    there = world.get(session_of(world, "httproute/iris").target)
    world.replace({**route("iris", {"v1": 0, "v2": 0}), "metadata": there["metadata"]})
    session = session_of(world, "httproute/iris")
    done = rollback(session, "v2", why="errors")
    assert (done.before, done.changed, done.unrecorded) == (None, True, "")
    ledger = session.observe().ledger
    last = [(entry.phase, entry.before, entry.after) for entry in ledger.entries[-3:]]
    assert last == [
        ("observed", HALF, HALF),
        ("intent", HALF, done.after),
        ("applied", HALF, done.after),
    ]
    assert "the weights [0, 0] are not a split" in ledger.entries[-3].why
    held = [epoch for epoch in ledger.epochs(session.clock() + 60, 0.0) if epoch.split == HALF]
    assert [epoch.certain for epoch in held] == [False]


def test_a_hand_between_plan_and_patch_does_not_stop_it(world: World) -> None:
    class Meddling(World):
        """Somebody sets all weights to zero whenever the route is about to be patched."""

        done = False

        def patch(self, ref: Ref, operations: Operations, *, dry_run: bool = False) -> Object:
            if ref.kind == "HTTPRoute" and not self.done:
                self.done = True
                there = self.get(ref)
                self.replace({**route("iris", {"v1": 0, "v2": 0}), "metadata": there["metadata"]})
            return super().patch(ref, operations, dry_run=dry_run)

    world.create(route("iris", {"v1": 80, "v2": 20}))
    session = session_of(Meddling(world._root), "httproute/iris")
    assert rollback(session, "v1", why="errors").changed
    assert session.observe().asked["v1"] == 10_000


def test_weights_that_are_no_split_by_command(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.create(route("iris", {"v1": 0, "v2": 0}))
    monkeypatch.setattr(opening, "_adopted", lambda word, _: session_of(world, word))
    command = ["rollback", "httproute/iris", "-n", "prod", "--yes", "-o", "json"]
    assert run(command) == 2
    assert "--to v1 or --to v2" in capsys.readouterr().err
    assert run([*command, "--to", "v1", "--dry-run=server"]) == 0
    assert run([*command, "--to", "v1"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out[told.out.rindex("\n{") :])["from"] is None
    assert "from weights that are no split" in told.err


def test_status_shows_the_split_though_the_ledger_is_damaged(world: World) -> None:
    world.create(route("iris", {"v1": 80, "v2": 20}))
    shift(session_of(world, "httproute/iris"), HALF, why="more")
    session = session_of(world, "httproute/iris")
    book = world.get(ledger_ref(session.experiment))
    world.replace({**book, "data": {**book["data"], "ledger.jsonl": "{"}})
    found = StatusReader(session)()
    assert (found.asked, found.programmed, found.desired) == (HALF, HALF, None)
    assert (found.epochs, found.intent, found.drifted) == ((), None, False)
    assert "the ledger: configmap/abctl-iris" in found.unseen[0]


@pytest.mark.parametrize("open_before", [False, True])
def test_who_shifts_at_the_same_time_does_not_stop_it(world: World, *, open_before: bool) -> None:
    class Overtaking(World):
        """Somebody else enters an intent whenever the route is about to be patched."""

        def patch(self, ref: Ref, operations: Operations, *, dry_run: bool = False) -> Object:
            append(self, other.experiment, Book.of(self.get(ledger)), entry)
            return super().patch(ref, operations, dry_run=dry_run)

    world.create(CANARY_FIRST)
    other, names = session_of(world, "httproute/iris"), ("iris-canary", "iris-stable")
    shift(other, Split(names, (2000, 8000)), why="more")
    ledger = ledger_ref(other.experiment)
    entry = Entry(1.0, "bob", Split(names, (2000, 8000)), Split(names, (5000, 5000)), "", "intent")
    if open_before:
        append(world, other.experiment, Book.of(world.get(ledger)), entry)
    session = session_of(Overtaking(world._root), "httproute/iris")
    done = rollback(session, "iris-stable", why="errors")
    assert (done.after["iris-stable"], done.changed) == (10_000, True)
    assert "bob" in done.unrecorded
    assert session.observe().asked["iris-stable"] == 10_000


def test_the_way_back_is_not_tried_before_it_is_gone(world: World) -> None:
    trials: list[bool] = []

    class Watched(World):
        def patch(self, ref: Ref, operations: Operations, *, dry_run: bool = False) -> Object:
            trials.append(dry_run)
            return super().patch(ref, operations, dry_run=dry_run)

    world.create(CANARY_FIRST)
    session = session_of(Watched(world._root), "httproute/iris")
    shift(session, Split(("iris-canary", "iris-stable"), (2000, 8000)), why="more")
    rollback(session, "iris-stable", why="errors")
    assert trials == [True, False, False]


@pytest.mark.parametrize(
    ("answer", "goes"), [(Partly("1 of 2"), True), ("none of 2", False), (False, False)]
)
def test_a_control_of_which_some_pod_answers_gets_everything(
    world: World, answer: bool | str, *, goes: bool
) -> None:
    world.create(CANARY_FIRST)
    told: list[str] = []
    session = session_of(world, "httproute/iris", ready=lambda _: answer, report=told.append)
    if not goes:
        with pytest.raises(NotReadyError, match="iris-stable is not ready"):
            rollback(session, "iris-stable", why="errors")
    assert rollback(session, "iris-stable", why="errors", force=True).changed
    assert told[0].startswith("warning: iris-stable is not ready")


def test_where_no_controller_has_reported_yet_the_way_back_is_open(world: World) -> None:
    world.create(seldon2("iris-prod"))
    session = session_of(world, "experiment/e3", timeout_seconds=0.0)
    answer = partial(ready, world, session.platform, session.experiment, ())
    session = replace(session, ready=answer)
    with pytest.raises(NotReadyError, match="iris-prod is not ready"):
        shift(session, Split(("iris-next", "iris-prod"), (500, 9500)), why="less")
    with suppress(NotReadyError):  # nobody says that it is in effect
        rollback(session, why="errors")
    assert session.observe().asked["iris-prod"] == 10_000


class NoTrials(World):
    """One with a webhook that refuses every dry run, as there are."""

    def patch(self, ref: Ref, operations: Operations, *, dry_run: bool = False) -> Object:
        if dry_run:
            raise ClusterError('admission webhook "w" does not support dry run', "ask")
        return super().patch(ref, operations)


def test_the_way_back_depends_on_no_trial(tmp_path: Path) -> None:
    world = NoTrials(tmp_path)
    world.create(CANARY_FIRST)
    session = session_of(world, "httproute/iris")
    with pytest.raises(ClusterError, match="dry run"):
        shift(session, Split(("iris-canary", "iris-stable"), (2000, 8000)), why="more")
    assert rollback(session, "iris-stable", why="errors").confirmed


def test_the_way_back_does_not_depend_on_the_route_of_a_controller(tmp_path: Path) -> None:
    world = Unanswering(tmp_path)
    traffic = {"control": 50, "treatment": 50}
    predictors = [
        {"name": name, "traffic": share, "graph": {"name": "iris"}}
        for name, share in traffic.items()
    ]
    world.create(
        {
            "apiVersion": "machinelearning.seldon.io/v1",
            "kind": "SeldonDeployment",
            "metadata": {"name": "iris", "namespace": "prod"},
            "spec": {"predictors": predictors},
        }
    )
    session = session_of(world, "sdep/iris", timeout_seconds=0.0)
    made = seldon.CAPABILITIES.made
    assert made is not None
    following = Following(session.world, made, session.target)
    with pytest.raises(NotReadyError, match="webhook for VirtualService"):
        rollback(replace(session, world=following), "control", why="errors")
    assert seldon.split_of(world.get(session.target))["control"] == 10_000


class Unanswering(World):
    """Nobody answers for VirtualServices."""

    def get(self, ref: Ref) -> Object:
        if ref.kind == "VirtualService":
            raise UnreachableError("conversion webhook for VirtualService failed", "try again")
        return super().get(ref)


def owned(**meta: Any) -> Object:
    return route("iris", {"v1": 80, "v2": 20}, **meta)


CONTROLLED = {
    "ownerReferences": [
        {"kind": "InferenceService", "name": "my-model", "controller": True, "uid": "1"}
    ]
}
WEIGHTS = {"f:spec": {"f:rules": {}}}
HALF = Split(("v1", "v2"), (5000, 5000))


@pytest.mark.parametrize(
    ("meta", "noted", "name"),
    [
        (CONTROLLED, (), "InferenceService/my-model"),
        ({}, (Manager("flagger", "Update", 1.0, fields=WEIGHTS),), "Flagger"),
        ({}, (Manager("rollouts-controller", "Update", 1.0, fields=WEIGHTS),), "Argo Rollouts"),
    ],
)
def test_what_a_controller_owns_is_shifted_by_force_alone(
    world: World, meta: dict[str, Any], noted: tuple[Manager, ...], name: str
) -> None:
    world.create(owned(**meta))
    world.noted = noted
    session = session_of(world, "httproute/iris")
    with pytest.raises(ConflictError, match=name):
        shift(session, HALF, why="more")
    assert plan(session, HALF).before.shares_bp == (8000, 2000)
    # The way back is told the same, and goes through.
    planned = plan_rollback(session, "v1")
    assert [owner.name for owner in planned.owners] == [name]
    assert rollback(session, "v1", why="errors", planned=planned).changed
    assert shift(session, HALF, why="more", force=True).changed


ARGO = {"annotations": {"argocd.argoproj.io/tracking-id": "shop:gateway/HTTPRoute:prod/iris"}}
FLUX = {"labels": {"kustomize.toolkit.fluxcd.io/name": "shop"}}
HELM = {"labels": {"app.kubernetes.io/managed-by": "Helm"}}
HELD = FLUX | {"annotations": {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}}


@pytest.mark.parametrize(
    ("meta", "noted", "names", "advice"),
    [
        (ARGO, (), ["Argo CD application shop"], "/spec/rules/0/backendRefs/0/weight"),
        (FLUX, (), ["Flux Kustomization shop"], "/spec/rules/0/backendRefs/1/weight"),
        (HELM, (), ["Helm release unknown"], "chart"),
        ({}, (Manager("robot", "Update", 1.0, fields=WEIGHTS),), ["robot"], "robot"),
        ({}, (Manager("robot", "Update", 1.0, fields={"f:spec": {"f:hostnames": {}}}),), [], ""),
        ({}, (Manager("robot", "Update", 1.0, status=True, fields=WEIGHTS),), [], ""),
        ({}, (Manager("kubectl-client-side-apply", "Update", 1.0, fields=WEIGHTS),), [], ""),
        (HELD, (), [], ""),
    ],
)
def test_who_may_put_it_back_is_named_with_what_to_do(
    world: World, meta: dict[str, Any], noted: tuple[Manager, ...], names: list[str], advice: str
) -> None:
    world.create(owned(**meta))
    world.noted = noted
    session = session_of(world, "httproute/iris")
    found = plan(session, HALF).owners
    assert [owner.name for owner in found] == names
    assert all(advice in owner.advice for owner in found)
    assert shift(session, HALF, why="more").changed


def test_after_three_resets_it_stops(world: World) -> None:
    world.create(owned())
    session = session_of(world, "httproute/iris")
    for _ in range(3):
        shift(session, HALF, why="more")
        there = world.get(session.target)
        world.replace({**owned(), "metadata": there["metadata"]})
    with pytest.raises(ConflictError, match="3 times within an hour"):
        shift(session, HALF, why="more")
    found = session.observe()
    assert (found.asked.shares_bp, found.drifted) == ((8000, 2000), False)
    assert rollback(session, "v1", why="errors").changed
    assert shift(session, HALF, why="more", force=True).changed


def test_the_next_release_is_looked_at_as_well(world: World) -> None:
    world.create(owned())
    shift(session_of(world, "httproute/iris"), HALF, why="more")
    there = world.get(session_of(world, "httproute/iris").target)
    world.replace({**route("iris", {"v2": 90, "v3": 10}), "metadata": there["metadata"]})
    session = session_of(world, "httproute/iris")
    found = StatusReader(session)()
    assert (found.asked.names, found.drifted) == (("v2", "v3"), True)
    assert found.other_variants
    assert rollback(session, "v2", why="errors").changed


def shifts(count: int) -> Iterator[Entry]:
    """As irregular as people are, with what they say."""
    at, split = 1.7e9, Split(("a", "b"), (10_000, 0))
    for i in range(count):
        after = Split(("a", "b"), (10_000 - (b := i * 7919 % 10_001), b))
        at += 60.0 + i * 7919 % 4001 + 0.001 * (i % 997)
        why = f"a step, see ticket {i * 31 % 1000}"
        yield Entry(at, "ann", split, after, why, "intent", version=str(i))
        at += 0.1 + 0.013 * (i % 7)
        yield Entry(at, "ann", split, after, why, "applied", version=str(i + 1))
        split = after


@pytest.mark.slow
def test_ten_thousand_shifts_fit_and_no_epoch_is_lost() -> None:
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "abctl-iris"}}
    known = Ledger('{"format": 2, "writtenBy": "abctl 0.1.0", "spec": {}}')
    for i, entry in enumerate(shifts(10_000)):
        known = known.with_entry(entry)
        if i % 50 == 0:  # each time would take a minute
            obj = with_ledger(obj, known)
    obj = with_ledger(obj, known)
    found = ledger_of(obj)
    assert found.entries == known.entries
    end = known.entries[-1].at + 1000.0
    assert found.epochs(end, 60.0) == known.epochs(end, 60.0)
    assert len(found.epochs(end, 60.0)) == 10_000
    binary = len(obj["binaryData"]["ledger.gz"]) * 3 // 4
    assert binary + sum(map(len, obj["data"].values())) < 900_000
    # Who rewrites what is packed away is found as well.
    assert rewritten(obj) is None
    lines = obj["data"]["ledger.jsonl"].splitlines()
    changed = "\n".join([lines[0].replace("ann", "bob"), *lines[1:], ""])
    forged = {**obj, "data": {**obj["data"], "ledger.jsonl": changed}}
    assert rewritten(forged) == 20_000 - len(lines) + 1
    with pytest.raises(ClusterError, match="rewritten"):
        ledger_of(forged)
