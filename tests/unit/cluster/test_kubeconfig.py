"""Which cluster, and as whom: what kubeconfigs say, and what is sent because of it."""

import json
import os
from base64 import b64encode
from pathlib import Path

import pytest

from abctl.cluster import _access, kubeconfig
from abctl.errors import ClusterError

CLUSTER = {"server": "http://127.0.0.1:1"}


def config(user=None, cluster=None, **more):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": cluster or CLUSTER}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        **more,
    }


@pytest.fixture(autouse=True)
def _nothing_around(monkeypatch, tmp_path):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))


@pytest.fixture
def access(tmp_path):
    """The access that a kubeconfig gives."""

    def find(content, context=None):
        (tmp_path / "config").write_text(json.dumps(content))
        return _access.find(tmp_path / "config", context)

    return find


def headers(found):
    return found.credentials.headers()


def read(*paths, context=None):
    return kubeconfig.read(os.pathsep.join(map(str, paths)), context)


def test_of_several_files_the_first_counts_for_each_name(tmp_path):
    first, second = tmp_path / "a" / "first", tmp_path / "b" / "second"
    for path in (first, second):
        path.parent.mkdir()
    own = config({"token": "first"}, contexts=[])
    first.write_text(json.dumps({**own, "current-context": ""}))
    contexts = [
        {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "models"}},
        {"name": "there", "context": {"cluster": "d"}},
    ]
    clusters = [{"name": "c", "cluster": {"server": "http://no"}}, {"name": "d"}]
    other = config({"token": "second"}, contexts=contexts, clusters=clusters)
    second.write_text(json.dumps(other))
    found = read(first, second)
    assert (found.name, found.namespace) == ("here", "models")
    assert found.cluster.values == CLUSTER
    assert found.user.values == {"token": "first"}
    # A path in a file starts where that file is.
    assert (found.cluster.folder, found.user.folder) == (first.parent, first.parent)
    there = read(first, second, context="there")
    assert (there.namespace, there.user, there.cluster.folder) == ("default", None, second.parent)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({**config(), "current-context": None}, "no current-context"),
        ({**config(), "current-context": "prod"}, "no context 'prod'; there are here"),
        ({**config(), "clusters": None}, "no cluster 'c'"),
        ({**config(), "users": []}, "no user 'u'"),
        ({**config(), "contexts": ["here"]}, "a context must be a mapping"),
        (["here"], "not a kubeconfig"),
        (config({"token": 123456}), "user u: token must be text"),
        (config({"token": "a\nb"}), "the token has characters that no token has"),
        (config({"tokenFile": "none"}), "none: No such file"),
        (config({"client-certificate-data": "YQ=="}), "go together"),
        (config({"client-certificate-data": "%"}), "client-certificate-data is not base64"),
        (config({"as-groups": ["ops"]}), "need `as`"),
        (config({"as-groups": "ops"}), "as-groups must be a list"),
        (config(cluster={"server": "localhost:8080"}), "'localhost:8080' is not an address"),
        (config(cluster={"server": ""}), "is not an address"),
        (config(cluster={**CLUSTER, "proxy-url": "ftp://a:123456@p"}), "the proxy ftp://p is no"),
        (config(cluster={"server": "https://x:port"}), "'https://x:port' is not an address"),
        (
            config(cluster={"server": "https://x", "certificate-authority": "none.crt"}),
            "certificate-authority: No such file",
        ),
        (
            config(cluster={"server": "https://x", "certificate-authority-data": "YQ=="}),
            "certificate-authority: no certificate in it",
        ),
    ],
)
def test_what_makes_no_sense_is_said_with_its_place(access, content, said):
    with pytest.raises(ClusterError, match="no cluster: ") as caught:
        headers(access(content))
    assert said in caught.value.message
    assert caught.value.hint
    assert "123456" not in caught.value.message


@pytest.mark.parametrize("text", ["[", "- ", "{a: "])
def test_what_is_nested_too_deeply_is_refused_before_libyaml_ends_the_process(tmp_path, text):
    path = tmp_path / "config"
    path.write_text(text * 100_000)
    # A newer libyaml has a bound of its own.
    with pytest.raises(ClusterError, match=r"nested too deeply|not YAML"):
        kubeconfig.read(str(path), None)


def test_a_user_without_a_folder_has_no_kubeconfig(monkeypatch):
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(kubeconfig, "home", lambda: None)
    assert kubeconfig.files() == ""
    assert not kubeconfig.configured()


def test_nobody_in_particular_sends_nothing(access):
    assert headers(access(config())) == []


def test_who_one_is_by_a_token_a_file_or_a_password(access, tmp_path):
    assert headers(access(config({"token": "abc"}))) == [("Authorization", "Bearer abc")]
    basic = b64encode(b"ann:pass word").decode()
    found = access(config({"username": "ann", "password": "pass word"}))
    assert headers(found) == [("Authorization", f"Basic {basic}")]
    token = tmp_path / "token"
    token.write_text("first\n")
    found = access(config({"tokenFile": "token"}))
    assert headers(found) == [("Authorization", "Bearer first")]
    # Whoever rotates it need not tell us.
    token.write_text("second\n")
    assert headers(found) == [("Authorization", "Bearer second")]
    token.write_text("")
    with pytest.raises(ClusterError, match="no token in it"):
        headers(found)


def test_being_somebody_else_is_said_with_every_request(access):
    user = {
        "token": "abc",
        "as": "ann",
        "as-uid": "7",
        "as-groups": ["ops", "dev"],
        "as-user-extra": {"Scopes/x": ["a", "b"]},
    }
    assert headers(access(config(user)))[1:] == [
        ("Impersonate-User", "ann"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "ops"),
        ("Impersonate-Group", "dev"),
        ("Impersonate-Extra-scopes%2Fx", "a"),
        ("Impersonate-Extra-scopes%2Fx", "b"),
    ]


