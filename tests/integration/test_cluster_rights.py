"""Who did it, by the server's word; and the doctor's list of rights is what commands take."""

import json
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.core.ledger import ledger_ref
from abctl.doctor.world import AT_ONCE, deeds
from abctl.errors import ClusterError, NotFoundError, NotReadyError
from abctl.forms.ledger import ledger_of
from abctl.session.open import Where, open_session

K8S = Path(__file__).parents[2] / "k8s"
RBAC = (K8S / "base" / "namespace" / "rbac.yaml").read_text()
PLURALS = {"NetworkPolicy": "networkpolicies"}


def resource(kind):
    """Pod/status: pods/status."""
    whole, slash, part = kind.lower().partition("/")
    return f"{whole}s{slash}{part}"


class Place:
    """A namespace with accounts, and an experiment that its owner has applied."""

    def __init__(self, cluster, namespace, folder):
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        self.owner = ClusterClient(kubeconfig=cluster.kubeconfig)
        self.file = K8S / "experiments" / "istio.yaml"

    def config(self, account):
        words = ("create", "token", account, "-n", self.namespace, "--duration=10m")
        token = self.cluster.kubectl(*words).strip()
        path = self.folder / f"{account}.json"
        return self.cluster.write_kubeconfig(path, token, namespace=self.namespace)

    def run(self, account, command, *more, what=None):
        given = [str(what or self.file)] if command != "list" else []
        where = ("--kubeconfig", str(self.config(account)), "-n", self.namespace)
        return run([command, *given, *where, *more])

    def session(self):
        where = Where(kubeconfig=self.cluster.kubeconfig, namespace=self.namespace)
        return open_session(str(self.file), where)

    def account(self, name, takes):
        """An account that may do this and nothing else."""
        kinds = {}
        for verb, ref in takes:
            kinds.setdefault((ref.api_version, ref.kind), set()).add(verb)
        rules = [
            {
                "apiGroups": [api.rpartition("/")[0]],
                "resources": [PLURALS.get(kind, resource(kind))],
                "verbs": sorted(verbs),
            }
            for (api, kind), verbs in kinds.items()
        ]
        api = "rbac.authorization.k8s.io"
        objs = [
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}},
            {
                "apiVersion": f"{api}/v1",
                "kind": "Role",
                "metadata": {"name": name},
                "rules": rules,
            },
            {
                "apiVersion": f"{api}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": name}],
            },
        ]
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objs})
        self.cluster.kubectl("apply", "-n", self.namespace, "-f", "-", stdin=text)

    @property
    def ledger(self):
        return ledger_of(self.owner.get(ledger_ref(self.session().experiment)))

    @property
    def events(self):
        found = self.owner.list("events.k8s.io/v1", "Event", self.namespace, {})
        return [each for each in found if each.get("reportingController") == "abctl.dev/abctl"]


