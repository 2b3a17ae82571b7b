"""The JSON Schema says what the loader does, and the shipped file is the current one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from abctl.cli.main import run
from abctl.spec import init, schema

EXPERIMENT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")
SCHEMA: dict[str, Any] = json.loads(schema.text())


def errors(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [error.json_path for error in validator.iter_errors(yaml.safe_load(text))]


def test_the_shipped_schema_is_the_current_one() -> None:
    shipped = schema.SHIPPED.read_text(encoding="utf-8")
    assert shipped == schema.text(), "run: abctl schema > abctl/experiment.schema.json"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    assert capsys.readouterr() == (schema.text(), "")


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [EXPERIMENT, init.starter("iris", "envoy")])
def test_a_right_file_fits(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("spec:", "specs:", "$"),
        ("unit: user", "unit: usr", "$.spec.assignment.unit"),
        ("buckets: 32", "bukets: 32", "$.spec.assignment"),
        ("split: 30%", "split: most", "$.spec.variants[1].split"),
        ("split: 30%", "split: 130", "$.spec.variants[1].split"),
        ("mde: 2pp", "mde: 2", "$.spec.metrics[0].mde"),
        ("mde: 2pp", "mde: '2'", "$.spec.metrics[0].mde"),
        ("minDuration: 7d", "minDuration: 7", "$.spec.design.minDuration"),
        ("minDuration: 7d", "minDuration: 1w", "$.spec.design.minDuration"),
        ("quantile: 0.95", "quantile: 95", "$.spec.metrics[2].quantile"),
        ("v1alpha1", "v1", "$.apiVersion"),
        ("name: iris, namespace", "name: Iris, namespace", "$.metadata.name"),
        ("http://", "http://me:secret@", "$.spec.source.prometheus.url"),
    ],
)
def test_a_wrong_file_does_not_fit(old: str, new: str, place: str) -> None:
    assert old in EXPERIMENT
    assert set(errors(EXPERIMENT.replace(old, new, 1))) == {place}


def test_every_key_is_described() -> None:
    def bare(at: str, part: Any) -> Iterator[str]:
        for key, value in part.get("properties", {}).items():
            if "description" not in value and "$ref" not in value:
                yield f"{at}.{key}"

    parts = {"File": SCHEMA, **SCHEMA["$defs"]}
    assert [place for name, part in parts.items() for place in bare(name, part)] == []
    assert all(part["description"] for part in parts.values())
