"""Every table at 80 columns, whatever it is of: long names, many variants, large numbers."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from abctl.cli import _shift, _simulation, doctor, local, status
from abctl.cli._output import Output, emit
from abctl.cli.main import run
from abctl.core.change import Ref
from abctl.core.ledger import Entry, Epoch
from abctl.core.reasons import Reason
from abctl.core.split import Split
from abctl.doctor.check import Check
from abctl.session.status import Observed, Status
from abctl.session.tree import Branch, Condition, Node, Pod, Tree
from abctl.session.views import View, Views
from abctl.simulate._tally import LatencyMs, Summary, VariantSummary

Screen = pytest.CaptureFixture[str]
LONG = "the-model-of-last-week-with-another-threshold-and-seed"
VARIANTS = (LONG, *(f"candidate-{i}" for i in range(1, 10)))
SPLIT = Split(VARIANTS, (1000,) * 10)
SHIFTED = Split(VARIANTS, (9100, *[100] * 9))
WORDS = "no endpoint of it has answered within 1.25 ms, though 2 were asked for in 40 s; " * 3


def lines(shown: object, capsys: Screen) -> list[str]:
    emit("Test", {}, Output.table, lambda _: shown)
    return fitting(capsys.readouterr().out)


def fitting(out: str) -> list[str]:
    found = out.splitlines()
    assert max(map(len, found)) <= 80, max(found, key=len)
    assert "…" not in out
    return found


@pytest.mark.parametrize("wide", [False, True])
def test_of_status(wide: bool, capsys: Screen) -> None:
    node = Node(Ref("v1", "Service", "models", "m" * 50), WORDS, (Condition("Ready", "False"),))
    pods = (Pod("p" * 50, False, WORDS, 1234), Pod("q", True))
    found = Status(
        desired=SPLIT,
        asked=SPLIT,
        programmed=None,
        refusal=WORDS,
        observed={name: Observed(1_234_567_890, 0.1, (0.09, 0.11)) for name in VARIANTS},
        drifted=True,
        intent=Entry(1e9, "somebody", SPLIT, SHIFTED, "", "intent"),
        epochs=(Epoch(1e9, 2e9, SPLIT),),
        plan_changed=("metrics", "design"),
        unseen=(WORDS,),
        tree=Tree(node, (Branch(LONG, "variant", ("rev-1",), (node,), pods),), ()),
        views=(
            Views("m" * 30, View("access log", "access-log"), (View("servers", "abctl", False),)),
            Views("errors", View("proxy", "envoy-gateway"), ()),
        ),
    )
    shown = lines(status._table(found, wide), capsys)
    assert "errors proxy (envoy-gateway) -" in [" ".join(line.split()) for line in shown]
    at = shown.index(LONG)
    assert shown[at + 1].split() == ["10%", "10%", "-", "10.00%", "(1,234,567,890)"]
    assert shown[at + 2].split()[:2] == ["candidate-1", "10%"]
    assert any(line.endswith("1.25 ms,") or "1.25 ms" in line for line in shown)


def test_of_doctor(capsys: Screen) -> None:
    found = Reason("failed", {"error": "SourceError", "detail": WORDS.strip()})
    checks = [
        Check("reach", "ok", found),
        Check(f"metric {LONG}", "error", found, "look at [its] labels"),
        Check("split", "warning", found, WORDS.strip()),
    ]
    shown = lines(doctor._table(checks), capsys)
    assert any("→ look at [its] labels" in line for line in shown)


def test_of_simulate(capsys: Screen) -> None:
    latency = LatencyMs(0.5, 95_000.0, 1234.5, 99_999.0, 1.5)
    variants = tuple(
        VariantSummary(
            name, 123_456_789, {"5xx": 1234, "timeout": 5}, latency, 1_000_000, 9_999_999, 12, 0
        )
        for name in VARIANTS
    )
    moves = {(a, b): 1_234_567 for a in VARIANTS for b in VARIANTS if a != b}
    summary = Summary(variants, 480.25, 1_234_567, 12_345, moves, (), ("revenue",), False)
    shown = lines(_simulation.table(summary), capsys)
    assert shown[0].startswith("as the client saw it")
    for name in ("MEAN", "P50", "P95", "P99", "MAX"):
        assert any(name in line for line in shown)


def test_of_the_local_stack(capsys: Screen) -> None:
    stack: Any = SimpleNamespace(
        experiment="iris",
        state_dir=Path("/tmp"),
        started=1e9,
        entrance_url="http://127.0.0.1:45299",
        envoy_admin_url="http://127.0.0.1:45300",
        prometheus_url=None,
        servers=[
            SimpleNamespace(
                variant=name,
                model="iris",
                url="http://127.0.0.1:45301",
                grpc_port=1,
                metrics_url="http://127.0.0.1:45302",
            )
            for name in VARIANTS
        ],
        processes=[
            SimpleNamespace(
                name=f"mlserver-{name}", pid=4_194_303, status="dead", ending=WORDS, log=Path("log")
            )
            for name in VARIANTS
        ],
        dead=(),
    )
    for output in (Output.table, Output.wide):
        local._show(stack, output)
        assert f"mlserver-{LONG}" in fitting(capsys.readouterr().out)


@pytest.mark.parametrize(
    "options",
    [
        ["--treatments", "1000"],
        ["--treatments", "3", "-o", "wide"],
        ["--split", "30/20/15/10/10/10/5"],
        ["--split", "50/1/2/3/4/5/6/7/8/9/5", "--traffic", "1000000/s"],
        ["--treatments", "1", "--test", "fixed"],
    ],
)
def test_of_a_plan(options: list[str], capsys: Screen) -> None:
    head = ["plan", "--baseline", "0.01%", "--mde", "1%", "--traffic", "120/day"]
    assert run([*head, *options]) == 0
    shown = fitting(capsys.readouterr().out)
    assert shown[0].startswith("MDE")
    if "1000" in options:
        assert "EACH OF 1,000" in shown[0]


@pytest.fixture
def experiment_file(start_experiment: Callable[..., None]) -> None:
    metrics = """\
  metrics:
    - {name: m, role: primary, kind: proportion, of: m, direction: increase, mde: 5pp}
