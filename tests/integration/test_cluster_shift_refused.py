"""What the API server refuses, loses or puts back leaves nothing, or what everybody can read."""

import itertools
import time
from dataclasses import replace

import pytest
import shifts
from api_server import ADMIN_TOKEN, wait_for
from clients import survives
from doubtful import gateway
from shifts import STARTED, A, B, split, with_images

from abctl.cluster.kube import ClusterClient
from abctl.core.ledger import ledger_ref
from abctl.errors import AbctlError, ClusterError, ConflictError, NotReadyError, UnreachableError
from abctl.platforms import envoy
from abctl.session.analyze import present_ledger
from abctl.session.rollback import rollback
from abctl.session.status import status

C = split(6000)
POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  matchConstraints:
    resourceRules:
      - {{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [configmaps]}}
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}
  validations:
    - expression: "!has(object.data) || !('routes.json' in object.data) || {rule}"
      message: no more than half
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec: {{policyName: {name}, validationActions: [Deny]}}
"""
WEBHOOK = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {{name: {name}}}
webhooks:
  - name: away.abctl.test
    clientConfig: {{url: "https://127.0.0.1:1/"}}
    rules: [{{apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [configmaps]}}]
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}
    matchConditions: [{{name: routes, expression: "object.metadata.name.endsWith('-envoy')"}}]
    sideEffects: None
    admissionReviewVersions: [v1]
    timeoutSeconds: 2
"""


class World(shifts.World):
    """Also says which splits count, and lets somebody else change the object."""

    def periods(self, later=0.0):
        """Splits that count, some time from now, as an analysis sees them."""
        session = self.by(self.client)
        end = time.time() + later
        return [e.split for e in present_ledger(session).epochs(end, 0.0) if e.certain]

    def tamper(self, to, manager="argocd-controller"):
        obj = self.client.get(envoy.target(self.experiment))
        path = (
            f"/api/v1/namespaces/{self.experiment.namespace}/configmaps/{obj['metadata']['name']}"
        )
        after = envoy.with_split(obj, to)
        self.client._client.ask(
            "PUT", path, body=after, parameters={"fieldManager": manager}, done=lambda: None
        )


LINKED = ', "chain"'


@pytest.fixture
def world(cluster, make_experiment, namespace):
    made = with_images(make_experiment(shares_bp=A.shares_bp))
    # Longer than the kubelet may take, so that nothing more is left out of what is found.
    design = replace(made.design, settle_seconds=300.0)
    return World(cluster, replace(made, namespace=namespace, design=design))


@pytest.fixture
def policy(cluster, namespace):
    """Sets what the API server says of the proxy's routes; it takes a moment."""
    kinds = "validatingadmissionpolicy,validatingadmissionpolicybinding"

    def put(rule="!object.data['routes.json'].contains('6000')"):
        cluster.kubectl("apply", "-f", "-", stdin=POLICY.format(name=namespace, rule=rule))

    yield put
    cluster.kubectl("delete", kinds, namespace, "--ignore-not-found")


def refuses(world, to):
    """Whether the API server refuses a split by now, seen by another's dry run."""
    obj = world.client.get(envoy.target(world.experiment))
    try:
        world.client.apply(envoy.with_split(obj, to) | {"metadata": bare(obj)}, dry_run=True)
    except ClusterError:
        return True
    return False


def bare(obj):
    return {k: obj["metadata"][k] for k in ("name", "namespace", "labels")}


def test_what_a_policy_refuses_leaves_nothing_at_all(world, policy):
    policy()
    wait_for(lambda: refuses(world, C), "the policy")
    before = world.client.get(ledger_ref(world.experiment))
    with pytest.raises(ClusterError, match="no more than half"):
        world.shift(C)
    assert world.client.get(ledger_ref(world.experiment)) == before
    assert (world.asked, world.periods(600.0)) == (A, [A])
    assert world.shift(B).changed


def test_a_policy_that_comes_between_trial_and_patch_is_given_up(world, policy):
    class Late:
        def __getattr__(self, verb):
            return getattr(world.client, verb)

        def replace(self, obj):
            written = world.client.replace(obj)
            if world.ledger.intent:
                policy()
                wait_for(lambda: refuses(world, C), "the policy")
            return written

    with pytest.raises(ClusterError, match="no more than half"):
        world.shift(C, client=Late())
    assert world.steps[2:] == [("intent", A, C), ("reverted", C, A)]
    assert "no more than half" in world.ledger.entries[-1].why
    # It never reached the object, so the old period was never interrupted.
    assert world.periods(600.0) == [A]
    assert len(world.ledger.epochs(time.time() + 600.0, 0.0)) == 1


