"""nginx's configuration: where requests go, and which headers they get.

Variables ask one another in turn: the override, the cohorts in their order, no key, the hash. The
same chain is built twice, for the variant and for whether chance has put the request there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from abctl.core.experiment import Experiment
from abctl.core.split import Split
from abctl.platforms import _nginx_split
from abctl.platforms._envoy_routes import ASK_FOR_VARIANT, RANDOMIZED, VARIANT

_CHOSEN, _CHANCE = "abctl_variant", "abctl_randomized"
_SERVER = """\
  server {{
    listen {listen};
    # Whatever the client says of itself, these are nginx's to tell.
    proxy_set_header Host $http_host;
    proxy_set_header Connection "";
    proxy_http_version 1.1;
    proxy_hide_header {variant};

    location = /nginx-ready {{
      return 200;
    }}

    location = /feedback {{
      if ($abctl_feedback = "") {{
        return 400 "{ask}";
      }}
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_set_header {randomized} "";
      add_header {variant} $abctl_feedback always;
      proxy_pass http://$abctl_feedback;
    }}

    location / {{
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_set_header {randomized} ${chance};
      add_header {variant} ${chosen} always;
      proxy_pass http://${chosen};
    }}
  }}
"""


def configuration(
    experiment: Experiment, upstreams: Mapping[str, tuple[str, int]], *, listen: str, admin: str
) -> str:
    """A complete configuration.

    Args:
        experiment: with the split that it starts with.
        upstreams: host and port of each variant's model server.
        listen: the port, or address and port, of the traffic.
        admin: the same for who asks what is loaded.
    """
    rules = experiment.assignment
    text = "$request_id" if rules.unit == "request" else f"{rules.salt}:{header(rules.key)}"
    parts = [
        *(_upstream(name, *where) for name, where in upstreams.items()),
        _nginx_split.block(text, experiment.split),
        *(
            _nginx_split.block(text, cohort.split, f"abctl_cohort_{i}")
            for i, cohort in enumerate(rules.cohorts)
            if cohort.split is not None
        ),
        *_chain(experiment, _Leaves(_CHOSEN, experiment.split)),
        *_chain(experiment, _Leaves(_CHANCE, None)),
        _map(header(VARIANT), "abctl_feedback", {n: n for n in experiment.split.names}, '""'),
    ]
    server = _SERVER.format(
        listen=listen,
        variant=VARIANT,
        randomized=RANDOMIZED,
        chosen=_CHOSEN,
        chance=_CHANCE,
        ask=ASK_FOR_VARIANT.replace("\n", r"\n"),
    )
    temporary = "\n".join(
        f"  {kind}_temp_path /tmp/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    text = (
        "pid /tmp/nginx.pid;\nerror_log stderr warn;\nworker_processes auto;\n"
        "events {\n  worker_connections 4096;\n}\n\nhttp {\n"
        f"  access_log off;\n  client_max_body_size 64m;\n{temporary}\n\n"
        + "\n\n".join(f"  {part}" for part in parts)
        + f"\n\n{server}\n{_nginx_split.server(admin)}}}\n"
    )
    return _nginx_split.written(text, experiment.split)


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
        yield _map(header(rules.key), name, {"": leaves.fixed(control)}, following)
        following = f"${name}"
    for i, cohort in reversed(list(enumerate(rules.cohorts))):
        name = f"{leaves.name}_of_cohort_{i}"
        if cohort.variant is not None:
            value = leaves.fixed(cohort.variant)
        elif rules.unit == "request":
            value = leaves.of_cohort(i)
        else:
            value = f"${name}_key"
            yield _map(header(rules.key), f"{name}_key", {"": following}, leaves.of_cohort(i))
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
