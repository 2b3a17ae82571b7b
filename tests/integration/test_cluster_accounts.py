"""Who one is in a real cluster: the account of a pod, tokens that are renewed or have expired."""

import json
import subprocess
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.cluster import _access
from abctl.cluster.kube import ClusterClient
from abctl.core.change import Ref
from abctl.errors import ClusterError, NotFoundError

RBAC = Path(__file__).parents[2] / "k8s" / "base" / "namespace" / "rbac.yaml"


class Accounts:
    """The accounts of k8s/base in a namespace, and tokens for them."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace = cluster, namespace
        cluster.kubectl("apply", "-n", namespace, "-f", str(RBAC))
        self.book = Ref("v1", "ConfigMap", namespace, "none")

    def token(self, account):
        words = ("create", "token", account, "-n", self.namespace, "--duration=10m")
        return self.cluster.kubectl(*words).strip()

    def token_that_expires(self, account, in_seconds):
        """As the cluster signs it, with its own key; it gives none for less than ten minutes."""
        header, claims, _ = self.token(account).split(".")
        now = int(time.time())
        times = {"iat": now - 7200, "nbf": now - 7200, "exp": now + in_seconds}
        signed = f"{_encoded({'alg': 'RS256'})}.{_encoded(_decoded(claims) | times)}"
        assert _decoded(header)["alg"] == "RS256"
        key = self.cluster.certificate.with_suffix(".key")
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", key],
            input=signed.encode(),
            check=True,
            capture_output=True,
            timeout=60,
        )
        return f"{signed}.{urlsafe_b64encode(done.stdout).decode().rstrip('=')}"


def _decoded(part):
    return json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def _encoded(claims):
    return urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


@pytest.fixture
def accounts(cluster, namespace):
    if not hasattr(cluster, "certificate"):
        pytest.skip("NOT TESTED: needs an API server of our own, not a given cluster")
    return Accounts(cluster, namespace)


@pytest.fixture
def pod(accounts, tmp_path, monkeypatch):
    """The files and the environment of a pod with an account; gives the folder of the files."""
    host, port = accounts.cluster.url.removeprefix("https://").split(":")
    monkeypatch.setattr(_access, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    (tmp_path / "ca.crt").write_bytes(accounts.cluster.certificate.read_bytes())
    (tmp_path / "namespace").write_text(accounts.namespace)
    (tmp_path / "token").write_text(accounts.token("abctl-shift"))
    return tmp_path


def test_a_pod_works_as_its_account_in_its_namespace(accounts, pod, capsys):
    client = ClusterClient()
    assert (client.namespace, client.words) == (accounts.namespace, "this pod's cluster")
    with pytest.raises(NotFoundError):
        client.get(accounts.book)
    with pytest.raises(ClusterError, match=f"{accounts.namespace}:abctl-shift.* cannot delete"):
        client.delete(accounts.book)
    assert run(["status", "cm/none-envoy"]) == 5
    assert f"no configmap/none-envoy in namespace {accounts.namespace}" in capsys.readouterr().err


def test_a_pod_whose_token_is_renewed_goes_on(accounts, pod):
    (pod / "token").write_text(accounts.token_that_expires("abctl", 3600))
    client = ClusterClient()
    with pytest.raises(NotFoundError):
        client.get(accounts.book)
    (pod / "token").write_text(accounts.token_that_expires("abctl", -60))
    with pytest.raises(ClusterError, match="does not know you"):
        client.get(accounts.book)
    (pod / "token").write_text(accounts.token("abctl"))
    with pytest.raises(NotFoundError):
        client.get(accounts.book)


def test_a_pod_that_does_not_trust_the_server_says_nothing_to_it(pod, accounts):
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=other"),
            *("-keyout", pod / "other.key", "-out", pod / "ca.crt"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    with pytest.raises(ClusterError, match=r"no answer from https.*self-signed certif") as caught:
        ClusterClient().get(accounts.book)
    assert "certificate-authority" in caught.value.hint


def test_an_expired_token_is_said_to_be_one(accounts, tmp_path):
    def client(in_seconds):
        token = accounts.token_that_expires("abctl", in_seconds)
        return ClusterClient(
            kubeconfig=accounts.cluster.write_kubeconfig(tmp_path / "config", token)
        )

    # But for its time it is a good one.
    with pytest.raises(NotFoundError):
        client(3600).get(accounts.book)
    with pytest.raises(ClusterError, match="does not know you") as caught:
        client(-3600).get(accounts.book)
    assert "expired" in caught.value.hint
    assert "log in again" in caught.value.hint


def test_what_one_may_is_what_the_roles_say(accounts, tmp_path, crds):
    route = Ref("gateway.networking.k8s.io/v1", "HTTPRoute", accounts.namespace, "iris")
    may = {}
    for account in ("abctl", "abctl-shift"):
        path = accounts.cluster.write_kubeconfig(tmp_path / account, accounts.token(account))
        client = ClusterClient(kubeconfig=path)
        may[account] = {verb for verb in ("get", "create", "delete") if client.may(verb, route)}
        assert not client.may("get", Ref("v1", "Secret", accounts.namespace, "iris"))
        assert not client.may("get", Ref("v1", "ConfigMap", "default", "iris"))
        with pytest.raises(NotFoundError, match="knows no Rollout"):
            client.may("get", Ref("argoproj.io/v1alpha1", "Rollout", accounts.namespace, "iris"))
    assert may == {"abctl": {"get", "create", "delete"}, "abctl-shift": {"get"}}


def test_who_is_somebody_else_may_what_they_may(accounts, tmp_path):
    path = accounts.cluster.write_kubeconfig(tmp_path / "config", accounts.token("abctl"))
    config = json.loads(path.read_text())
    config["users"][0]["user"]["as"] = f"system:serviceaccount:{accounts.namespace}:abctl-shift"
    path.write_text(json.dumps(config))
    # Nobody has allowed abctl to be somebody else.
    with pytest.raises(ClusterError, match="cannot impersonate"):
        ClusterClient(kubeconfig=path).get(accounts.book)
    admin = json.loads(accounts.cluster.kubeconfig.read_text())["users"][0]["user"]["token"]
    config["users"][0]["user"]["token"] = admin
    path.write_text(json.dumps(config))
    with pytest.raises(ClusterError, match=r"abctl-shift.* cannot delete"):
        ClusterClient(kubeconfig=path).delete(accounts.book)