def test_a_webhook_that_is_down_leaves_nothing(world, cluster, namespace):
    cluster.kubectl("apply", "-f", "-", stdin=WEBHOOK.format(name=namespace))
    try:
        wait_for(lambda: refuses(world, B), "the webhook")
        before = world.client.get(ledger_ref(world.experiment))
        with pytest.raises(ClusterError, match=r"away\.abctl\.test") as caught:
            world.shift(B)
        assert "away.abctl.test" in caught.value.hint
        assert world.client.get(ledger_ref(world.experiment)) == before
        assert (world.asked, world.periods(600.0)) == (A, [A])
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", namespace)


ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: reader, namespace: {namespace}}}
rules:
  - {{apiGroups: [""], resources: [configmaps], verbs: [{looks}]}}
  - {{apiGroups: [""], resources: [configmaps], resourceNames: [{name}], verbs: [{deeds}]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: reader, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}}
subjects: [{{kind: User, name: clerk, apiGroup: rbac.authorization.k8s.io}}]
"""


class Acting:
    """The administrator, who acts as a clerk with the rights that a role gives."""

    def __init__(self, world, looks, name, deeds):
        self.client = ClusterClient(kubeconfig=world.cluster.kubeconfig)
        headers = self.client._client._headers
        self.client._client._headers = lambda kind: [*headers(kind), ("Impersonate-User", "clerk")]
        where = {"namespace": world.experiment.namespace, "name": name}
        role = ROLE.format(looks=looks, deeds=deeds, **where)
        world.cluster.kubectl("apply", "-f", "-", stdin=role)

    def __getattr__(self, verb):
        return getattr(self.client, verb)


def test_who_may_not_patch_writes_nothing(world):
    clerk = Acting(world, "get", ledger_ref(world.experiment).name, "get, update")
    wait_for(lambda: clerk.may("get", ledger_ref(world.experiment)), "the role")
    before = world.client.get(ledger_ref(world.experiment))
    with pytest.raises(ClusterError, match="clerk"):
        world.shift(B, client=clerk)
    assert world.client.get(ledger_ref(world.experiment)) == before
    assert world.periods(600.0) == [A]


def test_who_may_not_write_the_ledger_can_roll_back(world):
    target = envoy.target(world.experiment)
    clerk = Acting(world, "get", target.name, "get, patch")
    wait_for(lambda: clerk.may("patch", target), "the role")
    with pytest.raises(ClusterError, match="clerk"):
        world.shift(B, client=clerk)
    assert (world.asked, world.steps) == (A, STARTED)
    done = rollback(world.by(clerk), why="errors")
    assert "clerk" in done.unrecorded
    assert (world.asked, world.steps) == (split(0), STARTED)
    # The analysis knows it all the same, and the next command that can enters it.
    assert world.periods(600.0)[-1] == split(0)
    world.shift(B)
    assert world.steps[2:3] == [("observed", A, split(0))]
    assert world.ledger.entries[2].actor == "abctl"
    assert world.ledger.entries[2].since


@pytest.mark.parametrize("book", ["foreign", "damaged", "gone", "full", "future", "rewritten"])
def test_whatever_the_ledger_is_like_a_rollback_goes_through(world, book):
    ref = ledger_ref(world.experiment)
    obj = world.client.get(ref)
    data = obj["data"]
    lines = data["ledger.jsonl"]
    others = {
        "foreign": {"colour": "blue"},
        "damaged": data | {"ledger.jsonl": lines[:-20]},
        "rewritten": data | {"ledger.jsonl": lines.replace("test", "best", 1)},
        "full": data | {"more": "x" * (1_048_576 - sum(map(len, (*data.values(), *data))) - 100)},
        "future": data | {"ledger.jsonl": later(lines), "chain": ""},
    }
    if book == "gone":
        world.client.delete(ref)
    else:
        world.client.replace({**obj, "data": others[book]})
    done = rollback(world.by(world.client), why="errors")
    assert done.changed
    assert world.asked == split(0)
    assert bool(done.unrecorded) == (book != "future")
    if book != "future":
        assert world.client._client is not None
        with pytest.raises(AbctlError):
            world.shift(B)


def later(lines):
    """The same entries, written by a clock that is years ahead, by an abctl that chained none."""
    year = lines.partition('"at": "')[2][:4]
    text = lines.replace(f'"at": "{year}', '"at": "2040')
    return "".join(f"{line.rpartition(LINKED)[0]}}}\n" for line in text.splitlines())


@pytest.mark.parametrize("code", ["done, 504", "not done, 504"])
def test_a_504_of_any_write_is_nobody_elses_change(world, cluster, tmp_path, code):
    from doubtful import FAULTS  # noqa: PLC0415 - beside its gateway

    with gateway(cluster) as lossy:
        path = cluster.write_kubeconfig(tmp_path / "config", ADMIN_TOKEN, url=lossy.url)
        client = ClusterClient(kubeconfig=path, sleep=lambda _: None)
        splits = itertools.cycle([B, A])
        for number in itertools.count(1):
            to, lossy.writes, lossy.faulty = next(splits), 0, {number: FAULTS[code]}
            assert world.shift(to, client=client).changed
            assert (world.asked, world.ledger.desired, world.ledger.intent) == (to, to, None)
            if lossy.writes < number:
                break
    assert number == 5  # trial, intent, weights, outcome


def test_a_504_for_good_leaves_what_everybody_can_read(world, cluster, tmp_path):
    with gateway(cluster) as lossy:
        path = cluster.write_kubeconfig(tmp_path / "config", ADMIN_TOKEN, url=lossy.url)
        client = ClusterClient(kubeconfig=path, sleep=lambda _: None)
        lossy.writes, lossy.faulty = 0, dict.fromkeys(range(3, 40), (False, 504))
        with pytest.raises(UnreachableError):
            world.shift(B, client=client)
    assert (world.asked, world.ledger.intent.after) == (A, B)
    assert world.periods(600.0) == [A]
    found = status(world.by(world.client))
    assert (found.intent.after, found.desired) == (B, A)
    assert found.counts_from < time.time() + 300.0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_anywhere_the_evidence_of_a_known_split_goes_on(world, after):
    splits = itertools.cycle([B, C, A])
    for at in itertools.count(1):
        old, new = world.asked, next(splits)
        completed = survives(lambda dying, to=new: world.shift(to, dying), world.client, at, after)
        # Whatever the ledger says, the object says which split holds, and it counts from then on.
        assert world.periods(600.0)[-1] == world.asked
        assert world.asked in (old, new)
        known = present_ledger(world.by(world.client)).counts_from(0.0)
        assert known is not None
        assert known <= time.time() + 2.0
        before = world.periods()
        world.shift(new)
        # What counted before the shift was finished still counts.
        assert world.periods(600.0)[: len(before)] == before
        if completed:
            break
    assert at > 7


def test_a_revert_while_one_waits_is_entered_with_its_author(world):
    class Waiting:
        """As Envoy that takes its time, while somebody puts the split back."""

        patched = False

        def __getattr__(self, verb):
            return getattr(world.client, verb)

        def patch(self, *args, dry_run=False):
            done = world.client.patch(*args, dry_run=dry_run)
            if not dry_run and not self.patched:
                self.patched = True
                world.tamper(A)
            return done

    with pytest.raises(ConflictError, match="somebody else changed it to control 90%"):
        world.shift(B, client=Waiting())
    assert world.steps[2:] == [("intent", A, B), ("observed", B, A)]
    assert world.ledger.entries[-1].actor == "argocd-controller"
    assert world.periods(600.0)[-1] == A


def test_a_timeout_leaves_an_open_intent_that_does_not_count_as_either(world):
    class Deaf:
        def __getattr__(self, verb):
            return getattr(world.client, verb)

        def get(self, ref):
            obj = world.client.get(ref)
            deaf = ref == envoy.target(world.experiment)
            return {**obj, "status": {"refusal": "update_rejected"}} if deaf else obj

    with pytest.raises(NotReadyError, match="update_rejected"):
        world.shift(B, client=Deaf(), timeout_seconds=0.2)
    assert (world.asked, world.ledger.intent.after) == (B, B)
    seen = present_ledger(world.by(Deaf()))
    assert (seen.seen.split, seen.seen.since, seen.counts_from(0.0)) == (B, None, None)
    assert status(world.by(Deaf())).refusal == "update_rejected"
    # As soon as the platform has it, it counts, also before anybody finishes the shift.
    assert world.periods(600.0)[-1] == B
    world.shift(B)
    assert world.steps[-1] == ("applied", A, B)