@pytest.fixture
def place(crds, make_namespace, tmp_path):
    if not hasattr(crds, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    place = Place(crds, make_namespace(crds), tmp_path)
    crds.kubectl("apply", "-n", place.namespace, "-f", "-", stdin=RBAC)
    return place


def start(place, account="abctl"):
    assert place.run(account, "apply", "--yes", "--no-wait") == 0
    # Without a kubelet no server is ever ready: what is there already is adopted by KIND/NAME.
    place.owner.delete(ledger_ref(place.session().experiment))


def test_each_entry_has_the_user_whom_the_server_knows(place, capsys):
    start(place)
    shifted = ("50/50", "--yes", "--actor", "ann", "--why", "looks good")
    assert place.run("abctl-shift", "shift", *shifted, what="vs/iris") == 0
    user = f"system:serviceaccount:{place.namespace}:abctl-shift"
    entries = place.ledger.entries
    assert [(e.phase, e.actor, e.user) for e in entries] == [
        ("observed", "unknown", ""),
        ("intent", "ann", user),
        ("applied", "ann", user),
    ]
    capsys.readouterr()
    assert place.run("abctl-shift", "log", "-o", "json", what="vs/iris") == 0
    rows = json.loads(capsys.readouterr().out)["entries"]
    assert [row["user"] for row in rows] == [None, user, user]
    assert place.run("abctl-shift", "log", what="vs/iris") == 0
    assert f"ann ({user})" in capsys.readouterr().out


def test_a_shift_and_its_way_back_are_events_of_the_object(place):
    start(place)
    assert place.run("abctl-shift", "shift", "50/50", "--yes", what="vs/iris") == 0
    assert place.run("abctl-shift", "rollback", "--yes", "--why", "3 am", what="vs/iris") == 0
    carrier = place.owner.get(
        Ref("networking.istio.io/v1", "VirtualService", place.namespace, "iris")
    )
    found = sorted(place.events, key=lambda each: each["eventTime"])
    assert [each["reason"] for each in found] == ["SplitApplied", "SplitApplied"]
    assert {each["regarding"]["uid"] for each in found} == {carrier["metadata"]["uid"]}
    assert "3 am" in found[-1]["note"]


def test_who_may_make_no_events_or_is_not_known_shifts_all_the_same(place, monkeypatch):
    start(place)
    rules = RBAC.replace("resources: [events]", "resources: [others]")
    place.cluster.kubectl("apply", "-n", place.namespace, "-f", "-", stdin=rules)
    monkeypatch.setattr("abctl.cluster.kube._IDENTITY", "authentication.k8s.io/v0")
    assert place.run("abctl-shift", "shift", "50/50", "--yes", what="vs/iris") == 0
    assert [e.user for e in place.ledger.entries] == ["", "", ""]
    assert place.events == []


def test_the_rights_of_the_doctors_list_are_enough(place, capsys):
    session = place.session()
    made = [Ref.of(obj) for obj in session.objects]
    needed = {
        deed.name: list(deed.takes)
        for deed in deeds(session.target, ledger_ref(session.experiment), made)
    }
    start(place)
    look, shift, apply = needed["look"], needed["shift"], needed["apply"]
    place.account("looker", look)
    place.account("shifter", [*look, *shift])
    place.account("maker", [*look, *shift, *apply])
    assert place.run("shifter", "shift", "50/50", "--yes", what="vs/iris") == 0
    assert place.run("shifter", "rollback", "--yes", what="vs/iris") == 0
    for command in ("status", "log", "doctor"):
        assert place.run("looker", command, what="vs/iris") in (0, 3)
    assert place.run("looker", "shift", "50/50", "--yes", what="vs/iris") == 5
    place.owner.delete(ledger_ref(session.experiment))
    assert place.run("maker", "apply", "--yes", "--no-wait") == 0
    assert place.run("maker", "delete", "--yes") == 0
    assert all(not place.owner.delete(ref) for ref in made)


@pytest.mark.parametrize(
    ("verb", "kind"),
    [("update", "ConfigMap"), ("create", "ConfigMap"), ("patch", "VirtualService")],
)
def test_each_right_of_a_shift_is_one_that_it_takes(place, verb, kind, capsys):
    session = place.session()
    needed = deeds(session.target, ledger_ref(session.experiment), ())
    start(place)
    takes = [each for deed in needed for each in deed.takes]
    place.account("less", [(v, ref) for v, ref in takes if (v, ref.kind) != (verb, kind)])
    capsys.readouterr()
    assert place.run("less", "doctor", "-o", "json", what="vs/iris") in (0, 3)
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["permissions"]["facts"]["mayNot"]["shift"] == [f"{verb} {kind}"]
    shifted = place.run("less", "shift", "50/50", "--yes", what="vs/iris")
    again = place.run("less", "shift", "60/40", "--yes", what="vs/iris")
    assert 5 in (shifted, again)


def test_the_role_of_one_experiment_names_its_config_maps(place):
    """The one in docs/operations.md."""
    page = (K8S.parent / "docs" / "operations.md").read_text()
    role = page.partition("## Rights")[2].partition("```yaml\n")[2].partition("```")[0]
    start(place)
    place.account("shift-iris", [("get", Ref("v1", "Secret", "", ""))])
    place.cluster.kubectl("apply", "-n", place.namespace, "-f", "-", stdin=role)
    for split in ("50/50", "60/40"):
        assert place.run("shift-iris", "shift", split, "--yes", what="vs/iris") == 0
    assert place.run("shift-iris", "rollback", "--yes", what="vs/iris") == 0
    client = ClusterClient(kubeconfig=place.config("shift-iris"))
    for verb, name in (("get", "other"), ("update", "other"), ("delete", "abctl-iris")):
        assert not client.may(verb, Ref("v1", "ConfigMap", place.namespace, name))


def test_a_pod_is_told_to_look_and_nothing_of_it_can_be_changed(place):
    """By the very list of the doctor, and no right on pods themselves."""
    target = Ref("v1", "ConfigMap", place.namespace, "iris-envoy")
    needed = {
        deed.name: list(deed.takes)
        for deed in deeds(target, Ref("v1", "ConfigMap", place.namespace, "x"), (), asks_pods=True)
    }
    place.account("teller", needed[AT_ONCE])
    client = ClusterClient(kubeconfig=place.config("teller"))
    image = {"name": "x", "image": "x"}
    pod = Ref("v1", "Pod", place.namespace, "envoy")
    place.owner.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "spec": {"containers": [image]},
        }
    )
    uid = place.owner.get(pod)["metadata"]["uid"]
    for value in ("1.1", "1.2"):
        client.annotate_pod(pod, {"abctl.dev/config-version": value})
        meta = place.owner.get(pod)["metadata"]
        assert (meta["annotations"], meta["uid"]) == ({"abctl.dev/config-version": value}, uid)
    may = [(verb, part) for verb in ("list", "get", "patch") for part in ("", "/proxy", "/status")]
    allowed = [
        each for each in may if client.may(each[0], Ref("v1", f"Pod{each[1]}", pod.namespace, ""))
    ]
    assert allowed == [("list", ""), ("get", "/proxy"), ("patch", "/status")]
    # The same right with another image: what runs stays.
    client._client.ask(
        "PATCH",
        f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/status",
        body={"spec": {"containers": [{**image, "image": "other"}]}},
        content="application/merge-patch+json",
    )
    assert place.owner.get(pod)["spec"]["containers"][0]["image"] == "x"
    with pytest.raises(ClusterError, match="is forbidden"):
        client.patch(pod, [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}])
    with pytest.raises(NotFoundError):
        client.annotate_pod(Ref("v1", "Pod", pod.namespace, "gone"), {"a": "b"})


