"""The JSON Schema of an experiment file, with which editors complete and check it."""

import inspect
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal, get_args, get_origin

from abctl.spec._file import File
from abctl.spec.fields import Key, Part, form_of

SHIPPED = files("abctl") / "experiment.schema.json"


def text() -> str:
    """The schema as JSON, ending with a newline; the same as the shipped file."""
    parts: dict[str, Any] = {}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": parts,
        **_part(File, parts),
        "title": "Experiment",
    }
    schema["$defs"] = dict(sorted(parts.items()))
    return json.dumps(schema, indent=2) + "\n"


def _part(part: type[Part], parts: dict[str, Any]) -> dict[str, Any]:
    """The schema of a part; those of the parts in it go to `parts`."""
    known, told = part.keys(), part.meanings()
    needed = [key.written for key in known.values() if key.default is ...]
    return {
        "additionalProperties": False,
        "description": inspect.getdoc(part),
        "properties": {key.written: _key(key, told[name], parts) for name, key in known.items()},
        **({"required": needed} if needed else {}),
        "title": part.__name__,
        "type": "object",
    }


def _key(key: Key, meaning: str, parts: dict[str, Any]) -> dict[str, Any]:
    # No null, though it is as good as nothing: it would only make what editors say vague.
    schema = {**_holds(key.holds, parts), **key.told, "description": meaning}
    if (default := key.shown_default) is not None:
        schema["default"] = default
    return dict(sorted(schema.items()))


def _pairs(holds: Any, parts: dict[str, Any]) -> dict[str, Any]:
    key, value = (_holds(each, parts) for each in holds)
    if pattern := key.get("pattern"):
        return {
            "additionalProperties": False,
            "patternProperties": {pattern: value},
            "type": "object",
        }
    return {"additionalProperties": value, "type": "object"}


def _holds(holds: Any, parts: dict[str, Any]) -> dict[str, Any]:
    if form := form_of(holds):
        return dict(form.schema)
    kind, inner = get_origin(holds), get_args(holds)
    if kind is Literal:
        known = {"const": inner[0]} if len(inner) == 1 else {"enum": list(inner)}
        return {**known, "type": "string"}
    if kind is tuple:
        return {"items": _holds(inner[0], parts), "type": "array"}
    if kind is Mapping:
        return {"type": "object"} if inner[1] is Any else _pairs(inner, parts)
    if holds.__name__ not in parts:
        parts[holds.__name__] = _part(holds, parts)
    return {"$ref": f"#/$defs/{holds.__name__}"}
