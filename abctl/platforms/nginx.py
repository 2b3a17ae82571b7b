"""nginx: a ConfigMap whose split_clients block carries the split.

Every user keeps their variant, by nginx's own hash of salt and key. A changed ConfigMap reaches the
pods when their node looks, where nginx then reloads it, and says so if it is asked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from abctl.core.change import Object, Ref
from abctl.core.experiment import Experiment
from abctl.core.server import reader_image
from abctl.core.split import Split
from abctl.errors import ClusterError, SpecError
from abctl.platforms import (
    Capabilities,
    Inquiry,
    Misfit,
    _entrance,
    _fit,
    _nginx_config,
    _nginx_log,
    _nginx_split,
    _proxy,
    _weighted,
    _workload,
)


def _status(obj: Object, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    key, _ = _find(obj)
    return _nginx_split.status(obj["data"][key], answer)


CAPABILITIES = Capabilities(
    parts=10_000,
    sticky=True,
    override=True,
    cohorts=True,
    shadow=False,
    max_variants=None,
    reports="split",
    proxy="nginx",
    draw=_nginx_split.draw,
    inquiry=Inquiry(_proxy.ADMIN, _nginx_split.PATH, _status, _proxy.WITHIN_SECONDS),
    services=_workload.services,
    grpc=_entrance.grpc,
)
_IMAGE = "nginxinc/nginx-unprivileged:1.28-alpine"
_USER = 101
_LISTEN = 8080
_MOUNT, _FILE = "/etc/abctl", "nginx.conf"
_BLOCK = "it takes one block of split_clients, as `abctl render` writes it"
_HEADER = re.compile(r"[a-z0-9-]+")
# nginx does not watch its configuration.
_RUN = f"""\
nginx -c {_MOUNT}/{_FILE} -g 'daemon off;' &
nginx=$!
trap 'kill -QUIT $nginx' TERM
known=$(md5sum {_MOUNT}/{_FILE})
while kill -0 $nginx 2>/dev/null; do
  sleep 2 & wait $!
  now=$(md5sum {_MOUNT}/{_FILE})
  if [ "$now" != "$known" ] && nginx -c {_MOUNT}/{_FILE} -t; then kill -HUP $nginx; fi
  known=$now
done
wait $nginx
"""

baseline = _fit.no_baseline
upstreams = _fit.no_upstreams
objections = _fit.no_objections


def misfits(experiment: Experiment) -> Sequence[Misfit]:
    """What of the experiment nginx cannot express."""
    return [
        *_fit.misfits("nginx", CAPABILITIES, experiment),
        *_workload.unserved(experiment, "nginx"),
        *_headers(experiment),
    ]


def _headers(experiment: Experiment) -> Iterator[Misfit]:
    rules = experiment.assignment
    given: dict[tuple[str | int, ...], str] = {
        ("key",): rules.key,
        ("override",): rules.override or "",
    }
    given |= {("cohorts", i, "header"): c.header for i, c in enumerate(rules.cohorts)}
    for place, name in given.items():
        if name and not _HEADER.fullmatch(name):
            message = f"{name!r}, nginx has variables only of letters, digits and dashes"
            yield Misfit(("assignment", *place), message, "x-user-id, or platform: envoy")


def target(experiment: Experiment) -> Ref:
    """The ConfigMap that carries the split."""
    return Ref("v1", "ConfigMap", experiment.namespace, f"{experiment.name}-nginx")


def objects(experiment: Experiment) -> list[Object]:
    """The variants' servers, the ConfigMap with nginx's configuration, and nginx.

    Raises:
        SpecError: nginx cannot express the experiment.
    """
    _fit.require(misfits(experiment))
    log = f"{_nginx_log.FOLDER}/{_nginx_log.FILE}"
    text = _nginx_config.configuration(
        experiment,
        _workload.addresses(experiment),
        listen=str(_LISTEN),
        admin=str(_proxy.ADMIN),
        grpc=_workload.addresses(experiment, grpc=True),
        collector=_workload.collector_address(experiment),
        log=log if reader_image(experiment) else None,
    )
    program = _proxy.Program(
        container={"image": _IMAGE, "command": ["/bin/sh", "-c", _RUN]},
        user=_USER,
        mount=_MOUNT,
        ports={"http": _LISTEN, "admin": _proxy.ADMIN},
        health=("/nginx-ready", _LISTEN),
        log=f"file:{log}",
        log_folder=_nginx_log.FOLDER,
    )
    return _proxy.proxy(experiment, target(experiment), {_FILE: text}, program)


def with_split(obj: Object, split: Split) -> Object:
    """A copy with another split in the block, and in what nginx says of it; nothing else differs.

    Raises:
        ClusterError: no block of split_clients, or several.
        SpecError: other variants, or a treatment that is too large for its region.
    """
    asked = split_of(obj)
    if split.names != asked.names:
        raise SpecError(
            f"split of {', '.join(split.names)}, but {Ref.of(obj)} is of {', '.join(asked.names)}",
            "the variants and their order are fixed for the life of an experiment",
        )
    return _written(obj, split, block=split != asked)


def _written(obj: Object, split: Split, *, block: bool = True) -> Object:
    """With what nginx says of it, which a hand that has changed the block leaves as it was."""
    key, found = _find(obj)
    text: str = obj["data"][key]
    text = _nginx_split.replaced(text, found, split) if block else text
    return {**obj, "data": {**obj["data"], key: _nginx_split.written(text, split)}}


def mended(obj: Object) -> Object:
    """A copy in which the first variant of the block has everything.

    Raises:
        ClusterError: no block of split_clients, several, or one without a value.
    """
    _, found = _find(obj)
    names = _nginx_split.names_of(found[2])
    if not names:
        raise ClusterError(f"{Ref.of(obj)}: split_clients is empty", _BLOCK)
    return _written(obj, _weighted.back(names))


def split_of(obj: Object) -> Split:
    """The split of the block; in one that abctl did not write, `*` is the control.

    Raises:
        ClusterError: no block of split_clients, several, or something else in it.
    """
    _, found = _find(obj)
    try:
        return _nginx_split.read(found[2])
    except (SpecError, LookupError, ValueError) as error:
        raise ClusterError(
            f"{Ref.of(obj)}: split_clients is not a valid split ({error})", _BLOCK
        ) from error


def programmed(obj: Object) -> Split | None:
    """The split that nginx says it has loaded; None where it was not asked."""
    if (loaded := obj.get("status", {}).get("loaded")) is None:
        return None
    try:
        return _nginx_split.split_of(loaded)
    except (SpecError, LookupError, TypeError) as error:
        message = f"{Ref.of(obj)}: its pods have loaded an invalid split ({loaded})"
        raise ClusterError(message, "kubectl exec POD -- nginx -T shows what it has") from error


def refusal(obj: Object) -> str | None:
    """Why nginx does not have the object's configuration, as far as it says so."""
    reason: str | None = obj.get("status", {}).get("refusal")
    return reason


def _find(obj: Object) -> tuple[str, re.Match[str]]:
    found = []
    for key, text in (obj.get("data") or {}).items():
        try:
            found.append((key, _nginx_split.find(text)))
        except ValueError as error:
            raise ClusterError(f"{Ref.of(obj)}: {key} has {error}", _BLOCK) from error
    blocks = [(key, match) for key, match in found if match]
    if len(blocks) != 1:
        raise ClusterError(
            f"{Ref.of(obj)}: {len(blocks)} files with split_clients, must be one", _BLOCK
        )
    return blocks[0]
