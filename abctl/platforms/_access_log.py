"""The reader of a proxy's access log: a container beside the proxy, in each of its pods.

Each pod counts the requests that came to it, so a request is counted once, whatever the number of
pods. The image is that of a model server, whose program has the reader.
"""

from collections.abc import Iterator

from abctl.core.experiment import Experiment
from abctl.core.server import clients_environment, reader_image
from abctl.platforms._workload import SECURITY, Json, probes, startup

NAME = "access-log"
# Where the counters are.
PORT = 9902
# Of the pod's network, which its containers share and nobody else is in; it is no port.
SOCKET = "abctl-access-log"
# The proxy answers on for 20 seconds after its pod was told to leave (_workload.LEAVE), and
# Prometheus has to come by once more.
_LEAVE = {"lifecycle": {"preStop": {"sleep": {"seconds": 25}}}}
# In memory: the ids of users are in it until it is read. Some 100,000 requests find room.
_VOLUME = {"name": NAME, "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}}
_RESOURCES = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}


def readers(experiment: Experiment, log: str) -> Iterator[Json]:
    """The container that reads the log; none where nobody has its program, or nobody wants it.

    Args:
        experiment: whose clients.
        log: where the proxy sends its log, as `ab_runtime.clients` has it.
    """
    if (image := reader_image(experiment)) is None:
        return
    told = clients_environment(experiment, log, f"0.0.0.0:{PORT}")
    health = probes("/ready", "/ready", PORT)
    # A proxy that answers stays in use when its reader is stuck: that one is started anew.
    del health["readinessProbe"]
    yield {
        "name": NAME,
        "image": image,
        "command": ["python", "-m", "ab_runtime.clients"],
        "env": [{"name": key, "value": value} for key, value in told.items()],
        "ports": [{"name": NAME, "containerPort": PORT}],
        # Requests come when it counts.
        **startup("/ready", PORT),
        **health,
        **_LEAVE,
        "resources": _RESOURCES,
        "securityContext": SECURITY,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - of the pod's own
    }


def share(pod: Json, folder: str, user: int) -> None:
    """Give the containers of a proxy's pod a folder in memory, where the proxy writes its log.

    The reader erases what it has read, so both are one user.
    """
    pod["volumes"].append(_VOLUME)
    for container in pod["containers"]:
        container["volumeMounts"].append({"name": NAME, "mountPath": folder})
        container["securityContext"] = {**container["securityContext"], "runAsUser": user}