def program(tmp_path, text):
    path = tmp_path / "login"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    api = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": api, "command": str(path), "installHint": "get it at X"}}


def credential(**status):
    api = "client.authentication.k8s.io/v1"
    return json.dumps({"apiVersion": api, "kind": "ExecCredential", "status": status})


@pytest.mark.process
def test_a_program_gives_a_token_and_is_run_again_before_it_expires(access, tmp_path):
    runs = tmp_path / "runs"
    soon = credential(token="abc", expirationTimestamp="2001-01-01T00:00:00Z")
    found = access(config(program(tmp_path, f"echo >> {runs}; echo '{soon}'")))
    assert headers(found) == [("Authorization", "Bearer abc")]
    assert runs.read_text().count("\n") == 2
    late = credential(token="abc", expirationTimestamp="2999-01-01T00:00:00Z")
    found = access(config(program(tmp_path, f"echo >> {runs}; echo '{late}'")))
    assert headers(found) == headers(found)
    assert runs.read_text().count("\n") == 3


@pytest.mark.process
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo locked out >&2; exit 3", "locked out"),
        ("echo s3cret", "decode"),
        (f"echo '{credential()}'", "gave neither a token nor a certificate"),
    ],
)
def test_a_program_that_gives_nothing_is_named_with_its_reason(access, tmp_path, text, said):
    with pytest.raises(ClusterError, match=r"user u: .*login") as caught:
        access(config(program(tmp_path, text)))
    assert said in caught.value.message
    assert "s3cret" not in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("value", ["2026-99-99", "!!int x", "!!timestamp x", "!!bool x"])
def test_a_value_that_is_not_what_it_looks_like_is_no_yaml(tmp_path, value):
    (tmp_path / "config").write_text(f"expiry: {value}\n")
    with pytest.raises(ClusterError, match="not YAML"):
        kubeconfig.contexts()


@pytest.mark.process
def test_a_program_that_is_not_there_is_named_with_where_to_get_it(access, tmp_path):
    user = program(tmp_path, "")
    Path(user["exec"]["command"]).unlink()
    with pytest.raises(ClusterError, match="No such file") as caught:
        access(config(user))
    assert caught.value.hint == "get it at X"


@pytest.mark.process
def test_a_program_that_hangs_is_not_waited_for(access, tmp_path, monkeypatch):
    monkeypatch.setattr("abctl.cluster._credential_programs._LONGEST_SECONDS", 0.2, raising=False)
    with pytest.raises(ClusterError, match=r"login gave nothing within 0.2 s") as caught:
        access(config(program(tmp_path, "exec sleep 3")))
    assert (caught.value.exit_code, "kubectl" in caught.value.hint) == (5, True)


def test_a_provider_gives_its_token(access):
    claims = b64encode(b'{"exp": 32503680000}').decode().rstrip("=")
    details = {"id-token": f"e30.{claims}.sig", "idp-issuer-url": "https://127.0.0.1:1"}
    found = access(config({"auth-provider": {"name": "oidc", "config": details}}))
    assert headers(found) == [("Authorization", f"Bearer e30.{claims}.sig")]
    with pytest.raises(ClusterError, match="the auth-provider azure gave no token"):
        access(config({"auth-provider": {"name": "azure"}}))


def test_a_pod_reads_its_token_anew_for_each_request(monkeypatch, tmp_path):
    monkeypatch.setattr(_access, "ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ClusterError, match="token: No such file"):
        _access.find(None, None)
    (tmp_path / "token").write_text("first")
    (tmp_path / "namespace").write_text("models\n")
    with pytest.raises(ClusterError, match="the account of this pod: certificate-authority"):
        _access.find(None, None)
    # A kubeconfig goes before it, and so does a context that is asked for.
    with pytest.raises(ClusterError, match="no kubeconfig"):
        _access.find(None, "here")
    (tmp_path / "config").write_text(json.dumps(config()))
    assert _access.find(None, None).words == "context here"


PROXY = "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("server", "rules", "proxied"),
    [
        ("https://api.example.com", "", True),
        ("https://api.example.com", "other.com,ample.com,api.example.com:6443", True),
        ("https://api.example.com", "other.com, example.com", False),
        ("https://api.example.com", ".example.com", False),
        ("https://api.example.com", "*.example.com", False),
        ("https://example.com", ".example.com", True),
        ("https://api.example.com:6443", "api.example.com:6443", False),
        ("https://api.example.com", "*", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "10.1.2.3", False),
        ("https://10.1.2.3", "11.0.0.0/8,10.1.2", True),
        ("https://[fd00::1]", "fd00::/8", False),
        # As with kubectl, what is on this machine is never asked for by a proxy.
        ("https://127.0.0.1:6443", "", False),
        ("https://localhost:6443", "", False),
        ("http://api.example.com", "", False),  # HTTPS_PROXY is not for it
    ],
)
def test_the_proxy_of_the_environment_is_used_as_kubectl_does(
    access, monkeypatch, server, rules, proxied
):
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", rules)
    proxy = access(config(cluster={"server": server})).pool.proxy
    assert (proxy is not None and proxy.url) == (proxied and PROXY)


def test_the_proxy_of_the_kubeconfig_goes_first_and_gets_its_password(access, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", "*")
    cluster = {"server": "https://127.0.0.1", "proxy-url": "http://ann:p%40ss@other:1"}
    pool = access(config(cluster=cluster)).pool
    assert (pool.proxy.host, pool.proxy.port) == ("other", 1)
    wanted = f"Basic {b64encode(b'ann:p@ss').decode()}"
    assert pool.proxy_headers == {"proxy-authorization": wanted}
