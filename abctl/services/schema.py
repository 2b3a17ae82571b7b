"""The JSON Schema of an experiment file, with which editors complete and check it."""

import json
from importlib.resources import files

from abctl.services._file import File

SHIPPED = files("abctl") / "experiment.schema.json"


def text() -> str:
    """The schema as JSON, ending with a newline; the same as the shipped file."""
    dialect = "https://json-schema.org/draft/2020-12/schema"
    schema = {"$schema": dialect, **File.model_json_schema(), "title": "Experiment"}
    return json.dumps(schema, indent=2) + "\n"
