"""What a cluster may refuse, and who may do what: on a real API server, as real accounts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from api_server import DEADLINE_SECONDS

from abctl.cli.main import run
from abctl.cluster.kube import ClusterClient
from abctl.core.change import Change, Ref
from abctl.core.split import Split
from abctl.errors import ClusterError, ConflictError, NotFoundError, UnreachableError
from abctl.session.open import Where, open_session
from abctl.session.shift import shift
from abctl.session.tree import tree

K8S = Path(__file__).parents[2] / "k8s"
EXAMPLES = sorted(K8S.glob("experiments/*.yaml"))
CONFIG_MAP = Ref("v1", "ConfigMap", "default", "none")


@pytest.fixture
def as_account(crds, namespace, tmp_path):
    """A kubeconfig of a service account, with the roles of k8s/base."""
    if not hasattr(crds, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    crds.kubectl("apply", "-n", namespace, "-f", str(K8S / "base" / "namespace" / "rbac.yaml"))

    def kubeconfig(account, duration="10m"):
        words = ("create", "token", account, "-n", namespace, f"--duration={duration}")
        token = crds.kubectl(*words).strip()
        return crds.write_kubeconfig(tmp_path / f"{account}.json", token, namespace=namespace)

    return kubeconfig


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_roles_are_enough_to_apply_shift_and_delete(example, as_account, namespace):
    where = Where(kubeconfig=as_account("abctl"), namespace=namespace)
    session = open_session(str(example), where)
    carrier, experiment = session.platform, session.experiment
    for obj in carrier.objects(experiment):
        session.world.apply(obj)
    client = ClusterClient(kubeconfig=as_account("abctl-shift"))
    target = carrier.target(experiment)
    before = client.get(target)
    after = carrier.with_split(before, Split(experiment.split.names, (4000, 6000)))
    client.patch(target, Change(before, after).json_patch())
    assert isinstance(session.ready("treatment"), bool | str)
    assert tree(replace(session, world=client), before).unread == ()
    for obj in reversed(carrier.objects(experiment)):
        with pytest.raises(ClusterError, match="cannot delete resource") as caught:
            client.delete(Ref.of(obj))
        assert "ask for a Role" in caught.value.hint
        session.world.delete(Ref.of(obj))
    with pytest.raises(NotFoundError):
        session.world.get(target)


def test_the_roles_allow_no_more(crds, as_account, namespace):
    as_account("abctl")
    may = {
        account: crds.kubectl(
            *("auth", "can-i", "--list", "-n", namespace),
            f"--as=system:serviceaccount:{namespace}:{account}",
        )
        for account in ("abctl", "abctl-shift")
    }
    # The keys of a collector are made, and never read.
    (secrets,) = [line for line in may["abctl"].splitlines() if line.startswith("secrets ")]
    assert secrets.endswith("[create delete]")
    assert "secrets" not in may["abctl-shift"]
    for listed in may.values():
        pods = {line.split()[0]: line.split()[-1] for line in listed.splitlines() if "pods" in line}
        # Proxy: Envoy's pods are asked which routes they have.
        # Status: its annotations make a node look at what is mounted.
        assert pods == {"pods": "[list]", "pods/proxy": "[get]", "pods/status": "[patch]"}
        assert not any(line.startswith("*") for line in listed.splitlines())
    assert "delete" not in may["abctl-shift"]
    others = crds.kubectl(
        *("auth", "can-i", "get", "configmaps", "-n", "default"),
        f"--as=system:serviceaccount:{namespace}:abctl",
        check=False,
    )
    assert others.stdout.strip() == "no"


def test_a_shift_by_an_account_with_the_least_rights(as_account, namespace, crds):
    experiment = str(K8S / "experiments" / "nginx.yaml")
    where = Where(kubeconfig=as_account("abctl-shift"), namespace=namespace)
    owner = ClusterClient(kubeconfig=crds.kubeconfig)
    for obj in open_session(experiment, where).objects:
        owner.apply(obj)
    adopted = replace(
        open_session("cm/iris-nginx", where), actor="ann", timeout_seconds=DEADLINE_SECONDS
    )
    result = shift(adopted, adopted.experiment.split.parse_change(("50/50",)), why="")
    assert result.changed
    ledger = crds.read("-n", namespace, "configmap", "abctl-iris")["data"]["ledger.jsonl"]
    phases = [json.loads(line)["phase"] for line in ledger.splitlines()]
    assert phases == ["observed", "intent", "applied"]


SHIFTS = "you may look, shift, see and hasten a shift"


@pytest.mark.parametrize("account", ["abctl", "abctl-shift", "nobody"])
def test_the_doctor_knows_what_an_account_is_for(as_account, namespace, crds, capsys, account):
    """The Job's own account (k8s/job.yaml) is abctl-shift, which neither applies nor deletes."""
    file = str(K8S / "experiments" / "nginx.yaml")
    kubeconfig = as_account("abctl-shift")
    if account == "nobody":
        crds.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    mine = ["--kubeconfig", str(as_account(account)), "-n", namespace, "-o", "json"]
    owner = ClusterClient(kubeconfig=crds.kubeconfig)
    session = open_session(file, Where(kubeconfig=kubeconfig, namespace=namespace))

    def diagnosis(what):
        assert run(["doctor", what, *mine]) in (0, 3)
        checks = json.loads(capsys.readouterr().out)["checks"]
        return {each["name"]: (each["level"], each["message"]) for each in checks}

    before = diagnosis(file)["permissions"]
    for obj in session.objects:
        owner.apply(obj)
    found, adopted = diagnosis(file), diagnosis("cm/iris-nginx") if account != "nobody" else {}
    errors = [name for name, (level, _) in found.items() if level == "error"]
    if account == "abctl":
        assert before == found["permissions"] == ("ok", f"{SHIFTS}, apply")
        assert adopted["permissions"] == ("ok", SHIFTS)
    elif account == "abctl-shift":
        assert before[0] == "warning"  # somebody has to apply it first
        level, message = found["permissions"]
        assert (level, message.partition("; ")[0]) == ("ok", SHIFTS)
        lacking = message.partition("not apply (")[2].rstrip(")").split(", ")
        assert {"create/patch/delete Deployment", "delete ConfigMap"} < set(lacking)
        assert "create/patch/delete Service" in lacking
        level, message = found["objects"]
        assert (level, "you may not see" in message) == ("ok", False)
        assert not {"permissions", "objects"} & set(errors)
        assert adopted["permissions"] == ("ok", SHIFTS)
    else:
        assert before[0] == found["permissions"][0] == "error"
        lacking = "you may not look (get ConfigMap); not shift (patch/create/update ConfigMap)"
        assert found["permissions"][1].startswith(lacking)


