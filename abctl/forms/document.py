"""An analysis as the document that `-o json` prints, and the JSON Schema of such documents."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.resources import files
from typing import Any

import msgspec

from abctl import forms
from abctl.core.analysis import Analysis, Coverage, MetricResult, Reading, VariantResult, Verdict
from abctl.core.reasons import Reason, camel
from abctl.core.split import Split
from abctl.core.time import format_moment
from abctl.forms import analysis as form
from abctl.forms import estimates
from abctl.meanings import meanings
from abctl.stats.estimate import Estimate, Remark

SHIPPED = files("abctl") / "analysis.schema.json"
_HEAD = {"apiVersion": "abctl.dev/v1", "kind": "Analysis"}
_TIMES = ("at", "started", "start", "end", "counts_from")
# The fields of reasons.
_REASONS: Mapping[type, str] = {
    Analysis: "notes",
    Estimate: "notes",
    MetricResult: "remarks",
    Reading: "caveats",
    Verdict: "reasons",
}
# Two forms in one, as msgspec needs a tag to tell them apart: either may lack what the other has.
_EITHER = {"Result": ("control", "reason"), "Srm": ("p", "n")}


def document(analysis: Analysis) -> dict[str, Any]:
    """An analysis as plain data: camelCase, times in ISO 8601, what is infinite None.

    Reasons, notes, remarks and caveats are there in words, and beside them, in the same order, as
    codes with their facts.
    """
    found = forms.form_of({**_HEAD, **_fields(analysis)}, form.Analysis, "analysis")
    plain: dict[str, Any] = msgspec.to_builtins(found)
    return plain


def _fields(data: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in fields(data):
        value, name = getattr(data, each.name), camel(each.name)
        if isinstance(value, Remark):
            found |= Reason.of(value).document() | {"reason": Reason.of(value).text}
        elif each.name == _REASONS.get(type(data)):
            found |= _said(name, value)
        else:
            found[name] = format_moment(value) if each.name in _TIMES and value else _plain(value)
    return found | {new: found[old] for new, old in _renamed(data)}


def _said(name: str, found: Sequence[Reason | Remark]) -> dict[str, Any]:
    """Reasons in words (caveats as one text), and as codes: `reasons` and `reasonCodes`."""
    reasons = [Reason.of(each) if isinstance(each, Remark) else each for each in found]
    one, texts = name.removesuffix("s"), [reason.text for reason in reasons]
    words = {one: "; ".join(texts)} if one == "caveat" else {name: texts}
    return {**words, f"{one}Codes": [reason.document() for reason in reasons]}


def _renamed(data: Any) -> Iterator[tuple[str, str]]:
    """New names beside the old ones, which stay within the version."""
    if isinstance(data, VariantResult):
        yield "unassignedRequests", "outside"
    if isinstance(data, Coverage):
        yield "excludedRequests", "leftOut"
        yield "requestsBeforeFirstScrape", "unseen"
        yield "unexplainedResets", "falls"
        yield "lostTargets", "gone"
        yield "ambiguousRatio", "doubtfulRatio"


def _plain(value: Any) -> Any:
    if isinstance(value, Split):
        return value.ratios
    if is_dataclass(value):
        return _fields(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value


def schema() -> str:
    """The JSON Schema as JSON, ending with a newline; the same as the shipped file."""
    found = msgspec.json.schema(form.Analysis)
    parts = found.pop("$defs")
    for name, part in parts.items():
        declared = getattr(form, name, None) or getattr(estimates, name)
        said = {camel(key): text for key, text in meanings(declared).items()}
        for key, value in part["properties"].items():
            value["description"] = said[key]
            if said[key].startswith("Deprecated"):
                value["deprecated"] = True
        if name in _EITHER:
            part["oneOf"] = [{"required": [key]} for key in _EITHER[name]]
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **found,
        "$defs": dict(sorted(parts.items())),
    }
    return json.dumps(whole, indent=2) + "\n"
