"""The first process of the node's namespaces: prepares them, then keeps the programs running.

Whatever it starts ends with it. It is given a file that lists the programs: name and command.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from places import HOST_ADDRESS, LINK_BITS, LOGS, NAME, NODE_ADDRESS, RUN, STATE, STORE

# kubelet sets these of the whole machine; it may set copies.
KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
PAUSE_SECONDS = 1.0


def run(*words):
    subprocess.run(words, check=True)


def prepare():
    """The folders where programs write whatever they are told, and the network."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for folder, place in ((STATE / "lib", "/var/lib"), (LOGS, "/var/log")):
        folder.mkdir(exist_ok=True)
        run("mount", "--bind", folder, place)
    copies = RUN / "kernel"
    copies.mkdir(exist_ok=True)
    for name in KERNEL_SETTINGS:
        setting, copy = Path("/proc/sys", name), copies / name.replace("/", "-")
        copy.write_text(setting.read_text())
        run("mount", "--bind", copy, setting)
    run("hostname", NAME)
    run("ip", "link", "set", "lo", "up")
    # The machine makes the link as soon as these namespaces are there.
    while not Path("/proc/net/dev").read_text().count("eth0:"):
        time.sleep(0.05)
    run("ip", "address", "add", f"{NODE_ADDRESS}/{LINK_BITS}", "dev", "eth0")
    run("ip", "link", "set", "eth0", "up")
    run("ip", "route", "add", "default", "via", HOST_ADDRESS)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    # What one pod sends to another through a service comes back through it.
    Path("/proc/sys/net/bridge/bridge-nf-call-iptables").write_text("1")


def forget_containers(containerd):
    """What a node that ended suddenly has left in the store, which keeps only images."""
    shutil.rmtree(STORE / "io.containerd.grpc.v1.cri", ignore_errors=True)
    config = RUN / "store.toml"
    address = RUN / "store.sock"
    config.write_text(
        f'version = 2\nroot = "{STORE}"\nstate = "/run/store"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{address}"\n'
    )
    ctr = ["ctr", f"--address={address}", "--namespace=k8s.io", "containers"]
    with subprocess.Popen([containerd, f"--config={config}"]) as store:
        while subprocess.run([*ctr, "list"], capture_output=True, check=False).returncode:
            time.sleep(0.05)
        left = subprocess.run([*ctr, "list", "-q"], capture_output=True, text=True, check=True)
        if left.stdout:
            run(*ctr, "remove", *left.stdout.split())
        store.terminate()


def start(program):
    with (LOGS / f"{program['name']}.log").open("ab") as log:
        process = subprocess.Popen(
            program["command"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=RUN
        )
    (RUN / f"{program['name']}.pid").write_text(str(process.pid))
    return process


def keep_running(programs):
    running = {start(program).pid: program for program in programs}
    while True:
        # Also whatever else has lost its parent.
        pid, status = os.wait()
        if program := running.pop(pid, None):
            code = os.waitstatus_to_exitcode(status)
            print(f"{program['name']} ended ({code}) and is started again", flush=True)
            time.sleep(PAUSE_SECONDS)
            running[start(program).pid] = program


if __name__ == "__main__":
    prepare()
    listed = json.loads(Path(sys.argv[1]).read_text())
    forget_containers(listed[0]["command"][0])
    keep_running(listed)
