"""Laws of every door: the directory keeps the rules of the Kubernetes API."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from abctl.cluster import Door
from abctl.cluster.directory import DirectoryDoor
from abctl.cluster.kube import KubeDoor
from abctl.core.change import Change, Ref
from abctl.errors import ClusterError, ConflictError, NotFoundError

REF = Ref("v1", "ConfigMap", "laws-of-doors", "laws")


@pytest.fixture(params=["directory", pytest.param("kube", marks=pytest.mark.process)])
def door(request, tmp_path) -> Door:
    if request.param == "directory":
        return DirectoryDoor(tmp_path / "world")
    cluster = request.getfixturevalue("crds")
    if cluster.kubectl("create", "namespace", REF.namespace, check=False).returncode:
        for kinds in ("configmap", "service", "httproute"):
            cluster.kubectl("delete", kinds, "-n", REF.namespace, "--all")
    return KubeDoor(kubeconfig=cluster.kubeconfig)


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


def test_what_is_created_can_be_read(door):
    made = door.create(config_map(a="1"))
    assert door.get(REF) == made
    assert made["data"] == {"a": "1"}
    assert version(made)


def test_what_is_not_there_is_not_found(door):
    with pytest.raises(NotFoundError, match="configmap/laws"):
        door.get(REF)
    with pytest.raises(NotFoundError):
        door.patch(REF, [])
    door.create(config_map())
    with pytest.raises(NotFoundError):
        door.get(Ref("v1", "Secret", REF.namespace, REF.name))
    with pytest.raises(NotFoundError):
        door.get(Ref("v1", "ConfigMap", "elsewhere", REF.name))


def test_nothing_is_created_twice(door):
    made = door.create(config_map(a="1"))
    with pytest.raises(ConflictError):
        door.create(config_map(a="2"))
    assert door.get(REF) == made


def test_kinds_of_all_groups_are_told_apart(door):
    meta = {"name": "x", "namespace": REF.namespace}
    port = {"name": "http", "port": 80, "targetPort": 80, "protocol": "TCP"}
    core = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [port]}}
    route = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": meta}
    made = [door.create(core), door.create({**route, "spec": {"hostnames": ["x.example.com"]}})]
    for obj in made:
        assert door.get(Ref.of(obj)) == obj


def test_replace_needs_the_latest_version(door):
    first = door.create(config_map(a="1"))
    second = door.replace(with_data(first, a="2"))
    assert version(second) != version(first)
    with pytest.raises(ConflictError):
        door.replace(with_data(first, a="3"))
    with pytest.raises(ConflictError):
        door.replace(config_map(a="3"))
    assert door.get(REF) == second


def test_a_change_of_nothing_makes_no_version(door):
    made = door.create(config_map(a="1"))
    assert door.replace(made) == made
    assert door.patch(REF, []) == made
    assert door.patch(REF, Change(made, made).json_patch()) == made


def test_patch_changes_just_what_it_names(door):
    made = door.create(config_map(a="1", b="1"))
    change = Change(made, with_data(made, a="2", b="1", c="3"))
    patched = door.patch(REF, change.json_patch())
    assert patched["data"] == {"a": "2", "b": "1", "c": "3"}
    assert door.get(REF) == patched
    assert version(patched) != version(made)


def test_a_test_that_fails_is_a_conflict_and_nothing_is_done(door):
    made = door.create(config_map(a="1"))
    with pytest.raises(ConflictError):
        door.patch(
            REF,
            [
                {"op": "replace", "path": "/data/a", "value": "2"},
                {"op": "test", "path": "/data/a", "value": "1"},
            ],
        )
    assert door.get(REF) == made


def test_a_patch_can_test_the_version(door):
    made = door.create(config_map(a="1"))
    test = {"op": "test", "path": "/metadata/resourceVersion", "value": version(made)}
    add = {"op": "add", "path": "/data/b", "value": "2"}
    door.patch(REF, [test, add])
    with pytest.raises(ConflictError):
        door.patch(REF, [test, add])


def test_a_patch_to_nowhere_is_refused_and_nothing_is_done(door):
    made = door.create(config_map(a="1"))
    add = {"op": "add", "path": "/data/b", "value": "2"}
    with pytest.raises(ClusterError) as caught:
        door.patch(REF, [add, {"op": "remove", "path": "/data/none"}])
    assert not isinstance(caught.value, ConflictError)
    with pytest.raises(ClusterError):
        door.patch(REF, [add, {"op": "replace", "path": "/metadata/name", "value": "other"}])
    assert door.get(REF) == made


def test_a_dry_run_says_what_would_be_and_does_nothing(door):
    made = door.create(config_map(a="1"))
    operations = Change(made, with_data(made, a="2")).json_patch()
    assert door.patch(REF, operations, dry_run=True)["data"] == {"a": "2"}
    assert door.get(REF) == made
    stale = [{"op": "test", "path": "/data/a", "value": "0"}]
    with pytest.raises(ConflictError):
        door.patch(REF, stale, dry_run=True)


def test_what_is_applied_is_so_and_what_is_applied_no_more_goes(door):
    first = door.apply(config_map(a="1", b="1"))
    assert first["data"] == {"a": "1", "b": "1"}
    add = {"op": "add", "path": "/data/other", "value": "kept"}
    second = door.patch(REF, [add])
    assert door.apply(config_map(a="1", b="1")) == second
    assert door.apply(config_map(a="2"))["data"] == {"a": "2", "other": "kept"}
    assert door.get(REF)["data"] == {"a": "2", "other": "kept"}


def test_what_abctl_has_patched_itself_is_no_conflict_for_its_apply(door):
    door.apply(config_map(a="1", b="1"))
    door.patch(REF, [{"op": "replace", "path": "/data/a", "value": "2"}])
    assert door.apply(config_map(a="3", b="1"), dry_run=True)["data"] == {"a": "3", "b": "1"}
    assert door.apply(config_map(a="3", b="1"))["data"] == {"a": "3", "b": "1"}


def test_a_dry_run_of_an_apply_does_nothing(door):
    assert door.apply(config_map(a="1"), dry_run=True)["data"] == {"a": "1"}
    with pytest.raises(NotFoundError):
        door.get(REF)
    made = door.apply(config_map(a="1"))
    assert door.apply(config_map(a="2"), dry_run=True)["data"] == {"a": "2"}
    assert door.get(REF) == made


def test_delete_may_be_repeated_and_a_new_object_is_no_old_one(door):
    assert not door.delete(REF)
    old = door.create(config_map(a="1"))
    assert door.delete(REF, dry_run=True)
    assert door.delete(REF)
    assert not door.delete(REF, dry_run=True)
    assert not door.delete(REF)
    with pytest.raises(NotFoundError):
        door.get(REF)
    new = door.create(config_map(a="1"))
    assert version(new) != version(old)
    with pytest.raises(ConflictError):
        door.replace(with_data(old, a="2"))


def test_the_status_is_not_ours_to_write(door):
    made = door.create({**config_map(a="1"), "status": {"routes": "mine"}})
    door.replace({**with_data(made, a="2"), "status": {"routes": "mine"}})
    assert "mine" not in str(door.get(REF))


def test_no_update_is_lost_when_many_write_at_once(door):
    door.create(config_map(count="0"))

    def count_up(_: int) -> None:
        while True:
            seen = door.get(REF)
            try:
                door.replace(with_data(seen, count=str(int(seen["data"]["count"]) + 1)))
            except ConflictError:
                continue
            return

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_up, range(60)))
    assert door.get(REF)["data"]["count"] == "60"


def test_a_list_has_what_has_all_of_the_labels_and_nothing_else(door):
    def labeled(name, **labels):
        meta = {"name": name, "namespace": REF.namespace, "labels": labels}
        return door.create({**config_map(), "metadata": meta})

    both = labeled("b", app="iris", tier="front")
    first = labeled("a", app="iris", tier="front")
    labeled("other-tier", app="iris", tier="back")
    labeled("no-tier", app="iris")
    door.create({**config_map(), "metadata": {"name": "none", "namespace": REF.namespace}})

    def names(**labels):
        found = door.list("v1", "ConfigMap", REF.namespace, labels)
        return [obj["metadata"]["name"] for obj in found]

    wanted = {"app": "iris", "tier": "front"}
    # Each is whole, just as `get` gives it.
    assert list(door.list("v1", "ConfigMap", REF.namespace, wanted)) == [first, both]
    assert names(app="iris") == ["a", "b", "no-tier", "other-tier"]
    assert names(app="iris", tier="none") == []
    assert {"none", "a"} <= set(names())
    assert door.list("v1", "Service", REF.namespace, wanted) == []
    assert door.list("v1", "ConfigMap", "elsewhere", wanted) == []


def test_the_owner_may_do_everything_also_to_what_is_not_there_yet(door):
    door.create(config_map())
    for verb in ("get", "list", "create", "patch", "delete"):
        assert door.may(verb, REF)
        assert door.may(verb, Ref("v1", "Service", REF.namespace, "none"))


def test_the_worlds_clock_is_told(door):
    before = time.time()
    assert before - 1.0 <= door.now() <= time.time() + 1.0