class Servers:
    """Services of somebody else, v1 and v2, over which a VirtualService splits."""

    def __init__(self, place):
        self.place = place
        made = {"networking.istio.io/v1": "VirtualService"}
        ((api, kind),) = made.items()
        route = [
            {"destination": {"host": name}, "weight": weight}
            for name, weight in (("v1", 90), ("v2", 10))
        ]
        spec = {"hosts": ["shop.example.com"], "http": [{"route": route}]}
        self.apply(api, kind, "shop", spec=spec)

    def apply(self, api, kind, name, **body):
        meta = {"name": name, "namespace": self.place.namespace, **body.pop("metadata", {})}
        self.place.owner.apply({"apiVersion": api, "kind": kind, "metadata": meta, **body})

    def service(self, name, **spec):
        self.apply("v1", "Service", name, spec={"ports": [{"port": 80}], **spec})

    def endpoints(self, name, *ready):
        each = [
            {"addresses": [f"10.0.0.{i + 1}"], "conditions": {"ready": ok}}
            for i, ok in enumerate(ready)
        ]
        labels = {"labels": {"kubernetes.io/service-name": name}}
        body = {"addressType": "IPv4", "endpoints": each, "ports": [{"port": 80}]}
        self.apply("discovery.k8s.io/v1", "EndpointSlice", f"{name}-x", metadata=labels, **body)


def test_a_service_without_endpoints_gets_no_more(place, capsys):
    servers = Servers(place)

    def shift(to="50/50"):
        return place.run("abctl-shift", "shift", to, "--yes", what="vs/shop")

    def ready():
        capsys.readouterr()
        place.run("abctl-shift", "doctor", "-o", "json", what="vs/shop")
        checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
        return {name: checks[f"variant {name}"]["code"] == "variantReady" for name in ("v1", "v2")}

    # There is no such Service; then one that nothing answers for, in three ways.
    servers.service("v1", selector={"app": "v1"})
    servers.endpoints("v1", True)
    assert (ready(), shift()) == ({"v1": True, "v2": False}, NotReadyError.exit_code)
    servers.service("v2")
    assert (ready(), shift()) == ({"v1": True, "v2": False}, NotReadyError.exit_code)
    servers.endpoints("v2")
    assert (ready(), shift()) == ({"v1": True, "v2": False}, NotReadyError.exit_code)
    servers.endpoints("v2", False, False)
    assert (ready(), shift()) == ({"v1": True, "v2": False}, NotReadyError.exit_code)
    servers.endpoints("v2", False, True)
    assert (ready(), shift()) == ({"v1": True, "v2": True}, 0)
    # The way back is open, whatever its Service says.
    servers.endpoints("v1", False)
    assert ready() == {"v1": False, "v2": True}
    assert shift("90/10") == 0


def test_a_service_that_the_file_names_is_asked_as_well(place, capsys, tmp_path):
    servers = Servers(place)
    text = (K8S / "experiments" / "nginx.yaml").read_text()
    path = tmp_path / "nginx.yaml"
    path.write_text(text.replace('image: "abctl/iris:v2"', "service: v2:8080"))
    servers.service("v2", selector={"app": "v2"})
    servers.endpoints("v2")
    session = open_session(
        str(path), Where(kubeconfig=place.cluster.kubeconfig, namespace=place.namespace)
    )
    for obj in session.objects:
        place.owner.apply(obj)
    assert "no endpoint" in str(session.ready("treatment"))
    servers.endpoints("v2", True)
    # Now it is the proxy that has not said anything.
    assert "v2" not in str(session.ready("treatment"))