def test_who_may_not_is_told_what_is_missing(as_account, namespace):
    client = ClusterClient(kubeconfig=as_account("abctl-shift"))
    with pytest.raises(ClusterError) as caught:
        client.get(Ref("v1", "Secret", namespace, "any"))
    assert 'cannot get resource "secrets"' in caught.value.message
    assert f"a Role in {namespace} that may get secrets" in caught.value.hint


def test_a_wrong_or_expired_token_is_said_to_be_one(crds, as_account, tmp_path, namespace):
    wrong = crds.write_kubeconfig(tmp_path / "wrong", "s3cret-and-wrong")
    with pytest.raises(ClusterError, match="does not know you") as caught:
        ClusterClient(kubeconfig=wrong).get(CONFIG_MAP)
    assert "log in again" in caught.value.hint
    assert "s3cret" not in caught.value.message + caught.value.hint
    # The account is gone, and its token with it: as if it had expired.
    gone = as_account("abctl")
    crds.kubectl("delete", "serviceaccount", "abctl", "-n", namespace)
    with pytest.raises(ClusterError, match="does not know you"):
        ClusterClient(kubeconfig=gone).get(replace(CONFIG_MAP, namespace=namespace))


def test_a_kind_that_is_not_installed_is_said_to_be(cluster, namespace):
    client = ClusterClient(kubeconfig=cluster.kubeconfig)
    rollout = Ref("argoproj.io/v1alpha1", "Rollout", namespace, "iris")
    with pytest.raises(NotFoundError, match=r"knows no Rollout of argoproj.io/v1alpha1") as caught:
        client.get(rollout)
    assert "CRD is not installed" in caught.value.hint
    with pytest.raises(NotFoundError, match="knows no Foo"):
        client.get(Ref("v1", "Foo", namespace, "iris"))
    # Its plural is not what one would guess.
    with pytest.raises(NotFoundError, match="no endpoints/iris"):
        client.get(Ref("v1", "Endpoints", namespace, "iris"))


def test_a_namespace_that_is_not_there_is_named(cluster):
    client = ClusterClient(kubeconfig=cluster.kubeconfig)
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "none"}}
    with pytest.raises(NotFoundError, match='"none" not found') as caught:
        client.create(obj)
    assert caught.value.hint == "kubectl create namespace none"


def test_what_the_schema_forbids_is_said_in_its_words(crds, namespace):
    client = ClusterClient(kubeconfig=crds.kubeconfig)
    meta = {"name": "x", "namespace": namespace}
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta}
    with pytest.raises(ClusterError, match=r"httproute/x is refused \(422\).*hostnames"):
        client.create({**route, "spec": {"hostnames": ["NOT A HOST"]}})


