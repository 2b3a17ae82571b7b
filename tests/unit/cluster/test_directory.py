"""What the directory does beyond the laws of clients: files, crashes, mounts, status."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Ref
from abctl.errors import ClusterError, ConflictError, NotFoundError

REF = Ref("v1", "ConfigMap", "models", "iris")


def config_map(**data):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "iris", "namespace": "models"},
        "data": data,
    }


@pytest.fixture
def root(tmp_path):
    return tmp_path / "world"


@pytest.fixture
def client(root):
    return DirectoryClient(root)


def replaced(client, **data):
    return client.replace({**client.get(REF), "data": data})


def mounted(root):
    files = (root / "mounts" / "iris").iterdir()
    return {path.name: path.read_text() for path in files if not path.name.startswith(".")}


def test_data_is_mounted_and_follows_every_change(client, root):
    client.create(config_map(a="1", b="ü\n"))
    assert mounted(root) == {"a": "1", "b": "ü\n"}
    replaced(client, b="2", c="3")
    assert mounted(root) == {"b": "2", "c": "3"}
    client.delete(REF)
    assert not (root / "mounts" / "iris").exists()


def test_what_did_not_change_is_not_touched_but_what_did_is_a_new_file(client, root):
    client.create(config_map(a="1", b="1"))
    files = [root / "mounts" / "iris" / key for key in "ab"]
    before = [path.stat().st_ino for path in files]
    replaced(client, a="1", b="2")
    after = [path.stat().st_ino for path in files]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_only_config_maps_are_mounted(client, root):
    client.create({**config_map(a="1"), "kind": "Secret"})
    assert not (root / "mounts").exists()


def test_the_status_is_asked_for_at_every_look(root):
    answers = iter([None, {"ready": 1}, {"ready": 2}])
    client = DirectoryClient(root, lambda _: next(answers))
    client.create(config_map(a="1"))
    assert "status" not in client.get(REF)
    first = client.get(REF)
    assert first["status"] == {"ready": 1}
    # Neither does it stay when the object is written back, nor does it make a version.
    assert "status" not in client.replace(first)
    assert client.replace(first)["metadata"] == first["metadata"]
    assert client.get(REF)["status"] == {"ready": 2}


class Crash(BaseException):
    """Nothing can catch a SIGKILL."""


OPERATIONS = [(os, "fsync"), (os, "pwrite")] + [
    (Path, name) for name in ("rename", "open", "unlink", "mkdir", "iterdir")
]


def crash_at(number, patch):
    """Crash when the numbered file operation is about to begin."""
    left = iter(range(number, -1, -1))

    def crashing(work):
        def call(*args, **kwargs):
            if next(left, None) == 1:
                raise Crash
            return work(*args, **kwargs)

        return call

    for owner, name in OPERATIONS:
        patch.setattr(owner, name, crashing(getattr(owner, name)))


def test_whoever_is_killed_at_any_file_operation_leaves_the_old_or_the_new(tmp_path, monkeypatch):
    old, new = {"a": "old", "b": "old"}, {"a": "new", "c": "new"}
    left_behind = []
    for number in range(1, 100):
        root = tmp_path / str(number)
        client = DirectoryClient(root)
        client.create(config_map(**old))
        with monkeypatch.context() as patch:
            crash_at(number, patch)
            try:
                replaced(client, **new)
            except Crash:
                completed = False
            else:
                completed = True
        survivor = DirectoryClient(root)
        data = survivor.get(REF)["data"]
        assert mounted(root) == data
        left_behind.append(data)
        replaced(survivor, a="next")
        assert mounted(root) == {"a": "next"}
        if completed:
            break
    assert completed
    # First always the old, from one point on always the new.
    assert left_behind == sorted(left_behind, key=new.__eq__)
    assert old in left_behind
    assert left_behind.count(new) > 1


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        json.dumps(config_map(a="1")),
        json.dumps({**config_map(), "metadata": {"name": "other", "resourceVersion": "1"}}),
        json.dumps({**config_map(), "metadata": {"name": "iris", "resourceVersion": "x"}}),
    ],
)
def test_a_damaged_file_is_named(text, client, root):
    client.create(config_map(a="1"))
    path = root / "objects" / "models" / "ConfigMap" / "iris.json"
    path.write_text(text)
    for use in (client.get, lambda ref: client.patch(ref, [])):
        with pytest.raises(ClusterError, match=r"iris\.json") as caught:
            use(REF)
        assert caught.value.hint
        assert not isinstance(caught.value, NotFoundError | ConflictError)


def test_a_damaged_counter_is_named(client, root):
    client.create(config_map(a="1"))
    (root / "version").write_text("many")
    with pytest.raises(ClusterError, match="version"):
        replaced(client, a="2")
    assert client.get(REF)["data"] == {"a": "1"}


def test_versions_do_not_come_back_when_the_counter_is_lost(client, root):
    client.create(config_map(a="1"))
    old = replaced(client, a="2")["metadata"]["resourceVersion"]
    (root / "version").unlink()
    assert int(replaced(client, a="3")["metadata"]["resourceVersion"]) > int(old)


def test_names_do_not_lead_out_of_the_directory(client):
    for name in ("../evil", ".hidden", "a/b"):
        with pytest.raises(ClusterError, match="not the name"):
            client.get(Ref("v1", "ConfigMap", "models", name))
        with pytest.raises(ClusterError, match="not the name"):
            client.get(Ref("v1", "ConfigMap", name, "iris"))


def test_keys_do_not_lead_out_of_the_mount(client, root):
    for key in ("../evil", ".hidden", "a/b"):
        with pytest.raises(ClusterError, match="cannot be a key"):
            client.create(config_map(**{key: "1"}))
    assert not (root / "mounts").exists()
    with pytest.raises(NotFoundError):
        client.get(REF)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "world").write_text("a file, not a directory")
    with pytest.raises(ClusterError, match=str(tmp_path / "world")):
        DirectoryClient(tmp_path / "world").create(config_map())


def test_reading_makes_nothing(tmp_path):
    client = DirectoryClient(tmp_path / "none")
    with pytest.raises(NotFoundError):
        client.get(REF)
    client.delete(REF)
    assert not (tmp_path / "none").exists()


COUNT_UP = """
import sys
from pathlib import Path
from abctl.cluster.directory import DirectoryClient
from abctl.core.change import Ref
from abctl.errors import ConflictError

client, times = DirectoryClient(Path(sys.argv[1])), int(sys.argv[2])
while times:
    seen = client.get(Ref("v1", "ConfigMap", "models", "iris"))
    try:
        client.replace({**seen, "data": {"count": str(int(seen["data"]["count"]) + 1)}})
    except ConflictError:
        continue
    times -= 1
"""


@pytest.mark.process
def test_no_update_of_several_processes_is_lost(client, root):
    client.create(config_map(count="0"))
    command = [sys.executable, "-c", COUNT_UP, str(root), "25"]
    workers = [subprocess.Popen(command) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert client.get(REF)["data"] == {"count": "75"}
    assert mounted(root) == {"count": "75"}


def test_what_is_nested_too_deeply_is_no_object(client, root):
    client.create(config_map(count="0"))
    (file,) = root.rglob("iris.json")
    file.write_text("[" * 100_000)
    with pytest.raises(ClusterError, match="not an object of abctl"):
        client.get(REF)


def test_a_fifo_in_the_place_of_a_mount_is_not_waited_for(client, root):
    client.create(config_map(count="0"))
    (file,) = root.rglob("count")
    file.unlink()
    os.mkfifo(file)
    assert client.get(REF)["data"] == {"count": "0"}
    assert mounted(root) == {"count": "0"}