"""
    control, treatment = (f"    - {{name: {name}, split: 50%" for name in ("control", "treatment"))
    others = "".join(
        f"    - {{name: {name}, split: 10%, model: {{name: iris, version: v2}}}}\n"
        for name in VARIANTS[2:]
    )
    edits = [
        (control, f"{others}    - {{name: {VARIANTS[0]}, split: 10%"),
        (treatment, f"    - {{name: {VARIANTS[1]}, split: 10%"),
    ]
    start_experiment(metrics, 1e9, edits=edits)


@pytest.mark.usefixtures("experiment_file")
@pytest.mark.parametrize("options", [[], ["-o", "wide"], ["--count"]])
def test_of_assignments(options: list[str], capsys: Screen) -> None:
    capsys.readouterr()
    ids = ["alice", "7b1f2c1e-3f57-4d10-8a8e-7d3f0f9e2b11", "x" * 70]
    assert run(["assign", "iris.yaml", *ids, *options]) == 0
    shown = " ".join(fitting(capsys.readouterr().out))
    if "--count" not in options:
        assert all(each in shown for each in ids)


@pytest.mark.parametrize("options", [[], ["-o", "wide"]])
def test_of_platforms(options: list[str], capsys: Screen) -> None:
    assert run(["platforms", *options]) == 0
    fitting(capsys.readouterr().out)


def test_of_a_shift_of_many_variants(capsys: Screen) -> None:
    intent = Entry(1e9, "somebody", SPLIT, SHIFTED, "", "intent")
    ledger = SimpleNamespace(intent=intent, changed_since=lambda _: ())
    seen = SimpleNamespace(
        drifted=True, ledger=ledger, other_variants="", unrecorded="", unsplit=""
    )
    moves = {(VARIANTS[0], VARIANTS[1]): 100}
    planned: Any = SimpleNamespace(
        before=SPLIT, after=SHIFTED, state=seen, moves=moves, unrecorded="", owners=()
    )
    assignment = SimpleNamespace(unit="user")
    session: Any = SimpleNamespace(
        experiment=SimpleNamespace(name="iris", assignment=assignment), adopted=False
    )
    _shift._explain(planned, session)
    said = fitting(capsys.readouterr().err)
    assert [line for line in said if not line.startswith("  ")][-2:] == [
        f"from {LONG} 10%,",
        f"to   {LONG} 91%, candidate-1 1%,",
    ]
