"""The programs of the node: how each is started, and the files that tell it what to do."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from host import ClusterError
from identities import ACCOUNTS_KEY, CA, TOKENS, kubeconfig
from places import (
    CONTAINERD,
    DOMAIN,
    NAME,
    NODE_ADDRESS,
    PAUSE,
    POD_SUBNET,
    ROOT,
    RUN,
    SERVICE_SUBNET,
    STATE,
    STORE,
)

KUBERNETES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubelet",
)
ETCD = "http://127.0.0.1:2379"
CONTAINERD_TOML = f"""version = 2
root = "{STORE}"
state = "/run/containerd"
[grpc]
address = "{CONTAINERD}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# Not everywhere may root lower a score.
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{RUN}/cni"
"""
COREFILE = f"""{DOMAIN} {{
  ready {NODE_ADDRESS}:8181
  errors
  kubernetes {DOMAIN} {{
    kubeconfig {kubeconfig("dns")}
  }}
}}
. {{
  errors
}}
"""
NETWORK = {
    "cniVersion": "1.0.0",
    "name": NAME,
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_SUBNET}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}
KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": NODE_ADDRESS,
    "readOnlyPort": 0,
    "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(CA)}},
    "authorization": {"mode": "Webhook"},
    "cgroupDriver": "cgroupfs",
    "cgroupRoot": f"/{NAME}",
    "failCgroupV1": False,
    "failSwapOn": False,
    "clusterDNS": [NODE_ADDRESS],
    "clusterDomain": DOMAIN,
    "resolvConf": str(RUN / "resolv.conf"),
    "containerRuntimeEndpoint": f"unix://{CONTAINERD}",
    "volumePluginDir": str(RUN / "volume-plugins"),
    "makeIPTablesUtilChains": False,
    # The disk is the machine's: what else is on it must not empty the node.
    "evictionHard": {"memory.available": "100Mi", "nodefs.available": "500Mi"},
    "imageGCHighThresholdPercent": 100,
}
PROXY = {
    "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
    "kind": "KubeProxyConfiguration",
    "mode": "nftables",
    "clientConnection": {"kubeconfig": str(kubeconfig("proxy"))},
    "hostnameOverride": NAME,
    "clusterCIDR": POD_SUBNET,
    # The machine's, and not the node's to change.
    "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
}


@dataclass(frozen=True)
class Program:
    name: str
    command: list[str]


def found():
    """Where the programs are, by name; those of Kubernetes are built if they are not."""
    folder = Path(_printed(ROOT / ".ci" / "kubernetes", *KUBERNETES))
    paths = {name: str(folder / name) for name in KUBERNETES}
    return {
        **paths,
        **{name: _printed(ROOT / ".ci" / "go-program", name) for name in ("coredns", "enforcer")},
        "containerd": "containerd",
    }


def _printed(*words):
    # What it builds is said to whoever waits.
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{words[0].name} could not get {' '.join(words[1:])}")
    return done.stdout.strip()


def write_files():
    for name, content in {
        "containerd.toml": CONTAINERD_TOML,
        "Corefile": COREFILE,
        "cni/10-abctl.conflist": json.dumps(NETWORK),
        "kubelet.yaml": json.dumps(KUBELET),
        "proxy.yaml": json.dumps(PROXY),
        "resolv.conf": f"nameserver {NODE_ADDRESS}\n",
    }.items():
        path = RUN / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)


def programs(paths):
    """In the order in which they are started; each waits by itself for what it needs."""

    def program(name, *flags, path=None):
        return Program(name, [paths[path or name], *flags])

    return [
        program("containerd", f"--config={RUN / 'containerd.toml'}"),
        program(
            "etcd",
            f"--data-dir={STATE / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={ETCD}",
            f"--advertise-client-urls={ETCD}",
        ),
        program(
            "kube-apiserver",
            f"--etcd-servers={ETCD}",
            f"--bind-address={NODE_ADDRESS}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--tls-cert-file={RUN / 'api-server.crt'}",
            f"--tls-private-key-file={RUN / 'api-server.key'}",
            f"--client-ca-file={CA}",
            f"--token-auth-file={TOKENS}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            f"--service-cluster-ip-range={SERVICE_SUBNET}",
            f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
            f"--service-account-signing-key-file={ACCOUNTS_KEY}",
            f"--service-account-key-file={ACCOUNTS_KEY}",
            f"--kubelet-client-certificate={RUN / 'kubelet-client.crt'}",
            f"--kubelet-client-key={RUN / 'kubelet-client.key'}",
            "--kubelet-preferred-address-types=InternalIP",
        ),
        program(
            "kube-controller-manager",
            f"--kubeconfig={kubeconfig('controller-manager')}",
            f"--root-ca-file={CA}",
            f"--service-account-private-key-file={ACCOUNTS_KEY}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            f"--flex-volume-plugin-dir={RUN / 'volume-plugins'}",
        ),
        program(
            "kube-scheduler", f"--kubeconfig={kubeconfig('scheduler')}", "--leader-elect=false"
        ),
        program(
            "kubelet",
            f"--config={RUN / 'kubelet.yaml'}",
            f"--kubeconfig={kubeconfig('kubelet')}",
            f"--hostname-override={NAME}",
            f"--node-ip={NODE_ADDRESS}",
        ),
        program("kube-proxy", f"--config={RUN / 'proxy.yaml'}"),
        program("dns", f"-conf={RUN / 'Corefile'}", path="coredns"),
        program(
            "enforcer",
            f"-kubeconfig={kubeconfig('enforcer')}",
            f"-node={NAME}",
            f"-services={SERVICE_SUBNET}",
        ),
    ]
