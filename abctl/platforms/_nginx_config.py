"""nginx's configuration: where requests go, and which headers they get.

Variables ask one another in turn: the override, the cohorts in their order, no key, the hash. The
same chain is built twice, for the variant and for whether chance has put the request there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from abctl.core.assignment import VARIANT_HEADER
from abctl.core.experiment import Assignment, Experiment
from abctl.core.split import Split
from abctl.platforms import _entrance, _nginx_log, _nginx_split
from abctl.platforms._entrance import Kind
from abctl.platforms._envoy_routes import ASK_FOR_VARIANT, RANDOMIZED

_CHOSEN, _CHANCE, _KEY = "abctl_variant", "abctl_randomized", "abctl_key"
# The upstream of the collector of all variants; no variant is called so.
_COLLECTOR = "_collector"
_MEBIBYTE = 1024**2
_SERVER = """\
  server {{
    listen {listen};
    http2 on;
    # Whatever the client says of itself, these are nginx's to tell.
{told}
    proxy_http_version 1.1;
    proxy_hide_header {variant};
    grpc_hide_header {variant};

    location = /nginx-ready {{
      return 200;
    }}

{feedback}

{locations}

    location / {{
      return 404;
    }}
  }}
"""
_ASK = ASK_FOR_VARIANT.replace("\n", r"\n")
_FEEDBACK = f"""\
    location = {_entrance.FEEDBACK} {{
      if ($abctl_feedback = "") {{
        return 400 "{_ASK}";
      }}
      proxy_set_header Host $abctl_host;
      proxy_set_header Connection "";
      proxy_set_header {RANDOMIZED} "";
      add_header {VARIANT_HEADER} $abctl_feedback always;
      proxy_pass http://$abctl_feedback{_entrance.ASIDE};
    }}"""
# Its tokens say whose it is.
_COLLECTED = f"""\
    location = {_entrance.FEEDBACK} {{
      client_max_body_size {_entrance.MOST_FEEDBACK_BYTES};
      proxy_set_header Host $abctl_host;
      proxy_set_header Connection "";
      proxy_set_header {RANDOMIZED} "";
      proxy_pass http://{_COLLECTOR};
    }}"""
_STREAM = ("proxy_buffering off;", "proxy_read_timeout 1h;")
# A stream of requests has no end at which its size would be known.
_GRPC_STREAM = ("client_max_body_size 0;", "grpc_read_timeout 1h;", "grpc_send_timeout 1h;")


def configuration(
    experiment: Experiment,
    upstreams: Mapping[str, tuple[str, int]],
    *,
    listen: str,
    admin: str,
    grpc: Mapping[str, tuple[str, int]] | None = None,
    collector: tuple[str, int] | None = None,
    log: str | None = None,
) -> str:
    """A complete configuration.

    Args:
        experiment: with the split that it starts with.
        upstreams: host and port of each variant's model server.
        listen: the port, or address and port, of the traffic.
        admin: the same for who asks what is loaded.
        grpc: the same as `upstreams` for gRPC, where that is another port.
        collector: host and port of it; without one a model server passes feedback on.
        log: the file of the access log, for who counts it; without one there is none.
    """
    rules = experiment.assignment
    text = "$request_id" if rules.unit == "request" else f"{rules.salt}:${_KEY}"
    places = upstreams if grpc is None else grpc
    parts = [
        *(
            _upstream(name + behind, *where)
            for behind in dict.fromkeys(kind.behind for kind in _entrance.kinds(experiment))
            for name, where in (places if _entrance.GRPC in behind else upstreams).items()
        ),
        # HTTP/1.0 has none.
        _map("$http_host", "abctl_host", {"": experiment.name}, "$http_host"),
        *_key(rules),
        _nginx_split.block(text, experiment.split),
        *(
            _nginx_split.block(text, cohort.split, f"abctl_cohort_{i}")
            for i, cohort in enumerate(rules.cohorts)
            if cohort.split is not None
        ),
        *_chain(experiment, _Leaves(_CHOSEN, experiment.split)),
        *_chain(experiment, _Leaves(_CHANCE, None)),
        *(_nginx_log.formats(rules, _CHOSEN, _CHANCE, _KEY) if log else ()),
    ]
    if experiment.outcomes:
        parts.append(_upstream(_COLLECTOR, *(collector or upstreams[experiment.split.control])))
    else:
        names = {name: name for name in experiment.split.names}
        parts.append(_map(header(VARIANT_HEADER), "abctl_feedback", names, '""'))
    server = _SERVER.format(
        listen=listen,
        told="\n".join(f"    {line}" for line in _told(rules)),
        feedback=_COLLECTED if experiment.outcomes else _FEEDBACK,
        variant=VARIANT_HEADER,
        locations="\n\n".join(_location(kind, log) for kind in _entrance.kinds(experiment)),
    )
    temporary = "\n".join(
        f"  {kind}_temp_path /tmp/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    most = _entrance.MOST_BODY_BYTES // _MEBIBYTE
    text = (
        "pid /tmp/nginx.pid;\nerror_log stderr warn;\nworker_processes auto;\n"
        "events {\n  worker_connections 4096;\n}\n\nhttp {\n"
        f"  access_log off;\n  client_max_body_size {most}m;\n{temporary}\n\n"
        + "\n\n".join(f"  {part}" for part in parts)
        + f"\n\n{server}\n{_nginx_split.server(admin)}}}\n"
    )
    return _nginx_split.written(text, experiment.split)


def _told(rules: Assignment) -> Iterator[str]:
    for way in ("proxy", "grpc"):
        yield f"{way}_set_header Host $abctl_host;"
        yield f"{way}_set_header {RANDOMIZED} ${_CHANCE};"
        if rules.unit != "request":
            yield f"{way}_set_header {rules.key} ${_KEY};"
    yield 'proxy_set_header Connection "";'


def _key(rules: Assignment) -> Iterator[str]:
    if rules.unit != "request":
        once = f'"~^{_nginx_split.ONE_ID}$" $1'
        yield f'map {header(rules.key)} ${_KEY} {{\n    {once};\n    default "";\n  }}'


def _location(kind: Kind, log: str | None) -> str:
    way, scheme = ("grpc", "grpc") if kind.grpc else ("proxy", "http")
    lines = [
        *((_GRPC_STREAM if kind.grpc else _STREAM) if kind.streamed else ()),
        *([_nginx_log.access_log(log, kind.behind)] if log and not kind.aside else ()),
        f"add_header {VARIANT_HEADER} ${_CHOSEN} always;",
        f"{way}_pass {scheme}://${_CHOSEN}{kind.behind};",
    ]
    body = "".join(f"      {line}\n" for line in lines)
    # nginx takes the path as it is after decoding; braces are not in it.
    return f"    location ~ ^({kind.paths})$ {{\n{body}    }}"


def header(name: str) -> str:
    """The variable that holds a request header."""
    return "$http_" + name.replace("-", "_")


def _upstream(name: str, host: str, port: int) -> str:
    # Model servers close idle connections after 5 s; nginx must be first.
    return (
        f"upstream {name} {{\n    server {host}:{port} max_fails=0;\n"
        "    keepalive 32;\n    keepalive_timeout 4s;\n  }"
    )


@dataclass(frozen=True)
class _Leaves:
    """What a chain gives: variants of a split, or without one whether chance has decided."""

    name: str
    split: Split | None

    def fixed(self, variant: str) -> str:
        return variant if self.split else "false"

    @property
    def drawn(self) -> str:
        return f"${_nginx_split.VARIABLE}" if self.split else "true"

    def of_cohort(self, i: int) -> str:
        return f"$abctl_cohort_{i}" if self.split else "false"


def _chain(experiment: Experiment, leaves: _Leaves) -> Iterator[str]:
    rules, control = experiment.assignment, experiment.split.control
    following = leaves.drawn
    if rules.unit != "request":
        name = f"{leaves.name}_of_key"
        yield _map(f"${_KEY}", name, {"": leaves.fixed(control)}, following)
        following = f"${name}"
    for i, cohort in reversed(list(enumerate(rules.cohorts))):
        name = f"{leaves.name}_of_cohort_{i}"
        if cohort.variant is not None:
            value = leaves.fixed(cohort.variant)
        elif rules.unit == "request":
            value = leaves.of_cohort(i)
        else:
            value = f"${name}_key"
            yield _map(f"${_KEY}", f"{name}_key", {"": following}, leaves.of_cohort(i))
        yield _map(header(cohort.header), name, {cohort.value: value}, following)
        following = f"${name}"
    forced = {name: leaves.fixed(name) for name in experiment.split.names}
    if rules.override is None:
        yield _map('""', leaves.name, {}, following)
    else:
        yield _map(header(rules.override), leaves.name, forced, following)


def _map(source: str, name: str, values: Mapping[str, str], otherwise: str) -> str:
    lines = [f'"{_exactly(key)}" {value};' for key, value in values.items()]
    body = "".join(f"\n    {line}" for line in (*lines, f"default {otherwise};"))
    return f"map {source} ${name} {{{body}\n  }}"


def _exactly(text: str) -> str:
    """A regular expression of one text, as plain keys would be compared without case."""
    if not text:
        return ""
    escaped = (chr(b) if chr(b).isalnum() and b < 128 else rf"\x{b:02x}" for b in text.encode())  # noqa: PLR2004 - ASCII
    return f"~^{''.join(escaped)}\\z"
