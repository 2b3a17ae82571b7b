"""The CustomResourceDefinition of an experiment file: a structural schema, and rules in CEL.

The API server refuses what the rules say, with their messages. What they cannot say (what a
platform can carry, what a preset counts) `abctl lint` says.

Once its controller has said that an experiment has started, what a plan locks cannot be edited.

No default is in it: what a file leaves out stays left out, since the plan that is locked is what
the user wrote. The API server drops unknown keys, or refuses them with `fieldValidation=Strict`,
as kubectl asks for.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from abctl import plugins
from abctl.core.locked import NOT_LOCKED
from abctl.spec import schema

_RULES = files("abctl.spec") / "experiment_rules.yaml"
_STATUS = files("abctl.spec") / "experiment_status.yaml"
_GROUP, _VERSION = "abctl.dev", "v1alpha1"
_TO_CHANGE_IT = "delete the object (the split stays), abctl amend, then apply the new file"
# The cost of a rule is estimated by how long texts and lists may be at most.
_LONGEST_TEXT, _LONGEST_LIST, _LONGEST_MAP = 253, 32, 64
_LONGEST = {
    "name": 63,
    "split": 32,
    "share": 32,
    "steps": 32,
    "floor": 32,
    "maxStep": 32,
    "version": 128,
    "selectors": 4096,
    "from": 4096,
}
_SHORT = (
    "mde",
    "margin",
    "minDuration",
    "maxDuration",
    "settle",
    "maturity",
    "window",
    "before",
    "late",
    "early",
    "after",
    "age",
    "timeout",
    "hold",
    "gate",
)


_MACROS = {
    # A share (`12.5%`, or a bare 0) in hundredths of a percent.
    r"basisPoints\((\S+?)\)": "int(double(string(\\1).replace('%', '').trim()) * 100.0 + 0.5)",
    r"secondsOr\((\S+?), (\S+?)\)": "(has(\\1) ? seconds(\\1) : \\2)",
    # A duration (`7d`).
    r"seconds\((\S+?)\)": (
        "double(\\1.trim().substring(0, size(\\1.trim()) - 1).trim()) * {'s': 1.0, 'm': 60.0, "
        "'h': 3600.0, 'd': 86400.0}[\\1.trim().substring(size(\\1.trim()) - 1)]"
    ),
}


def text() -> str:
    """The CRD as JSON, ending with a newline.

    >>> crd = json.loads(text())
    >>> crd["metadata"]["name"], crd["spec"]["names"]["kind"]
    ('experiments.abctl.dev', 'Experiment')
    """
    whole = json.loads(schema.text())
    root = _structural(whole, whole["$defs"], "File")
    root["properties"] |= {"metadata": {"type": "object"}, "apiVersion": {"type": "string"}}
    root["properties"]["kind"] = {"type": "string"}
    root["properties"]["spec"]["properties"]["platform"]["enum"] = [
        *plugins.names("abctl.platforms")
    ]
    told = yaml.safe_load(_STATUS.read_text())
    root["properties"]["status"] = told["status"]
    root["x-kubernetes-validations"] += _locks(root["properties"]["spec"]["properties"])
    version = {
        "name": _VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        "subresources": {"status": {}},
        "additionalPrinterColumns": told["columns"],
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"experiments.{_GROUP}"},
        "spec": {
            "group": _GROUP,
            "names": {
                "kind": "Experiment",
                "listKind": "ExperimentList",
                "plural": "experiments",
                "singular": "experiment",
                "shortNames": ["abx"],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    return json.dumps(crd, indent=2) + "\n"


def _locks(spec: Mapping[str, Any]) -> list[dict[str, str]]:
    """Rules for each part of the spec that a plan locks, from the start on."""
    begun = "has(oldSelf.status) && has(oldSelf.status.startedAt)"
    return [
        {
            "rule": f"!({begun}) || {_locked(part, there)}",
            "message": f"spec.{part} is locked since the start: {_TO_CHANGE_IT}",
        }
        for part, there in spec.items()
        if part not in NOT_LOCKED
    ]


def _locked(part: str, there: Mapping[str, Any]) -> str:
    """That a part is as it was; the first split, and how pods run, are not of the plan."""
    now, then = f"self.spec.{part}", f"oldSelf.spec.{part}"
    inner = {"shadow": there, "variants": there.get("items", {})}.get(part, {})
    keys = [key for key in inner.get("properties", {}) if key not in NOT_LOCKED]
    if part == "variants":
        return " && ".join(f"{now}.map(v, v.{k}) == {then}.map(v, v.{k})" for k in keys)
    same = [_same(f"{now}.{k}", f"{then}.{k}", "") for k in keys]
    return _same(now, then, " && ".join(same))


def _same(now: str, then: str, equal: str) -> str:
    equal = equal or f"{now} == {then}"
    return f"has({now}) == has({then}) && (!has({now}) || {equal})"


def _structural(part: Mapping[str, Any], parts: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of the schema as API servers take it: nothing referred to, keys by their types."""
    keys = part["properties"].items()
    properties = {key: _key(value, parts, f"{name}.{key}", key) for key, value in keys}
    return {
        "description": part["description"],
        "properties": properties,
        **({"required": part["required"]} if "required" in part else {}),
        "type": "object",
        **_validations(name),
    }


