"""nginx's access log: a line for each request for predictions, in a file that its reader erases.

The file is in memory, because the id of the user is in it. nginx writes a line at once and never
waits for the reader; where there is no more room it drops lines.
"""

from collections.abc import Iterator

from abctl.core.experiment import Assignment
from abctl.platforms import _entrance

FOLDER, FILE = "/var/log/abctl", "access.log"
# Blanks part them, and nothing in them holds one; the unit is last, as JSON has it. They are what
# Envoy's line has, in its words (_envoy_log.py): `ab_runtime.clients` reads both.
_LINE = (
    "${{{chosen}}}{behind} $status $abctl_how $abctl_left,$abctl_timeout {grpc}  $abctl_millis"
    ' ${chance} "{unit}"'
)
_GRPC_STATUS = "$upstream_trailer_grpc_status$upstream_http_grpc_status"
_MAPS = (
    # Of the last server that was asked: whether it has answered.
    """map $upstream_header_time $abctl_by {
    "~[0-9]$" via_upstream;
    default "";
  }""",
    # An answer that is shorter than it says was broken off. Of one in parts, which says no length,
    # nothing that nginx can log tells whether its last part came.
    """map "$upstream_response_length/$upstream_http_content_length" $abctl_how {
    "~(^| )([0-9]+)/(\\2)?$" $abctl_by;
    "~/[0-9]" upstream_reset_after_response_started;
    default $abctl_by;
  }""",
    # The client has left.
    """map $request_completion $abctl_left {
    OK "";
    default DC;
  }""",
    # As long as its client waits for an answer of gRPC.
    """map $http_grpc_timeout $abctl_timeout {
    "~^[0-9]{1,8}[HMSmun]$" $http_grpc_timeout;
    default "";
  }""",
    """map $request_time $abctl_millis {
    "~^([0-9]+)[.]([0-9]+)$" $1$2;
  }""",
)


def formats(rules: Assignment, chosen: str, chance: str, key: str) -> Iterator[str]:
    """What must be defined for the log.

    Args:
        rules: how units are assigned.
        chosen: the variable of the variant.
        chance: that of whether chance has put the request there.
        key: that of the unit.
    """
    yield from _MAPS
    for behind, grpc in (("", ""), (_entrance.GRPC, _GRPC_STATUS)):
        line = _LINE.format(
            chosen=chosen,
            behind=behind,
            grpc=grpc,
            chance=chance,
            unit="" if rules.unit == "request" else f"${key}",
        )
        yield f"log_format {_named(behind)} escape=json '{line}';"


def access_log(path: str, behind: str) -> str:
    """The log of a location of predictions; `behind` is what stands behind the variant there."""
    return f"access_log {path} {_named(behind)};"


def _named(behind: str) -> str:
    return f"abctl{behind.replace('.', '_')}"