def test_what_somebody_else_manages_is_taken_over_only_by_force(cluster, namespace):
    client = ClusterClient(kubeconfig=cluster.kubeconfig)
    meta = {"name": "x", "namespace": namespace}
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "1", "b": "1"}}
    client.apply(obj)
    patch = '{"data": {"a": "theirs"}}'
    cluster.kubectl("patch", "configmap", "x", "-n", namespace, "--patch", patch)
    for dry_run in (True, False):
        with pytest.raises(ConflictError) as caught:
            client.apply(obj, dry_run=dry_run)
        assert caught.value.message == "configmap/x: kubectl-patch has set data.a"
        assert "--force" in caught.value.hint
    assert client.get(Ref.of(obj))["data"]["a"] == "theirs"
    assert client.apply(obj, force=True)["data"] == {"a": "1", "b": "1"}


def test_what_kubectl_applied_otherwise_is_told_at_once_and_taken_over_by_force(
    crds, namespace, tmp_path, capsys
):
    example = K8S / "experiments" / "envoy.yaml"
    place = ["-n", namespace, "--kubeconfig", str(crds.kubeconfig)]
    assert run(["render", str(example)]) == 0
    rendered = capsys.readouterr().out.replace("namespace: models", f"namespace: {namespace}")
    crds.kubectl("apply", "-f", "-", stdin=rendered)
    crds.kubectl("scale", "deployment/iris-control", "-n", namespace, "--replicas=3")
    crds.kubectl("annotate", "deployment/iris-control", "-n", namespace, "team=theirs")
    other = tmp_path / "iris.yaml"
    other.write_text(example.read_text().replace("iris:v", "other:v").replace("90%", "80%"))
    other.write_text(other.read_text().replace("split: 10%", "split: 20%"))
    command = ["apply", str(other), "--yes", "--no-wait", *place]
    for words in (command, [*command, "--dry-run=server"], [*command, "--diff"]):
        assert run(words) == 5
        error, hint = capsys.readouterr().err.splitlines()[-2:]
        for each in ("deployment/iris-control", "deployment/iris-treatment", "configmap/"):
            assert f"{each}" in error
        image = 'spec.template.spec.containers[name="mlserver"].image'
        assert f"deployment/iris-control: kubectl-client-side-apply has set {image}" in error
        assert "--force" in hint
    # Nothing was changed, and there is no ledger of what did not begin.
    names = crds.kubectl("get", "configmaps", "-n", namespace, "-o", "name")
    assert "abctl-iris" not in names
    assert run([*command, "--force"]) == 0
    found = crds.read("deployment", "iris-control", "-n", namespace)
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "abctl/other:v1"
    assert found["spec"]["replicas"] == 3
    assert found["metadata"]["annotations"]["team"] == "theirs"
    # What was taken over is abctl's from now on.
    assert run(command) == 0


def test_a_kubeconfig_that_leads_nowhere(cluster, tmp_path):
    if not hasattr(cluster, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    nowhere = cluster.write_kubeconfig(tmp_path / "nowhere", "token", url="https://127.0.0.1:1")
    with pytest.raises(UnreachableError, match=r"no answer from https://127.0.0.1:1"):
        ClusterClient(kubeconfig=nowhere).get(CONFIG_MAP)
    with pytest.raises(UnreachableError, match="no kubeconfig"):
        ClusterClient(kubeconfig=tmp_path / "none")
    with pytest.raises(UnreachableError, match="prod"):
        ClusterClient(kubeconfig=nowhere, context="prod")
    damaged = tmp_path / "damaged"
    damaged.write_text("users: [{token: s3cret\n")
    with pytest.raises(UnreachableError, match="not YAML") as caught:
        ClusterClient(kubeconfig=damaged)
    assert "s3cret" not in caught.value.message


def test_the_command_line_says_it_in_two_lines(cluster, tmp_path, capsys):
    if not hasattr(cluster, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    wrong = cluster.write_kubeconfig(tmp_path / "wrong", "s3cret-and-wrong")
    assert run(["status", "cm/iris-envoy", "--kubeconfig", str(wrong)]) == 5
    printed = capsys.readouterr()
    assert "error: context test: the API server does not know you" in printed.err
    assert "hint: " in printed.err
    assert "s3cret" not in printed.err + printed.out
    example = str(K8S / "experiments" / "seldon.yaml")
    assert run(["status", example, "--state", str(tmp_path), "-n", "x"]) == 2
    assert run(["apply", example, "--kubeconfig", str(tmp_path / "none")]) == 5
    assert run(["status", "pod/iris", "--kubeconfig", str(wrong)]) == 2
    assert "carries a split" in capsys.readouterr().err
