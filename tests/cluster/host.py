"""What the machine lends to a cluster: a process with namespaces of its own, a link, cgroups.

Processes, mounts, the bridge and all rules of the packet filter live in those namespaces, and end
with their first process.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from places import (
    HOST_ADDRESS,
    LINK_BITS,
    LOGS,
    NAME,
    NODE_ADDRESS,
    POD_SUBNET,
    RUN,
    SERVICE_SUBNET,
)

CGROUPS = Path("/sys/fs/cgroup")
# A dozen times what one process has: all pods together are one to whatever else runs here.
CPU_SHARES = {"cpu.shares": "12288", "cpu.weight": "1200"}
FIRST = RUN / "first-process"


class ClusterError(Exception):
    """The cluster cannot be made; the text says why, for people."""


def run(*words, **options):
    """What a program prints; a ClusterError with its complaint where it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise ClusterError(f"{' '.join(map(str, words))}: {said}")
    return done.stdout


def wait_for(condition, what, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise ClusterError(f"{what}: not in {seconds:.0f} s; logs are in {LOGS}")
        time.sleep(0.1)
    return found


def start_namespaces(*command):
    """Starts a command as the first process of namespaces of its own; remembers its pid."""
    with (LOGS / "node.log").open("ab") as log:
        unshare = ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--kill-child"]
        parent = subprocess.Popen(
            [*unshare, "--mount-proc", sys.executable, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")

    def first():
        if parent.poll() is not None:
            raise ClusterError(f"the node ended at its start; see {LOGS / 'node.log'}")
        return children.read_text().split()

    pid = int(wait_for(first, "the first process of the node")[0])
    FIRST.write_text(f"{pid} {_started(pid)}")
    return pid


def first_process():
    """The pid of the running cluster's first process, or None."""
    try:
        pid, started = FIRST.read_text().split()
    except FileNotFoundError:
        return None
    return int(pid) if _started(int(pid)) == started else None


def kill(program):
    """Ends a program of the node at once; it is started again."""
    if not (first := first_process()):
        raise ClusterError("no cluster runs")
    for pid in Path(f"/proc/{first}/task/{first}/children").read_text().split():
        command = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
        if Path(command.decode()).name == program:
            os.kill(int(pid), signal.SIGKILL)
            return
    raise ClusterError(f"no {program} runs on the node")


def end_namespaces():
    """The kernel ends every process of the namespaces with the first; the rest goes with them."""
    if pid := first_process():
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not first_process(), "the end of the node")
    FIRST.unlink(missing_ok=True)


def _started(pid):
    try:
        # The field after the name, which may hold blanks: 20 of 22 are left.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        return None


def connect(pid):
    """A link from the machine to the node; it goes when the node goes."""
    for subnet in (POD_SUBNET, SERVICE_SUBNET, f"{NODE_ADDRESS}/{LINK_BITS}"):
        if taken := run("ip", "route", "show", "to", "match", subnet.partition("/")[0]).strip():
            others = [line for line in taken.splitlines() if not line.startswith("default")]
            if others:
                raise ClusterError(f"{subnet} is in use on this machine: {others[0]}")
    peer = ["peer", "name", "eth0", "netns", str(pid)]
    run("ip", "link", "add", NAME, "type", "veth", *peer)
    run("ip", "address", "add", f"{HOST_ADDRESS}/{LINK_BITS}", "dev", NAME)
    run("ip", "link", "set", NAME, "up")
    for subnet in (POD_SUBNET, SERVICE_SUBNET):
        run("ip", "route", "add", subnet, "via", NODE_ADDRESS)


def disconnect():
    """The link goes with the node, maybe at this moment."""
    link = Path(f"/sys/class/net/{NAME}")
    subprocess.run(["ip", "link", "delete", NAME], capture_output=True, check=False)
    wait_for(lambda: not link.exists(), f"the end of {NAME}")


def make_cgroups():
    for controller in _controllers():
        (controller / NAME).mkdir(exist_ok=True)
        for setting, value in CPU_SHARES.items():
            if (path := controller / NAME / setting).exists():
                path.write_text(value)


def remove_cgroups():
    """Removes what nothing runs in any more; the kernel takes a moment to see it."""
    for controller in _controllers():
        # Those below come first.
        for folder in sorted((controller / NAME).glob("**/"), reverse=True):
            wait_for(lambda folder=folder: _removed(folder), f"the end of {folder}")


def _removed(folder):
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _controllers():
    """The roots of cgroup v1, one for each controller, or the one root of v2."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [each for each in CGROUPS.iterdir() if each.is_dir() and not each.is_symlink()]
