"""Lint: errors fail, warnings do not unless asked, and machines can read it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from abctl.cli.main import run
from abctl.core.experiment import Experiment, Metric
from abctl.core.outcome import Outcome, Per
from abctl.platforms import inferencegraph
from abctl.spec.lint import warnings as unwise

EXPERIMENT = (Path(__file__).parents[2] / "golden/experiment.yaml").read_text(encoding="utf-8")
EXAMPLES = Path(__file__).parents[3] / "k8s/experiments"
Screen = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text(EXPERIMENT, encoding="utf-8")
    Path("bad.yaml").write_text(EXPERIMENT.replace("30%", "20%"), encoding="utf-8")


def warnings(old: str, new: str, capsys: Screen) -> list[str]:
    assert old in EXPERIMENT
    Path("good.yaml").write_text(EXPERIMENT.replace(old, new), encoding="utf-8")
    assert run(["lint", "--strict", "good.yaml"]) == 2
    assert run(["lint", "good.yaml"]) == 0
    return [
        line.removeprefix("warning: good.yaml: ") for line in capsys.readouterr().err.splitlines()
    ]


def test_a_line_for_each_file_and_the_details_apart(capsys: Screen) -> None:
    assert run(["lint", "good.yaml", "bad.yaml", "none.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == "good.yaml: ok\nbad.yaml: wrong\nnone.yaml: wrong\n"
    assert err.splitlines() == [
        "error: variants[1].split in bad.yaml: 20% makes the sum 90%, must be 100%",
        "hint: write 30%",
        "error: none.yaml: no such file",
        "hint: write a first one: abctl init none.yaml",
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name: iris,": "name: 1iris,"}, "'1iris', must be at most 63"),
        ({"name: iris,": "name: iris-,"}, "'iris-', must be at most 63"),
        # The Service of the proxy is called by the experiment alone.
        (
            {"name: iris,": f"name: {'i' * 60},", "name: control": "name: c"}
            | {"name: treatment": "name: t"},
            "its name has 66 characters, must be at most 63",
        ),
    ],
)
def test_names_that_kubernetes_refuses_are_refused(
    changes: dict[str, str], said: str, capsys: Screen
) -> None:
    text = EXPERIMENT
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    Path("named.yaml").write_text(text, encoding="utf-8")
    assert run(["lint", "named.yaml"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert said in error
    assert hint.startswith("hint: ")
    assert "name" in hint


def test_machines_get_everything(capsys: Screen) -> None:
    assert run(["lint", "good.yaml", "bad.yaml", "-o", "json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert (document["apiVersion"], document["kind"]) == ("abctl.dev/v1", "Lint")
    assert document["files"] == [
        {"file": "good.yaml", "valid": True, "error": None, "hint": None, "warnings": []},
        {
            "file": "bad.yaml",
            "valid": False,
            "error": "variants[1].split in bad.yaml: 20% makes the sum 90%, must be 100%",
            "hint": "write 30%",
            "warnings": [],
        },
    ]


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("minDuration: 7d", "minDuration: 6d",
         "design.minDuration: less than 7d, and weekdays differ"),
        (", mde: 2pp", "", "metrics: accuracy has no mde, so its size cannot be planned"),
        ("role: secondary", "role: primary",
         "metrics: 2 are primary (accuracy, revenue), say which one decides"),
        ("version: v2", 'version: v1, image: "abctl/iris:v1"',
         "variants: treatment has the model of control (an A/A test?)"),
        ("abctl/iris:v1", "host:5000/iris",
         "variants: image host:5000/iris has no tag, it may change under way"),
    ],
)  # fmt: skip
def test_what_is_unwise_is_a_warning(old: str, new: str, warning: str, capsys: Screen) -> None:
    assert set(warnings(old, new, capsys)) == {warning}


def test_only_a_primary_metric_needs_an_mde() -> None:
    text = EXPERIMENT.replace(", mde: 0.5abs", "")
    Path("good.yaml").write_text(text, encoding="utf-8")
    assert run(["lint", "--strict", "good.yaml"]) == 0


def test_an_experiment_without_guardrails_or_source_is_warned(capsys: Screen) -> None:
    lines = [line for line in EXPERIMENT.splitlines() if "guardrail" not in line]
    text = "\n".join(line for line in lines if "source:" not in line)
    assert set(warnings(EXPERIMENT, text, capsys)) == {
        "metrics: no guardrail, nothing stops a harmful variant",
        "source: left out, only the local stack can fill it in",
    }


def test_what_the_analysis_could_not_measure_is_an_error(capsys: Screen) -> None:
    text = EXPERIMENT.replace("of: latency", "of: errors")
    Path("good.yaml").write_text(text, encoding="utf-8")
    assert run(["lint", "good.yaml"]) == 2
    assert "error: good.yaml: metric p95: nothing selects" in capsys.readouterr().err


def test_an_unknown_preset_is_an_error(capsys: Screen) -> None:
    Path("good.yaml").write_text(EXPERIMENT.replace("preset: abctl", "preset: x"), encoding="utf-8")
    assert run(["lint", "good.yaml"]) == 2
    assert (
        "error: good.yaml: source.preset: no 'x'\nhint: known presets: " in capsys.readouterr().err
    )


@pytest.mark.process
def test_the_real_program_says_the_same() -> None:
    program = [sys.executable, "-c", "from abctl.cli.main import main; main()"]
    done = subprocess.run(
        [*program, "lint", "bad.yaml"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "bad.yaml: wrong\n")
    assert done.stderr.startswith("error: variants[1].split in bad.yaml: 20% makes the sum 90%")


def test_what_the_platform_would_refuse_is_wrong(
    capsys: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inferencegraph, "objections", lambda obj: (f"no {obj['kind']} today",))
    graph = EXAMPLES / "inferencegraph.yaml"
    assert run(["lint", str(graph)]) == 2
    assert "would be refused: no InferenceService today" in capsys.readouterr().err


def test_models_that_a_request_cannot_name_at_once_are_noticed(capsys: Screen) -> None:
    said = "variants: models of different names, but the path of a request names one"
    assert said in warnings("{name: iris, version: v2}", "{name: rose, version: v2}", capsys)


def test_a_platform_that_ignores_the_salt_is_noticed(capsys: Screen) -> None:
    assert run(["lint", str(EXAMPLES / "gateway.yaml")]) == 0
    assert "assignment.salt: gateway hashes the key alone" in capsys.readouterr().err
    assert run(["lint", "--strict", str(EXAMPLES / "nginx.yaml")]) == 0


@pytest.mark.parametrize(("written", "meant"), [("erors", "errors"), ("latencies", "latency")])
def test_what_looks_like_a_counted_metric_is_asked_about(
    written: str, meant: str, capsys: Screen
) -> None:
    (said,) = set(warnings("of: revenue", f"of: {written}", capsys))
    outcome = f"{written}, an outcome of feedback"
    assert said == f"metrics: revenue is of {outcome}; did you mean {meant}?"


@pytest.mark.parametrize(
    ("counted", "per", "variants", "large"),
    [
        ((3, 0), "outcome", 3, False),
        ((4, 0), "user", 3, True),
        ((3, 2), "outcome", 3, True),  # each earlier age is counted as well
        ((1, 2), "user", 2, False),
        ((1, 2), "user", 6, True),
    ],
)
def test_a_large_page_of_the_collector_is_warned(
    make_experiment: Callable[..., Experiment],
    counted: tuple[int, int],
    per: Per,
    variants: int,
    large: bool,
) -> None:
    outcomes, ages = counted
    names = [f"outcome-{i}" for i in range(outcomes)]
    served = ["control", *(f"treatment-{i}" for i in range(1, variants))]
    shares = (10_000 - 1000 * (variants - 1), *[1000] * (variants - 1))
    early = (600.0, 3600.0)[:ages]
    experiment = replace(
        make_experiment(*served, shares_bp=shares, buckets=64),
        outcomes=tuple(Outcome(name, "number", early_seconds=early, cap=9.0) for name in names),
        metrics=tuple(
            Metric(name, "primary", "proportion", name, "increase", per=per) for name in names
        ),
    )
    said = [each for each in unwise(experiment) if "page of the collector" in each]
    assert len(said) == large


@pytest.mark.parametrize(
    ("platform", "stored", "readable"),
    [
        ("inferencegraph", "format: sklearn", True),
        ("inferencegraph", "format: sklearn, protocol: v1", False),
        ("inferencegraph", "format: huggingface", False),
        ("inferencegraph", "format: triton", False),
        # Whose counters these are, only its owner knows.
        ("inferencegraph", "format: mine, runtime: mine", True),
        # There a proxy counts, whatever is behind it.
        ("kserve", "format: huggingface", True),
        ("kserve", "format: triton", True),
    ],
)
def test_a_server_without_counters_that_can_be_read_is_an_error(
    platform: str, stored: str, readable: bool, capsys: Screen
) -> None:
    text = (EXAMPLES / f"{platform}.yaml").read_text(encoding="utf-8")
    text = re.sub(r'image: "[^"]*"', f"uri: s3://models/iris, {stored}", text)
    # Nobody counts feedback there.
    text = re.sub(r" *- {name: accuracy.*\n", "", text)
    text = text.replace("errors,   role: guardrail", "errors, role: primary", 1)
    Path("stored.yaml").write_text(text.replace("margin: 0.5pp", "mde: 0.5pp"), encoding="utf-8")
    assert run(["lint", "stored.yaml"]) == (0 if readable else 2)
    assert ("has no counters that abctl can read" in capsys.readouterr().err) is not readable


def test_settle_and_maturity_are_checked_against_each_other(
    make_experiment: Callable[..., Experiment],
) -> None:
    metrics = tuple(Metric(of, "primary", "mean", of, "increase") for of in ("click", "spent"))
    click = Outcome("click", "number", maturity_seconds=3600.0)
    made = replace(make_experiment(), metrics=metrics, outcomes=(click,))
    long = replace(made, design=replace(made.design, settle_seconds=3600.0))
    (said,) = [each for each in unwise(long) if "design.settle: 1h waits for click" in each]
    assert not [each for each in unwise(made) if "design.settle:" in each]
    # A look at an earlier age belongs to the moment of its prediction as well.
    early = replace(click, early_seconds=(10.0,))
    assert not [e for e in unwise(replace(made, outcomes=(early,))) if "design.settle:" in e]
    # Of what is not declared nobody knows how late it is.
    (said,) = [each for each in unwise(made) if "not among spec.outcomes" in each]
    assert "metrics: spent not" in said
    assert not [e for e in unwise(replace(made, outcomes=())) if "not among spec.outcomes" in e]
