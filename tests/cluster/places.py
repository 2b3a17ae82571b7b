"""Where the cluster keeps what, and by which names and addresses it is known."""

import os
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))
KUBECTL = SCRIPTS / "kubectl"

# Everything of one cluster; gone when it is down, but for the logs.
STATE = ROOT / "build" / "cluster"
LOGS = STATE / "logs"
RUN = STATE / "run"
KUBECONFIG = STATE / "kubeconfig"
CONTAINERD = RUN / "containerd.sock"
# What is worth keeping: base image, layers of the builds, images that containerd has unpacked.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "abctl" / "cluster"
STORE = CACHE / "containerd"

# One name for whatever of it is seen from outside: network interface, node, cgroup.
NAME = "abctl0"
HOST_ADDRESS = "10.215.0.1"
NODE_ADDRESS = "10.215.0.2"
LINK_BITS = 30
POD_SUBNET = "10.213.0.0/24"
SERVICE_SUBNET = "10.214.0.0/24"
API_SERVER = f"https://{NODE_ADDRESS}:6443"
DOMAIN = "cluster.local"
PAUSE = "abctl.dev/pause:bookworm"
