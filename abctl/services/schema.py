"""The JSON Schema of an experiment file, with which editors complete and check it."""

import json
from importlib.resources import files
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from abctl.services._file import File

SHIPPED = files("abctl") / "experiment.schema.json"


class _Plain(GenerateJsonSchema):
    """What helps an editor: no titles that repeat the keys, and no null, which says nothing.

    With `anyOf: [..., null]` an editor could not tell where inside a mapping the mistake is.
    """

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: Any) -> dict[str, Any]:
        if schema.get("default", ...) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the parent's
        return False


def text() -> str:
    """The schema as JSON, ending with a newline; the same as the shipped file."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    schema = {
        "$schema": dialect,
        **File.model_json_schema(schema_generator=_Plain),
        "title": "Experiment",
    }
    return json.dumps(schema, indent=2) + "\n"
