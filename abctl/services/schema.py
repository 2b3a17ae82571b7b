"""The JSON Schema of an experiment file, with which editors complete and check it."""

import json
from importlib.resources import files
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from abctl.services._file import File

SHIPPED = files("abctl") / "experiment.schema.json"


class _Untitled(GenerateJsonSchema):
    """Titles of keys would only repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the parent's
        return False


def text() -> str:
    """The schema as JSON, ending with a newline; the same as the shipped file."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    schema = {
        "$schema": dialect,
        **File.model_json_schema(schema_generator=_Untitled),
        "title": "Experiment",
    }
    return json.dumps(schema, indent=2) + "\n"
