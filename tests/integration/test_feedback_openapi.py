"""docs/feedback-openapi.yaml against the collector: its answers, and the forms that it takes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator, ValidationError
from real_collector import RealCollector

from ab_runtime.collector.__main__ import Report, Reports

pytestmark = pytest.mark.process
DOCUMENT = yaml.safe_load(
    (Path(__file__).parents[2] / "docs" / "feedback-openapi.yaml").read_text("utf-8")
)
POST = DOCUMENT["paths"]["/feedback"]["post"]
# Words about a form, and what it is if left out, are no part of what it takes.
WORDS = {"title", "description", "default"}


def validate(schema: dict[str, Any], content: Any) -> None:
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(content)


def answer_schema(status: int) -> dict[str, Any]:
    found = POST["responses"][str(status)]
    if "$ref" in found:
        found = DOCUMENT["components"]["responses"][found["$ref"].rpartition("/")[2]]
    schema: dict[str, Any] = found["content"]["application/json"]["schema"]
    return schema


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCollector]:
    started = RealCollector(tmp_path_factory.mktemp("openapi"), maturity_seconds=3600)
    yield started
    started.kill()


def test_every_answer_is_of_the_documented_form(collector: RealCollector) -> None:
    token = collector.token("control", "alice")
    click = {"token": token, "outcome": "click", "value": 1}
    spent = {"token": token, "outcome": "spent", "value": 2.5, "id": "order-1", "at": time.time()}
    strange = {**click, "token": "1.a.Zm9yZ2Vk"}
    seen = set()
    for body, form in (
        (click, True),
        (click, True),  # reported before
        ({"items": [click, spent, strange]}, True),
        (strange, True),
        ({**click, "value": 0.5}, True),
        ({**click, "value": "1"}, False),
        ({**click, "weight": 1}, False),
        ({"items": []}, False),
        ({"items": [click] * 1001}, False),
        (b"{", None),
        (b" " * (1 << 20) + b"1", None),
    ):
        answer = collector.post(body)
        seen.add(answer.status_code)
        validate(answer_schema(answer.status_code), answer.json())
        if form is not None:
            asked = POST["requestBody"]["content"]["application/json"]["schema"]
            try:
                validate(asked, body)
            except ValidationError:
                assert not form, body
            else:
                assert form, body
            assert form or list(answer.json()) == ["detail"]
    assert {*map(str, seen), "503"} == POST["responses"].keys()


@pytest.mark.parametrize("form", [Report, Reports])
def test_a_form_is_what_the_collector_checks(form: type[Report] | type[Reports]) -> None:
    own = form.model_json_schema(ref_template="#/components/schemas/{model}")
    own.pop("$defs", None)
    documented = DOCUMENT["components"]["schemas"][form.__name__]
    assert _bare(documented) == _bare(own)


def _bare(schema: Any) -> Any:
    """Without words; a choice between one form and nothing as one form."""
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if (choice := schema.get("anyOf")) and choice[1:] == [{"type": "null"}]:
        schema = {**choice[0], "type": [choice[0]["type"], "null"]}
    return {
        key: {name: _bare(each) for name, each in value.items()}
        if key == "properties"
        else _bare(value)
        for key, value in schema.items()
        if key not in WORDS
    }
