"""Selectors that the analysis could not read are refused in the file, with place and hint."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abctl.core.selector import Selector, escape
from abctl.errors import SourceError, SpecError
from abctl.spec import parse
from abctl.spec.lint import lint

EXPERIMENT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")
GOOD = 'x_ok_total{variant="$variant"}'


ONE_SERVICE = """
apiVersion: abctl.dev/v1alpha1
kind: Experiment
metadata: {{name: iris}}
spec:
  platform: {platform}{entrance}
  assignment: {{unit: request}}
  variants:
    - {{name: control, split: 90%, model: {{name: iris, version: v1, service: "{first}"}}}}
    - {{name: treatment, split: 10%, model: {{name: iris, version: v2, service: "{second}"}}}}
  metrics:
    - {{name: errors, role: primary, kind: proportion, of: errors, direction: decrease, mde: 1pp}}
  source: {{prometheus: {{url: "http://127.0.0.1:9"}}}}
"""


def experiment(kind: str = "proportion", **selectors: str) -> str:
    of = "".join(f"\n        {part}: '{text}'" for part, text in selectors.items())
    lines = [line for line in EXPERIMENT.splitlines() if "role: primary" not in line]
    at = next(i for i, line in enumerate(lines) if "metrics:" in line)
    own = f"""    - name: own
      role: primary
      kind: {kind}
      of: quality
      direction: increase
      mde: 2%
      selectors:{of}"""
    if kind == "quantile":
        own += "\n      quantile: 0.95"
    return "\n".join([*lines[: at + 1], own, *lines[at + 1 :]])


def problem(text: str, part: str = "n", kind: str = "proportion") -> SpecError:
    others = {"n": "successes", "successes": "n"}
    selectors = {part: text} | ({others[part]: GOOD} if part in others else {})
    with pytest.raises(SpecError) as found:
        parse(experiment(kind, **selectors), "iris.yaml")
    assert f"selectors.{part} in iris.yaml" in found.value.message
    assert found.value.hint
    return found.value


V = 'variant="$variant"'


@pytest.mark.parametrize(
    "text",
    [
        f"rate(x_total{{{V}}}[5m])",
        f"sum(x_total{{{V}}})",
        f"sum by (code) (x_total{{{V}}})",
        f"sum without(code)(x_total{{{V}}})",
        f"topk(3, x_total{{{V}}})",
        f"increase(x_total{{{V}}}[1h:5m])",
        f"x_total{{{V}}}[5m]",
        f"x_total{{{V}}}[1h:5m]",
        f"x_total{{{V}}} offset 5m",
        f"x_total{{{V}}} offset -5m",
        f"x_total{{{V}}} @ 1700000000",
        f"x_total{{{V}}} @ end()",
        f"x_total{{{V}}} or y_total{{{V}}}",
        f"x_total{{{V}}} and on(pod) up",
        f"x_total{{{V}}} unless y_total",
        f"x_total{{{V}}} + y_total{{{V}}}",
        f"x_total{{{V}}} - 1",
        f"-x_total{{{V}}}",
        f"x_total{{{V}}} > 0",
        f"x_total{{{V}}} == 1",
        f"(x_total{{{V}}})",
        "x_total{variant=`$variant`}",
        f"{{{V}}}",
        "{}",
        f'{{__name__=~"x_.*",{V}}}',
        f'{{__name__!="x_total",{V}}}',
        f'x_total{{__name__="y_total",{V}}}',
        f'{{"x_total","y_total",{V}}}',
        f'x_total{{{V},code="2xx",code="5xx"}}',
        f'x_total{{{V},code="2xx",code=~"5.."}}',
        f'x_total{{{V},code="2xx",code!="2xx"}}',
        f'x_total{{{V},variant!="$variant"}}',
        f'x_total{{{V},code=~"("}}',
        f'x_total{{{V},code=~"(?!5)..."}}',
        'x_total{variant!="$variant"}',
        'x_total{variant=~".*$variant.*|.*"}',
        'x_total{model="$model"}',
        f"x_total{{{V},}} x",
        f"x_total{{{V}",
        "x_total{variant=$variant}",
        f"x_seconds_bucket{{{V}}}",
    ],
)
def test_what_is_no_plain_selector_of_one_variant_is_refused(text: str) -> None:
    problem(text)


def test_a_histogram_has_every_bucket() -> None:
    problem(f'x_seconds_bucket{{{V},le="0.5"}}', "histogram", "quantile")


@pytest.mark.parametrize(
    "text",
    [
        f"x_total{{{V}}}",
        f'x:y_total {{ {V} , code =~ "2..|5.." , }}',
        f'{{__name__="x_total",{V}}}',
        f'{{"my.metric/total","my.label"="a",{V}}}',
        f'x_total{{{V},path="/a(b)[c] offset or {{d}} - @"}}',
        f'x_total{{{V},code!="4xx",code!~"3.."}}',
        f'x_seconds_bucket{{{V},le="0.5"}}',
        'x_total{service="iris-$variant"}',
        'x_total{pod=~"$variant-.*"}',
        'offset_total{rate="$variant"}',
        f'x_total{{{V},code="2xx",code=~"2.."}}',
    ],
)
def test_a_selector_of_one_variant_is_read(text: str) -> None:
    found = parse(experiment(n=text, successes=GOOD), "iris.yaml")
    assert found.metrics[0].selectors["n"] == text


@pytest.mark.slow
@given(st.text(min_size=1), st.dictionaries(st.text(min_size=1), st.text(), max_size=3))
def test_names_and_labels_of_any_letters_are_found(name: str, labels: dict[str, str]) -> None:
    labels.pop("__name__", None)
    own = ",".join(f'"{escape(k)}"="{escape(v)}"' for k, v in labels.items())
    found = Selector.parse(f'{{"{escape(name)}",{own}}}')
    assert found.matches({"__name__": name, **labels})


@pytest.mark.parametrize("text", ["{}", 'a{__name__="b"}', '{a="b"}', ""])
def test_a_selector_names_one_metric(text: str) -> None:
    with pytest.raises(SourceError, match=r"must be one metric|is not a selector"):
        Selector.parse(text)


def test_a_numerator_without_its_denominator_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "iris.yaml"
    file.write_text(experiment(successes=GOOD))
    error = lint(file).error
    assert error is not None
    assert "nothing selects 'n'" in error.message


def test_two_variants_of_one_server_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "iris.yaml"
    text = EXPERIMENT.replace("preset: abctl", "preset: mlserver").replace(
        "model: {name: iris,", 'model: {name: iris, service: "mlserver:8080",'
    )
    file.write_text(text)
    error = lint(file).error
    assert error is not None
    assert re.search("are both served at .*mlserver:8080: preset mlserver", error.message)


@pytest.mark.parametrize(
    ("platform", "first", "second", "said"),
    [
        ("gateway", "mlserver:8080", "mlserver:8080", "tells variants apart by Service and port"),
        ("gateway", "mlserver", "default/mlserver:80", "tells variants apart by Service and port"),
        ("gateway", "mlserver:8080", "mlserver:9080", None),
        ("gateway", "a/mlserver:8080", "b/mlserver:8080", None),
        ("istio", "mlserver:8080", "mlserver:8080", "tells variants apart by Service and port"),
        ("istio", "mlserver:8080", "mlserver:9080", "in the metrics of istio"),
        ("istio", "a/mlserver:8080", "b/mlserver:8080", None),
        ("envoy", "mlserver:8080", "mlserver:8080", None),
    ],
)
def test_two_variants_of_one_service_need_a_platform_that_tells_them_apart(
    tmp_path: Path, platform: str, first: str, second: str, said: str | None
) -> None:
    entrance = "" if platform == "envoy" else "\n  entrance: {gateway: a/b, host: iris.example.com}"
    file = tmp_path / "iris.yaml"
    file.write_text(
        ONE_SERVICE.format(platform=platform, entrance=entrance, first=first, second=second)
    )
    error = lint(file).error
    assert (error and said and said in error.message) or error is said is None
