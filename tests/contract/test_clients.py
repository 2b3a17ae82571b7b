"""Laws of every client: the directory keeps the rules of the Kubernetes API."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from abctl.cluster import KubeClient
from abctl.cluster.directory import DirectoryClient
from abctl.cluster.kube import ClusterClient
from abctl.core.change import Change, Ref
from abctl.errors import ClusterError, ConflictError, NotFoundError

REF = Ref("v1", "ConfigMap", "laws-of-clients", "laws")


@pytest.fixture(params=["directory", pytest.param("kube", marks=pytest.mark.process)])
def client(request, tmp_path) -> KubeClient:
    if request.param == "directory":
        return DirectoryClient(tmp_path / "world")
    cluster = request.getfixturevalue("crds")
    if cluster.kubectl("create", "namespace", REF.namespace, check=False).returncode:
        for kinds in ("configmap", "service", "httproute"):
            cluster.kubectl("delete", kinds, "-n", REF.namespace, "--all")
    return ClusterClient(kubeconfig=cluster.kubeconfig)


def config_map(**data: str):
    return {
        "apiVersion": REF.api_version,
        "kind": REF.kind,
        "metadata": {"name": REF.name, "namespace": REF.namespace},
        "data": data,
    }


def version(obj) -> str:
    return obj["metadata"]["resourceVersion"]


def with_data(obj, **data: str):
    return {**obj, "data": data}


def test_what_is_created_can_be_read(client):
    made = client.create(config_map(a="1"))
    assert client.get(REF) == made
    assert made["data"] == {"a": "1"}
    assert version(made)


def test_what_is_not_there_is_not_found(client):
    client.create(config_map())
    client.delete(REF)
    with pytest.raises(NotFoundError, match="configmap/laws"):
        client.get(REF)
    with pytest.raises(NotFoundError):
        client.patch(REF, [])
    client.create(config_map())
    with pytest.raises(NotFoundError):
        client.get(Ref("v1", "Secret", REF.namespace, REF.name))
    with pytest.raises(NotFoundError):
        client.get(Ref("v1", "ConfigMap", "elsewhere", REF.name))


def test_nothing_is_created_twice(client):
    made = client.create(config_map(a="1"))
    with pytest.raises(ConflictError):
        client.create(config_map(a="2"))
    assert client.get(REF) == made


def test_kinds_of_all_groups_are_told_apart(client):
    meta = {"name": "x", "namespace": REF.namespace}
    port = {"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"}
    core = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [port]}}
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta}
    made = [client.create(core), client.create({**route, "spec": {"hostnames": ["x.example.com"]}})]
    for obj in made:
        assert client.get(Ref.of(obj)) == obj


def test_replace_needs_the_latest_version(client):
    first = client.create(config_map(a="1"))
    second = client.replace(with_data(first, a="2"))
    assert version(second) != version(first)
    with pytest.raises(ConflictError):
        client.replace(with_data(first, a="3"))
    with pytest.raises(ConflictError):
        client.replace(config_map(a="3"))
    assert client.get(REF) == second


def test_a_change_of_nothing_makes_no_version(client):
    made = client.create(config_map(a="1"))
    assert client.replace(made) == made
    assert client.patch(REF, []) == made
    assert client.patch(REF, Change(made, made).json_patch()) == made


def test_patch_changes_just_what_it_names(client):
    made = client.create(config_map(a="1", b="1"))
    change = Change(made, with_data(made, a="2", b="1", c="3"))
    patched = client.patch(REF, change.json_patch())
    assert patched["data"] == {"a": "2", "b": "1", "c": "3"}
    assert client.get(REF) == patched
    assert version(patched) != version(made)


def test_a_test_that_fails_is_a_conflict_and_nothing_is_done(client):
    made = client.create(config_map(a="1"))
    with pytest.raises(ConflictError):
        client.patch(
            REF,
            [
                {"op": "replace", "path": "/data/a", "value": "2"},
                {"op": "test", "path": "/data/a", "value": "1"},
            ],
        )
    assert client.get(REF) == made


def test_a_patch_can_test_the_version(client):
    made = client.create(config_map(a="1"))
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": version(made)}
    add = {"op": "add", "path": "/data/b", "value": "2"}
    client.patch(REF, [test, add])
    with pytest.raises(ConflictError):
        client.patch(REF, [test, add])


def test_a_patch_to_nowhere_is_refused_and_nothing_is_done(client):
    made = client.create(config_map(a="1"))
    add = {"op": "add", "path": "/data/b", "value": "2"}
    with pytest.raises(ClusterError) as caught:
        client.patch(REF, [add, {"op": "remove", "path": "/data/none"}])
    assert not isinstance(caught.value, ConflictError)
    with pytest.raises(ClusterError):
        client.patch(REF, [add, {"op": "replace", "path": "/metadata/name", "value": "other"}])
    assert client.get(REF) == made


def test_a_dry_run_says_what_would_be_and_does_nothing(client):
    made = client.create(config_map(a="1"))
    operations = Change(made, with_data(made, a="2")).json_patch()
    assert client.patch(REF, operations, dry_run=True)["data"] == {"a": "2"}
    assert client.get(REF) == made
    stale = [{"op": "test", "path": "/data/a", "value": "0"}]
    with pytest.raises(ConflictError):
        client.patch(REF, stale, dry_run=True)


def test_what_is_applied_is_so_and_what_is_applied_no_more_goes(client):
    first = client.apply(config_map(a="1", b="1"))
    assert first["data"] == {"a": "1", "b": "1"}
    add = {"op": "add", "path": "/data/other", "value": "kept"}
    second = client.patch(REF, [add])
    assert client.apply(config_map(a="1", b="1")) == second
    assert client.apply(config_map(a="2"))["data"] == {"a": "2", "other": "kept"}
    assert client.get(REF)["data"] == {"a": "2", "other": "kept"}


def test_what_abctl_has_patched_itself_is_no_conflict_for_its_apply(client):
    client.apply(config_map(a="1", b="1"))
    client.patch(REF, [{"op": "replace", "path": "/data/a", "value": "2"}])
    assert client.apply(config_map(a="3", b="1"), dry_run=True)["data"] == {"a": "3", "b": "1"}
    assert client.apply(config_map(a="3", b="1"))["data"] == {"a": "3", "b": "1"}


def test_what_is_applied_as_it_was_read_is_refused_once_it_was_changed(client):
    first = client.apply(config_map(a="1"))
    version = first["metadata"]["resourceVersion"]

    def asked(**data):
        obj = config_map(**data)
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}

    changed = client.apply(asked(a="2"))
    assert changed["data"] == {"a": "2"}
    for dry_run in (True, False):
        with pytest.raises(ConflictError):
            client.apply(asked(a="3"), dry_run=dry_run, force=True)
    assert client.get(REF) == changed
    version = changed["metadata"]["resourceVersion"]
    assert client.apply(asked(a="3"))["data"] == {"a": "3"}


def test_a_dry_run_of_an_apply_does_nothing(client):
    assert client.apply(config_map(a="1"), dry_run=True)["data"] == {"a": "1"}
    with pytest.raises(NotFoundError):
        client.get(REF)
    made = client.apply(config_map(a="1"))
    assert client.apply(config_map(a="2"), dry_run=True)["data"] == {"a": "2"}
    assert client.get(REF) == made


def test_delete_may_be_repeated_and_a_new_object_is_no_old_one(client):
    assert not client.delete(REF)
    old = client.create(config_map(a="1"))
    assert client.delete(REF, dry_run=True)
    assert client.delete(REF)
    assert not client.delete(REF, dry_run=True)
    assert not client.delete(REF)
    with pytest.raises(NotFoundError):
        client.get(REF)
    new = client.create(config_map(a="1"))
    assert version(new) != version(old)
    with pytest.raises(ConflictError):
        client.replace(with_data(old, a="2"))


def test_the_status_is_not_ours_to_write(client):
    made = client.create({**config_map(a="1"), "status": {"routes": "mine"}})
    client.replace({**with_data(made, a="2"), "status": {"routes": "mine"}})
    assert "mine" not in str(client.get(REF))


def test_no_update_is_lost_when_many_write_at_once(client):
    client.create(config_map(count="0"))

    def count_up(_: int) -> None:
        while True:
            seen = client.get(REF)
            try:
                client.replace(with_data(seen, count=str(int(seen["data"]["count"]) + 1)))
            except ConflictError:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_up, range(60)))
    assert client.get(REF)["data"]["count"] == "60"


def test_a_list_has_what_has_all_of_the_labels_and_nothing_else(client):
    def labeled(name, **labels):
        meta = {"name": name, "namespace": REF.namespace, "labels": labels}
        return client.create({**config_map(), "metadata": meta})

    both = labeled("b", app="iris", tier="front")
    first = labeled("a", app="iris", tier="front")
    labeled("other-tier", app="iris", tier="back")
    labeled("no-tier", app="iris")
    client.create({**config_map(), "metadata": {"name": "none", "namespace": REF.namespace}})

    def names(**labels):
        found = client.list("v1", "ConfigMap", REF.namespace, labels)
        return [obj["metadata"]["name"] for obj in found]

    wanted = {"app": "iris", "tier": "front"}
    # Each is whole, just as `get` gives it.
    assert list(client.list("v1", "ConfigMap", REF.namespace, wanted)) == [first, both]
    assert names(app="iris") == ["a", "b", "no-tier", "other-tier"]
    assert names(app="iris", tier="none") == []
    assert {"none", "a"} <= set(names())
    assert client.list("v1", "Service", REF.namespace, wanted) == []
    assert client.list("v1", "ConfigMap", "elsewhere", wanted) == []


def test_the_owner_may_do_everything_also_to_what_is_not_there_yet(client):
    client.create(config_map())
    for verb in ("get", "list", "create", "patch", "delete"):
        assert client.may(verb, REF)
        assert client.may(verb, Ref("v1", "Service", REF.namespace, "none"))


def test_the_worlds_clock_is_told(client):
    before = time.time()
    assert before - 1.0 <= client.now() <= time.time() + 1.0
