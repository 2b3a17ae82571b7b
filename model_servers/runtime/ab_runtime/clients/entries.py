"""The messages of Envoy's access log service, as far as they are read here.

Envoy sends its log over a stream of gRPC (`envoy.service.accesslog.v3.AccessLogService`). Of each
request it says a line that `abctl` has it write, and the unit and the timeout, where the request
names them: all are custom tags of the entry, as what a client writes might break a line. Everything
else in it is passed over.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf import (  # type: ignore[import-untyped]
    descriptor_pb2,
    descriptor_pool,
    message_factory,
)

METHOD = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"

_FIELD = descriptor_pb2.FieldDescriptorProto
# Each message holds the next one: field, its number, and whether there are many of it. Numbers are
# those of data/accesslog/v3/accesslog.proto.
_NESTED = (
    ("Message", "http_logs", 2, False),
    ("Entries", "log_entry", 1, True),
    ("Entry", "common_properties", 1, False),
    ("Common", "custom_tags", 22, True),
)
_TAG = "Tag"


def _made() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="ab_runtime/access_log.proto", package="ab_runtime", syntax="proto3"
    )
    inner = [name for name, *_ in _NESTED[1:]] + [_TAG]
    for (name, field, number, many), type_name in zip(_NESTED, inner, strict=True):
        file.message_type.add(name=name).field.add(
            name=field,
            number=number,
            type=_FIELD.TYPE_MESSAGE,
            type_name=f".ab_runtime.{type_name}",
            label=_FIELD.LABEL_REPEATED if many else _FIELD.LABEL_OPTIONAL,
        )
    tag = file.message_type.add(name=_TAG)
    # The bytes of a unit's id are as the client sent them, of any encoding.
    for number, name in enumerate(("key", "value"), start=1):
        tag.field.add(name=name, number=number, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("ab_runtime.Message"))


_MESSAGE = _made()


def entries(message: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Line, unit and timeout of each request in a message; what a request does not name is empty.

    Raises:
        google.protobuf.message.DecodeError: it is no message.
    """
    for entry in _MESSAGE.FromString(message).http_logs.log_entry:
        tags = {tag.key: tag.value for tag in entry.common_properties.custom_tags}
        line, unit, timeout = (tags.get(each, b"") for each in (b"line", b"unit", b"timeout"))
        yield line, unit, timeout
