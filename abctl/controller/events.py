"""Events of an experiment: only of what has changed since the status of before (pure)."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from abctl.core.change import Object
from abctl.session.declared import Declared

_LONGEST_NOTE = 1000  # of 1,024 characters that an Event may have
# Whether it holds before anybody has looked; of others nobody knows.
_AT_FIRST = {"Paused": "False", "Completed": "False", "Conflicted": "False", "Stalled": "False"}
_BAD = {
    ("Ready", "False"),
    ("Trusted", "False"),
    ("Conflicted", "True"),
    ("Stalled", "True"),
}


def events(declared: Declared, status: Mapping[str, Any], at: float) -> Iterator[Object]:
    """The Events that tell what is new.

    Args:
        declared: the object, with its status of before.
        status: that it has now.
        at: when (unix seconds).
    """
    before = declared.status
    if (split := status.get("split")) != (earlier := before.get("split")) and split:
        note = f"{earlier} -> {split}" if earlier else f"started at {split}"
        yield _event(declared, "SplitChanged", note, "Normal", at)
    known = {each["type"]: each["status"] for each in before.get("conditions") or ()}
    for each in status["conditions"]:
        kind, now = each["type"], each["status"]
        if kind == "Progressing" or now in (known.get(kind, _AT_FIRST.get(kind)), "Unknown"):
            continue
        if kind == "Ready" and each["reason"] == "Refused":
            continue  # which Stalled tells
        starts = kind == "Ready" and each["reason"] == "Starting"
        level = "Warning" if (kind, now) in _BAD and not starts else "Normal"
        words = {"True": kind, "False": f"not {kind}"}[now]
        note = f"{words}: {each['message']}" if each["message"] else words
        yield _event(declared, each["reason"], note, level, at)


def _event(declared: Declared, reason: str, note: str, level: str, at: float) -> Object:
    ref = declared.ref
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{ref.name}.{uuid4().hex[:16]}", "namespace": ref.namespace},
        "eventTime": datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "abctl.dev/controller",
        "reportingInstance": "abctl-controller",
        "action": "Look",
        "reason": reason[0].upper() + reason[1:],
        "regarding": {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "uid": declared.uid,
        },
        "note": note[:_LONGEST_NOTE],
        "type": level,
    }
