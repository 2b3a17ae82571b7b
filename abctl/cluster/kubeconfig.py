"""Where the configuration of a cluster is, as kubectl looks for it."""

import os
from pathlib import Path


def files() -> str:
    """The files of $KUBECONFIG, or the usual one, as far as they exist; joined as given."""
    given = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    return os.pathsep.join(path for path in given.split(os.pathsep) if Path(path).is_file())


def in_pod() -> bool:
    """Whether this is a pod, which has an account of its own."""
    return "KUBERNETES_SERVICE_HOST" in os.environ


def configured() -> bool:
    """Whether there is a configuration of some cluster."""
    return bool(files()) or in_pod()
