"""Every expression of a dashboard is answered by a real Prometheus, with the numbers it is for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_server import serving

from abctl.cli.main import run
from abctl.controller.metrics import _GAUGES
from abctl.core.selector import Selector, alone
from abctl.report.dashboard import RATE, WINDOW
from abctl.spec import load
from abctl.spec.measurement import measured

pytestmark = pytest.mark.process
EXPERIMENTS = sorted((Path(__file__).parents[2] / "k8s" / "experiments").glob("*.yaml"))
BEGIN, STEP, SCRAPES = 1_700_006_400, 15, 60
EDGES = ("5", "50", "500", "+Inf")
# Of the treatment everything is three times as much.
TIMES = {"control": 1, "treatment": 3}


def value(operator: str, text: str) -> str:
    """What a label may be that a matcher finds."""
    if operator == "=":
        return text
    if operator == "!=":
        return f"not {text}"
    tried = [each.replace("\\", "") for each in (*re.split(r"[|()?]", text), "2", "5", text)]
    tried = [each for each in tried if each]
    return next(t for t in tried if bool(re.fullmatch(text, t)) == (operator == "=~"))


def history(selectors: dict[str, set[str]], gauges: set[str]) -> Iterator[str]:
    """A series for each selector of each variant, which grows by as much at each scrape; gauges."""
    by_name: dict[str, set[str]] = {}
    for gauge in gauges:
        by_name.setdefault(gauge.partition("{")[0], set()).add(gauge)
    for name, found in by_name.items():
        yield f"# TYPE {name} gauge\n"
        for each in found:
            yield from (f"{each} 0.5 {BEGIN + i * STEP}\n" for i in range(SCRAPES))
    families: dict[str, dict[str, tuple[int, str]]] = {}
    for variant, wanted_of in selectors.items():
        for selector in wanted_of:
            wanted = Selector.parse(re.sub(r',?matures_in="[^"]*"', "", selector))
            labels = {label: value(op, text) for label, op, text in wanted.matchers}
            buckets = EDGES if wanted.name.endswith("_bucket") else ("",)
            for place, le in enumerate(buckets, 1):
                named = {**labels, **({"le": le} if le else {})}
                told = ",".join(f'{k}="{v}"' for k, v in sorted(named.items()))
                family = families.setdefault(wanted.name, {})
                family[told] = TIMES[variant] * place, variant
    for name, series in families.items():
        yield f"# TYPE {name} unknown\n"
        for told, (many, _) in series.items():
            for i in range(SCRAPES):
                yield f"{name}{{{told}}} {many * i * STEP} {BEGIN + i * STEP}\n"
    yield "# EOF\n"


def shown(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run(["render", str(path), "--dashboard"]) == 0
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    (text,) = config["data"].values()
    found: dict[str, Any] = json.loads(text)
    return found


def selectors(expression: str) -> set[str]:
    """What an expression asks for."""
    return set(re.findall(r"rate\((.*?)\[\$", expression))


def test_every_expression_has_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    boards = {path.stem: shown(path, capsys) for path in EXPERIMENTS}
    asked: dict[str, set[str]] = {"control": set(), "treatment": set()}
    gauges = set[str]()
    for board in boards.values():
        for panel in board["panels"]:
            for target in panel["targets"]:
                gauges |= set(re.findall(r"max\((.*)\)$", target["expr"]))
                if panel["title"] != "Split":  # which asks for those of all
                    asked[target["legendFormat"].partition(",")[0]] |= selectors(target["expr"])
    with serving(tmp_path / "prometheus", history=history(asked, gauges)) as url:
        for name, board in boards.items():
            answers = {p["title"]: values(url, p["targets"]) for p in board["panels"]}
            observed = {"control": 0.25, "treatment": 0.75}
            wanted = {"control, wanted": 0.5, "treatment, wanted": 0.5}
            assert answers.pop("Split") == pytest.approx(observed | wanted)
            for title in [each for each in answers if each.startswith("Effect")]:
                assert set(answers.pop(title).values()) == {0.5}, (name, title)
            rates = answers["Requests a second"]
            assert rates["treatment"] == pytest.approx(3 * rates["control"]), name
            for title, found in answers.items():
                assert found.keys() == TIMES.keys(), (name, title)
                if title.startswith("Errors"):
                    assert all(0.0 < each <= 1.0 for each in found.values()), (name, title)
                if title.startswith("Latency"):
                    assert all(0.0 < each < 1000.0 for each in found.values()), (name, title)


def values(url: str, targets: list[dict[str, Any]]) -> dict[str, float]:
    """The value of each line at the end of the history; none where there is no answer."""
    found = {}
    for target in targets:
        expression = target["expr"].replace(RATE, "2m").replace(WINDOW, "5m")
        assert "$" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", expression)
        at = BEGIN + (SCRAPES - 1) * STEP
        query = {"query": expression, "time": at}
        answer = requests.get(f"{url}/api/v1/query", params=query, timeout=60).json()
        assert answer["status"] == "success", (expression, answer)
        for each in answer["data"]["result"]:
            found[target["legendFormat"]] = float(each["value"][1])
    return found


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_it_asks_for_what_the_analysis_asks_for(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = load(path)
    telemetry = measured(experiment, None)
    known = set()
    for variant in telemetry.names:
        for _, view in telemetry.views:
            known |= {s for parts in view.totals(variant).values() for s in parts.values()}
        known.add(telemetry.requests(variant))
        for metric in experiment.metrics:
            known |= set(telemetry.parts(metric, variant).values())
    plain = {re.sub(r',?matures_in="[^"]*"', "", each) for s in known for each in alone(s)}
    for panel in shown(path, capsys)["panels"]:
        for target in panel["targets"]:
            assert selectors(target["expr"]) <= plain
            gauges = set(re.findall(r"max\((\w+){", target["expr"]))
            assert gauges <= _GAUGES.keys()
            assert bool(gauges) != bool(selectors(target["expr"]))
