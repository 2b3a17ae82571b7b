"""A Kubernetes of one node on this machine, for the tests: `python tests/cluster up | down`.

`kill PROGRAM` is for tests of faults: kube-apiserver, or whatever else runs there.

As root on Debian. It keeps to namespaces of its own; what is seen of it from outside is a network
interface, a cgroup and the processes, all gone after `down`. `load` builds the images anew,
`programs` only builds what the node runs, `down` keeps the logs, and what is worth keeping between
two clusters is in a cache folder.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import host
import identities
import images
import programs
from host import ClusterError, wait_for
from places import CACHE, KUBECONFIG, KUBECTL, LOGS, NAME, ROOT, RUN, STATE

OBJECTS = Path(__file__).with_name("objects.yaml")
# A claim that is deleted gives its volume back to nobody: so often can one be made anew.
VOLUMES = 20
NOBODY = 65534


def up():
    """The cluster runs and has the images; says where its kubeconfig is."""
    if not host.first_process():
        down()
        _start()
    images.load()
    print(KUBECONFIG)


def down():
    """Nothing of the cluster runs or is left on the machine but its logs."""
    host.end_namespaces()
    host.disconnect()
    host.remove_cgroups()
    for left in (RUN, STATE / "etcd", STATE / "lib", STATE / "volumes"):
        shutil.rmtree(left, ignore_errors=True)
    KUBECONFIG.unlink(missing_ok=True)


def _start():
    if os.geteuid():
        raise ClusterError("the node of a cluster runs as root")
    # It says itself what it installs.
    if subprocess.run([ROOT / ".ci" / "node"], check=False).returncode:
        raise ClusterError("the packages of the node are not there")
    paths = programs.found()
    shutil.rmtree(LOGS, ignore_errors=True)
    for folder in (LOGS, RUN):
        folder.mkdir(parents=True)
    for number in range(VOLUMES):
        volume = STATE / "volumes" / str(number)
        volume.mkdir(parents=True)
        # Kubernetes leaves the owner of a host's folder as it is.
        os.chown(volume, NOBODY, NOBODY)
    identities.make_identities()
    programs.write_files()
    listed = [vars(each) for each in programs.programs(paths)]
    (RUN / "programs.json").write_text(json.dumps(listed))
    host.make_cgroups()
    host.connect(host.start_namespaces(Path(__file__).with_name("node.py"), RUN / "programs.json"))
    wait_for(lambda: _kubectl("get", "--raw=/readyz"), "kube-apiserver")
    wait_for(lambda: _kubectl("apply", "--server-side", "-f", "-", stdin=_objects()), "objects")
    ready = ["wait", "--for=condition=Ready", "--timeout=1s", f"node/{NAME}"]
    wait_for(lambda: _kubectl(*ready), "the node")
    wait_for(lambda: _kubectl("get", "-n", "default", "serviceaccount/default"), "controllers")


def _objects():
    """What an installer of Kubernetes leaves there: rights of its programs, volumes."""
    folders = (STATE / "volumes" / str(number) for number in range(VOLUMES))
    volumes = [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"volume-{folder.name}"},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": str(folder)},
            },
        }
        for folder in folders
    ]
    return "\n---\n".join([OBJECTS.read_text(), *map(json.dumps, volumes)])


def _kubectl(*words, stdin=None):
    done = subprocess.run(
        [KUBECTL, f"--kubeconfig={KUBECONFIG}", *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0


@contextmanager
def _alone():
    """One command at a time: the names and the cache are those of one cluster."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main():
    match sys.argv[1:]:
        case ["up"]:
            command = up
        case ["down"]:
            command = down
        case ["load"]:
            command = images.load
        case ["programs"]:
            command = programs.found
        case ["kill", program]:
            command = partial(host.kill, program)
        case _:
            return "usage: python tests/cluster up | down | load | programs | kill PROGRAM"
    try:
        with _alone():
            command()
    except ClusterError as error:
        return f"error: {error}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
