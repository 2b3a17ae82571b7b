"""The worked examples, rendered: the very text, and whether the upstream CRDs take it.

`shadow.txt` holds what a shadow adds to each of them, `collector.txt` what declared outcomes do.

After a change that is meant run this file with ABCTL_GOLDEN=write, and read the difference.
"""

import difflib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from abctl import plugins
from abctl.cli.main import run
from abctl.core.change import Ref
from abctl.core.experiment import Experiment, Shadow
from abctl.core.outcome import Outcome
from abctl.core.split import Split
from abctl.platforms import platform
from abctl.spec import load
from abctl.spec.render import render, to_yaml

ROOT = Path(__file__).parents[2]
EXAMPLES, GOLDEN = ROOT / "k8s/experiments", Path(__file__).parent / "render"
CRDS = Path(os.environ.get("ABCTL_CRDS", ROOT.parent / "shared/crds"))
NAMES = plugins.names("abctl.platforms")
CORE = {
    *("ConfigMap", "Deployment", "NetworkPolicy", "PersistentVolumeClaim"),
    *("PodDisruptionBudget", "Service"),
}


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_rendered_as_before(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", str(EXAMPLES / f"{name}.yaml")]) == 0
    text = capsys.readouterr().out
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get("ABCTL_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_read_back(name: str) -> None:
    objects = render(load(EXAMPLES / f"{name}.yaml"))
    assert list(yaml.safe_load_all(to_yaml(objects))) == objects


def with_shadow(experiment: Experiment) -> Experiment:
    return replace(experiment, shadow=Shadow("next", experiment.variants[1].model, 10))


def with_outcomes(experiment: Experiment) -> Experiment:
    return replace(experiment, outcomes=(Outcome("accuracy", "binary"),))


@pytest.mark.parametrize(
    ("added", "change"), [("shadow", with_shadow), ("collector", with_outcomes)]
)
def test_no_more_is_added_than_this(added: str, change: Callable[[Experiment], Experiment]) -> None:
    lines = []
    for name in (n for n in NAMES if added != "shadow" or platform(n).CAPABILITIES.shadow):
        experiment = load(EXAMPLES / f"{name}.yaml")
        plain, more = (to_yaml(render(e)) for e in (experiment, change(experiment)))
        files = (plain.splitlines(), more.splitlines())
        lines += difflib.unified_diff(*files, name, f"{name} with a {added}", n=1, lineterm="")
    golden = GOLDEN.parent / f"{added}.txt"
    text = "\n".join(lines) + "\n"
    if os.environ.get("ABCTL_GOLDEN") == "write":
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_every_example_is_one_of_a_platform() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} == set(NAMES)
    assert {path.stem for path in GOLDEN.glob("*.yaml")} == set(NAMES)


def test_what_must_come_first_is_said_and_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(EXAMPLES / "kserve.yaml")
    assert run(["render", file]) == 0
    shown = capsys.readouterr()
    assert f"abctl render --baseline {file}" in shown.err
    assert run(["render", "--baseline", file]) == 0
    (control,) = yaml.safe_load_all(capsys.readouterr().out)
    (treatment,) = yaml.safe_load_all(shown.out)
    assert Ref.of(control) == Ref.of(treatment)
    assert control["metadata"] == treatment["metadata"]
    assert "canaryTrafficPercent" not in control["spec"]["predictor"]


@cache
def crds() -> dict[tuple[str, str], dict[str, Any]]:
    """The schemas by apiVersion and kind; where both channels have one, the standard one."""
    found = {}
    own = ROOT / "tests/kubernetes/openfeature_featureflags.json"
    for path in (*sorted(CRDS.glob("*.json")), own):
        definition = json.loads(path.read_text(encoding="utf-8"))
        spec = definition["spec"]
        for version in spec["versions"]:
            api = f"{spec['group']}/{version['name']}"
            found[api, spec["names"]["kind"]] = version["schema"]["openAPIV3Schema"]
    return found


def strict(schema: Any) -> Any:
    """A structural schema as JSON Schema, in which unknown fields are errors."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    done = {key: strict(value) for key, value in schema.items() if not key.startswith("x-")}
    if schema.get("x-kubernetes-int-or-string"):
        done.pop("type", None)
        done["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if "properties" in schema:
        done["properties"] = {key: strict(part) for key, part in schema["properties"].items()}
        keeps = schema.get("x-kubernetes-preserve-unknown-fields")
        if schema.get("type") == "object" and not keeps and "additionalProperties" not in schema:
            done["additionalProperties"] = False
    if schema.get("nullable") and "type" in done:
        done["type"] = [done["type"], "null"]
    return done


@cache
def validator(api: str, kind: str) -> jsonschema.Draft202012Validator:
    schema = strict(crds()[api, kind])
    # The API server knows these by itself.
    schema["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}}
    return jsonschema.Draft202012Validator(schema)


def errors(obj: Any) -> list[str]:
    found = validator(obj["apiVersion"], obj["kind"]).iter_errors(obj)
    return [f"{error.json_path}: {error.message[:200]}" for error in found]


@pytest.mark.skipif(not CRDS.is_dir(), reason=f"no CRDs in {CRDS}: name a folder by ABCTL_CRDS")
class TestCrds:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", NAMES)
    def test_the_upstream_crds_take_what_is_rendered(self, name: str) -> None:
        experiment, carrier = load(EXAMPLES / f"{name}.yaml"), platform(name)
        rendered = [*render(experiment, baseline=True), *render(experiment)]
        rendered += render(with_outcomes(experiment), baseline=True)
        rendered += render(with_outcomes(experiment))
        if carrier.CAPABILITIES.shadow:
            rendered += render(with_shadow(experiment))
        carried = next(o for o in rendered[::-1] if Ref.of(o) == carrier.target(experiment))
        shifted = carrier.with_split(carried, Split(experiment.split.names, (4000, 6000)))
        for obj in (*rendered, shifted):
            if obj["kind"] not in CORE:
                assert errors(obj) == []

    def test_a_field_that_is_not_known_is_found(self) -> None:
        (obj,) = render(load(EXAMPLES / "seldon.yaml"))
        text = json.dumps(obj)
        assert errors(json.loads(text.replace('"traffic"', '"trafic"')))
        assert errors(json.loads(text.replace('"modelUri"', '"x"').replace("90", '"90"')))
        assert errors(json.loads(text.replace('"periodSeconds"', '"periodSecond"')))