def _key(told: Mapping[str, Any], parts: Mapping[str, Any], place: str, key: str) -> dict[str, Any]:
    found = {"description": told["description"]} if "description" in told else {}
    if reference := told.get("$ref"):
        name = reference.rpartition("/")[2]
        return _structural(parts[name], parts, name) | found
    if told["type"] == "array":
        items = _key(told["items"], parts, f"{place}[]", key)
        least = {"minItems": told["minItems"]} if "minItems" in told else {}
        found |= {"items": items, "maxItems": _LONGEST_LIST, "type": "array", **least}
        return found | _validations(place)
    if told["type"] == "object" and told.keys() & {"patternProperties", "additionalProperties"}:
        return found | _pairs(told, parts, place, key)
    if told["type"] == "object":  # Kubernetes' own
        return found | {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return found | dict(_scalar(told, key))


def _pairs(
    told: Mapping[str, Any], parts: Mapping[str, Any], place: str, key: str
) -> dict[str, Any]:
    """A mapping; API servers know no patterns of keys, so a rule says them."""
    [(pattern, value)] = told["patternProperties"].items()
    rule = {
        "rule": f"self.all(key, key.matches({json.dumps(pattern)}))",
        # To kubectl, which reads YAML 1.1, a bare n is no text but `false`.
        "message": f"a key of {key} is not {pattern}"
        + ('; write "n" in quotes' if pattern.startswith("^(n|") else ""),
    }
    return {
        "additionalProperties": _key(value, parts, place, key),
        "maxProperties": _LONGEST_MAP,
        "type": "object",
        "x-kubernetes-validations": [rule],
    }


def _scalar(told: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(told["type"], list) and "maximum" not in told:  # text, or any number
        yield "x-kubernetes-preserve-unknown-fields", True
        return
    if isinstance(told["type"], list):  # text, or a bare 0
        yield "x-kubernetes-int-or-string", True
        yield "maxLength", _LONGEST[key]
        yield "pattern", told["pattern"]
        yield "maximum", 0
        yield "minimum", 0
        return
    yield "type", told["type"]
    if "const" in told:
        yield "enum", [told["const"]]
    for name in ("enum", "pattern", "minLength"):
        if name in told:
            yield name, told[name]
    for bound in ("minimum", "maximum"):
        exclusive = f"exclusive{bound.capitalize()}"
        if bound in told or exclusive in told:
            yield bound, told.get(bound, told.get(exclusive))
        if exclusive in told:
            yield exclusive, True
    if told["type"] == "string" and "enum" not in told:
        yield "maxLength", 32 if key in _SHORT else _LONGEST.get(key, _LONGEST_TEXT)


def _validations(name: str) -> dict[str, Any]:
    rules = [{**each, "rule": _expanded(each["rule"])} for each in _rules().get(name, ())]
    return {"x-kubernetes-validations": rules} if rules else {}


def _expanded(rule: str) -> str:
    for macro, cel in _MACROS.items():
        rule = re.sub(macro, cel, rule)
    return rule


@cache
def _rules() -> Mapping[str, Sequence[Mapping[str, str]]]:
    found: Mapping[str, Sequence[Mapping[str, str]]] = yaml.safe_load(_RULES.read_text())
    return found
