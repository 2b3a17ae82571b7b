"""Who may ask what of the API server: a certificate authority, certificates, tokens."""

import json
import secrets

from host import run
from places import API_SERVER, DOMAIN, KUBECONFIG, NAME, NODE_ADDRESS, RUN, SERVICE_SUBNET

CA = RUN / "ca.crt"
TOKENS = RUN / "tokens"
ACCOUNTS_KEY = RUN / "accounts.key"
DAYS = "30"
ACCOUNTS = {
    "admin": ("admin", "system:masters"),
    "kubelet": (f"system:node:{NAME}", "system:nodes"),
    "controller-manager": ("system:kube-controller-manager", ""),
    "scheduler": ("system:kube-scheduler", ""),
    "proxy": ("system:kube-proxy", ""),
    "dns": ("system:dns", ""),
    "enforcer": ("system:enforcer", ""),
}


def kubeconfig(account):
    return KUBECONFIG if account == "admin" else RUN / f"{account}.kubeconfig"


def make_identities():
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["-x509", "-days", DAYS, "-subj", "/CN=abctl tests"]
    run("openssl", "req", *new_key, *authority, "-keyout", CA.with_suffix(".key"), "-out", CA)
    first_service = SERVICE_SUBNET.rpartition(".")[0] + ".1"
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    names = [f"DNS:{name}" for name in (*names, f"kubernetes.default.svc.{DOMAIN}")]
    addresses = [f"IP:{address}" for address in (NODE_ADDRESS, first_service)]
    _certificate("api-server", "/CN=kube-apiserver", names + addresses)
    _certificate("kubelet-client", "/O=system:masters/CN=kube-apiserver", ["DNS:kube-apiserver"])
    run("openssl", "genrsa", "-out", ACCOUNTS_KEY, "2048")
    tokens = {account: secrets.token_hex(16) for account in ACCOUNTS}
    lines = [f'{tokens[key]},{user},{user},"{group}"' for key, (user, group) in ACCOUNTS.items()]
    TOKENS.write_text("\n".join(lines) + "\n")
    for account, token in tokens.items():
        _write_kubeconfig(account, token)


def _certificate(name, subject, alternatives):
    request, certificate = RUN / f"{name}.csr", RUN / f"{name}.crt"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("openssl", "req", *key, "-subj", subject, "-keyout", RUN / f"{name}.key", "-out", request)
    extensions = RUN / f"{name}.ext"
    extensions.write_text(f"subjectAltName={','.join(alternatives)}\n")
    by = ["-CA", CA, "-CAkey", CA.with_suffix(".key"), "-CAcreateserial", "-days", DAYS]
    run("openssl", "x509", "-req", "-in", request, *by, "-extfile", extensions, "-out", certificate)


def _write_kubeconfig(account, token):
    path = kubeconfig(account)
    cluster = {"server": API_SERVER, "certificate-authority": str(CA)}
    context = {"cluster": NAME, "user": account}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": NAME,
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": context}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(config))
