"""Who only looks: every command that looks works as `abctl-view`, and none that writes."""

import json
import time
from http import HTTPStatus
from pathlib import Path

import pytest
from prometheus_server import serving
from requests_history import requests

from abctl.cli.main import run
from abctl.cluster._connections import Connections
from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.core.ledger import ledger_ref
from abctl.doctor.world import deeds
from abctl.errors import ClusterError, SourceError
from abctl.session.open import Where, open_session
from abctl.spec import reach

K8S = Path(__file__).parents[2] / "k8s"
EXAMPLES = sorted(K8S.glob("experiments/*.yaml"))
VIEWER = "abctl-view"


@pytest.fixture
def viewer(crds, make_namespace, tmp_path):
    """The kubeconfig of the account, with the roles of k8s/base, and its namespace."""
    if not hasattr(crds, "write_kubeconfig"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    namespace = make_namespace(crds)
    crds.kubectl("apply", "-n", namespace, "-f", str(K8S / "base" / "namespace" / "rbac.yaml"))
    token = crds.kubectl("create", "token", VIEWER, "-n", namespace, "--duration=10m").strip()
    return crds.write_kubeconfig(tmp_path / "viewer.json", token, namespace=namespace), namespace


@pytest.fixture
def refused(monkeypatch):
    """The questions that the API server has refused."""
    found, ask = [], Connections.ask

    def asked(self, method, path, *rest):
        answer = ask(self, method, path, *rest)
        if answer.code == HTTPStatus.FORBIDDEN:
            found.append(f"{method} {path}")
        return answer

    monkeypatch.setattr(Connections, "ask", asked)
    return found


def test_looking_takes_no_more_than_the_role_gives_and_writes_nothing(
    viewer, crds, tmp_path, capsys, refused
):
    config, namespace = viewer
    file = str(K8S / "experiments" / "istio.yaml")
    owner = ["-n", namespace, "--kubeconfig", str(crds.kubeconfig)]
    # Without a kubelet no server is ever ready, so what is there is adopted.
    session = open_session(file, Where(kubeconfig=crds.kubeconfig, namespace=namespace))
    for obj in session.objects:
        session.world.apply(obj)
    # Other tests have the host of the example too.
    assert run(["adopt", file, *owner, "--yes", "--force", "--why", "there already"]) == 0
    look = ["-n", namespace, "--kubeconfig", str(config)]
    ledger = ledger_ref(session.experiment)

    def state():
        known = [session.world.get(ref) for ref in (ledger, session.target)]
        return [obj["metadata"]["resourceVersion"] for obj in known]

    before = state()
    changed = tmp_path / "changed.yaml"
    changed.write_text(Path(file).read_text().replace("mde: 2pp", "mde: 3pp"))
    for command, what, *more in (
        ("shift", file, "50/50"),
        ("rollback", file),
        ("amend", str(changed), "--why", "x"),
        ("delete", file),
        ("apply", file),
    ):
        assert run([command, what, *more, *look, "--yes"]) == 5, command
        assert "error:" in capsys.readouterr().err, command
    assert state() == before
    refused.clear()
    for command in ("status", "log", "list", "doctor"):
        what = [] if command == "list" else [file]
        assert run([command, *what, *look, "-o", "json"]) in (0, 3), command
        seen = json.loads(capsys.readouterr().out)
        if command == "doctor":
            found = {check["name"]: check for check in seen["checks"]}
            assert found["permissions"]["facts"]["may"] == ["look"]
            assert found["objects"]["facts"]["unreadable"] == []
        if command == "status":
            assert seen["asked"] == {"control": 0.9, "treatment": 0.1}
    now = time.time()
    told = requests(now - 600, now, "control", "treatment")
    with serving(tmp_path / "prometheus", history=told) as url:
        analyze = ["analyze", file, *look, "--prometheus", url, "-o", "json"]
        assert run(analyze) == 0, capsys.readouterr().err
        assert json.loads(capsys.readouterr().out)["verdict"]["kind"] in ("invalid", "continue")
    assert state() == before
    # Who may look into other namespaces sees rivals there too.
    assert [each for each in refused if "/namespaces/" in each] == []
    assert refused


def test_the_counters_of_a_service_are_read_by_a_right_of_their_own(viewer, crds, tmp_path, capsys):
    config, namespace = viewer
    text = (K8S / "experiments" / "istio.yaml").read_text()
    where = Where(kubeconfig=crds.kubeconfig, namespace=namespace)
    for port, lacking in ((9090, None), (9091, {"read the counters": ["get Service/proxy"]})):
        file = tmp_path / f"{port}.yaml"
        named = f'service: "prometheus:{port}"'
        file.write_text(text.replace('url: "http://prometheus.models:9090"', named))
        session = open_session(str(file), where)
        session.world.apply(next(obj for obj in session.objects if Ref.of(obj) == session.target))
        run(["doctor", str(file), "-n", namespace, "--kubeconfig", str(config), "-o", "json"])
        checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
        may_not = checks["permissions"]["facts"]["mayNot"]
        assert {k: v for k, v in may_not.items() if k == "read the counters"} == (lacking or {})
        source = reach.prometheus(
            {"service": f"prometheus:{port}"}, namespace, ClusterClient(kubeconfig=config)
        )
        with pytest.raises(SourceError) as caught:
            source.now()
        said = "cannot get resource" if lacking else 'services "prometheus" not found'
        assert said in caught.value.message


def test_the_role_has_what_every_platform_shows(viewer):
    config, namespace = viewer
    client = ClusterClient(kubeconfig=config)
    for example in EXAMPLES:
        session = open_session(str(example), Where(kubeconfig=config, namespace=namespace))
        look, *others = deeds(session.target, ledger_ref(session.experiment), ())
        assert look.refused(client) == [], example.stem
        hidden = [r for o in session.objects if not client.may("get", r := Ref.of(o))]
        assert hidden == [], example.stem
        assert all(deed.refused(client) for deed in others), example.stem


def test_the_role_only_reads(viewer, crds):
    config, namespace = viewer
    listed = crds.kubectl(
        *("auth", "can-i", "--list", "-n", namespace),
        f"--as=system:serviceaccount:{namespace}:{VIEWER}",
    )
    rows = [line.rpartition("[") for line in listed.splitlines()[1:]]
    # Everybody may ask who one is and what one may.
    mine = {
        row[0].split()[0]: set(row[2].rstrip("]").split()) for row in rows if "self" not in row[0]
    }
    assert set().union(*mine.values()) <= {"get", "list"}
    assert "secrets" not in mine
    client = ClusterClient(kubeconfig=config)
    meta = {"name": "x", "namespace": namespace}
    with pytest.raises(ClusterError, match="cannot create"):
        client.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta})
    assert not client.may("get", Ref("v1", "Secret", namespace, "x"))
