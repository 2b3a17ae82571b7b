"""What clients got decides with what servers counted: the worlds of `bench/clients.py`, once each.

How often it errs is measured there, table-wise; here each world says what it has to.
"""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from abctl.analysis.judge import judge
from abctl.analysis.meaning import meaning
from abctl.core.analysis import Analysis
from abctl.core.experiment import Source
from abctl.core.ledger import Entry, Ledger
from abctl.evidence.logged import doubts_lately
from abctl.forms.document import document
from abctl.forms.plan import as_locked, locked_plan
from abctl.session.analyze import gather, telemetry
from abctl.session.views import views
from abctl.sources import Series

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parents[3] / "bench" / "_client_worlds.py"


def _loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("_client_worlds", BENCH)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


worlds: Any = _loaded()
SOUND, ALIKE, LOST, IN_BURSTS, FAILING, REFUSING, WAITING, DEAD, CANARY, *LOGGED = worlds.WORLDS


def last(world: Any, *at_seconds: float, seed: int = 1) -> Analysis:
    *_, found = worlds.looks(world, seed, at_seconds)
    return found


def codes(found: Analysis) -> set[str]:
    return {reason.code for reason in (*found.verdict.reasons, *found.notes)}


def test_what_is_better_and_else_alike_ships() -> None:
    found = last(SOUND)
    assert found.verdict.kind == "ship"
    [errors] = [metric for metric in found.metrics if metric.name == "errors"]
    other = errors.comparisons[0].other
    assert other is not None
    assert (other.view, other.preset) == ("clients", "envoy")
    assert document(found)["metrics"][1]["comparisons"][0]["other"]["view"] == "clients"


def test_what_is_alike_is_neither_stopped_nor_shipped() -> None:
    assert last(ALIKE).verdict.kind == "continue"


@pytest.mark.parametrize("world", [LOST, IN_BURSTS], ids=lambda world: world.name)
def test_requests_that_die_with_their_process_never_ship(world: Any) -> None:
    found = last(world)
    assert found.verdict.kind in ("stop", "continue")
    assert codes(found) & {"otherViewHarm", "otherViewOpen", "otherViewUnknown"}
    assert "countsDisagree" not in codes(found)  # servers and clients agree on good answers
    treatment = found.variants[1].answers
    assert treatment is not None
    assert treatment.unanswered is not None
    assert 0.01 < treatment.unanswered / (treatment.good + treatment.failed) < 0.05


def test_without_a_scrape_of_the_proxy_the_servers_decide_and_that_is_said() -> None:
    found = last(replace(LOST, proxy=False))
    assert found.variants[1].answers is not None
    assert found.variants[1].answers.view == "servers"
    [errors] = [metric for metric in found.metrics if metric.name == "errors"]
    assert errors.comparisons[0].other is None
    assert "byServers" in {remark.code for remark in errors.remarks}


def test_what_fails_in_the_server_is_stopped() -> None:
    found = last(FAILING)
    assert (found.verdict.kind, "harmProven" in codes(found)) == ("stop", True)


def test_by_the_access_log_margins_of_users_are_proven_for_what_clients_got() -> None:
    found = last(LOGGED[0])
    assert found.verdict.kind == "ship"
    for metric in found.metrics[1:]:
        [comparison] = metric.comparisons
        assert "ab_client" in next(iter(metric.selectors["treatment"].values()))
        assert comparison.proven("non-inferior")
        assert not comparison.unproven
        assert comparison.other is not None
        assert (comparison.other.view, comparison.other.claims) == ("servers", ())
    assert "byServers" not in codes(found)
    answers = found.variants[1].answers
    assert answers is not None
    assert (answers.view, answers.preset) == ("clients", "access-log")


@pytest.mark.parametrize(("world", "metric"), [(LOGGED[1], "errors"), (LOGGED[2], "latency")])
def test_by_the_access_log_harm_that_no_server_sees_is_proven_by_users(
    world: Any, metric: str
) -> None:
    found = last(world)
    assert found.verdict.kind == "stop"
    harmed = [r.facts["metric"] for r in found.verdict.reasons if r.code == "harmProven"]
    assert harmed == [metric]
    [result] = [each for each in found.metrics if each.name == metric]
    other = result.comparisons[0].other
    assert other is not None
    # The servers' own numbers stand beside it, and decide nothing.
    assert (other.view, other.claims) == ("servers", ())
    assert other.effect.treatment < result.comparisons[0].effect.treatment  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("world", "errors", "beside"),
    [
        (LOGGED[0], "access log (access-log)", {"proxy (envoy)", "servers (abctl)"}),
        (
            LOST,
            "servers (abctl)",
            {"access log (access-log): nothing lately", "proxy (envoy)"},
        ),
    ],
    ids=["logged", "no log"],
)
def test_status_says_who_counts_each_metric(world: Any, errors: str, beside: set[str]) -> None:
    source = worlds.Counted(world, 1)
    experiment, _ = worlds.experiment_of(world)
    found = {v.metric: v for v in views(experiment, telemetry(experiment), source, source.now())}
    assert found.keys() == {metric.name for metric in experiment.metrics}
    assert found["errors"].by.text == errors
    assert {each.text for each in found["errors"].beside} == beside
    own = next(metric.name for metric in experiment.metrics if metric.selectors)
    assert (found[own].by.text, found[own].beside) == ("own selectors", ())


def of_the_log(source: Any) -> list[Series]:
    """Lines that Envoy dropped in the middle, and a reader that began anew in between."""
    times, middle = source.times, worlds.START + 1800.0
    reader = {"instance": "reader:8090", "job": "log"}
    started = np.where(times > middle, middle + 5.0, worlds.START - 900.0)
    since = {"__name__": "ab_client_start_time_seconds", "variant": "control", **reader}
    dropped = {"__name__": "envoy_access_logs_grpc_access_log_logs_dropped", "instance": "envoy:1"}
    return [
        Series({"__name__": "process_start_time_seconds", **reader}, times, started),
        Series(since, times, started),
        Series(dropped, times, np.where(times > middle, 47.0, 7.0)),
    ]


def test_what_of_the_access_log_was_not_counted_is_told() -> None:
    world = replace(SOUND, log=True, hours=0.6)
    experiment, ledger = worlds.experiment_of(world)
    source, asked = worlds.Counted(world, 1), telemetry(experiment)
    sound = gather(experiment, ledger, source, asked)
    source.__dict__["all"] = [*source.all, *of_the_log(source)]
    found = judge(gather(experiment, ledger, source, asked))
    told = {note.code: note.facts for note in found.notes if "accessLog" in note.code}
    assert told["accessLogDropped"]["lines_count"] == 40.0
    assert told["accessLogDropped"]["counted_count"] > 1000.0
    assert told["accessLogRestarted"] == {"restarts_count": 1}
    assert not [note for note in judge(sound).notes if "accessLog" in note.code]
    lately = doubts_lately(source, asked, worlds.START + 2000.0)
    assert [(r.code, r.facts.get("lines_count")) for r in lately] == [
        ("accessLogDropped", 40.0),
        ("accessLogRestarted", None),
    ]
    assert doubts_lately(source, asked, source.now() + 3600.0) == ()


def test_a_plan_that_knew_of_no_access_log_is_judged_without_it() -> None:
    world = LOGGED[1]
    experiment, ledger = worlds.experiment_of(world)
    then = {
        name: {key: value for key, value in each.items() if key != "clients"}
        for name, each in meaning(experiment).items()
    }
    before = Ledger(locked_plan(experiment, then)).with_entry(ledger.entries[0])
    source, running = worlds.Counted(world, 1), as_locked(before, experiment)
    found = judge(gather(running, before, source, telemetry(running)))
    [errors] = [metric for metric in found.metrics if metric.name == "errors"]
    assert errors.selectors["treatment"]["n"].startswith("ab_requests_total")
    other = errors.comparisons[0].other
    assert other is not None
    assert (other.view, other.preset) == ("clients", "envoy")


def test_refusals_are_those_of_the_access_log_where_it_is_counted() -> None:
    found = last(replace(REFUSING, log=True))
    [refusals] = found.refusals
    assert (refusals.view, refusals.preset, refusals.differ) == ("clients", "access-log", True)
    assert refusals.result.method == "ratio_sequence"


def test_a_difference_in_refusals_blocks() -> None:
    found = last(REFUSING)
    assert found.verdict.kind == "continue"
    [refusals] = found.refusals
    assert refusals.differ
    assert refusals.view == "servers"
    assert "refusalsDiffer" in codes(found)


def test_latency_is_what_clients_waited_for() -> None:
    found = last(WAITING)
    assert found.verdict.kind == "stop"
    [latency] = [metric for metric in found.metrics if metric.name == "latency"]
    other = latency.comparisons[0].other
    assert other is not None
    assert (other.view, other.effect.treatment > 1.0) == ("clients", True)  # type: ignore[union-attr]
    assert latency.method == "grouped_quantile_horizon"
    assert "group_request_duration" in latency.selectors["treatment"]["histogram"]


@pytest.mark.parametrize("world", [DEAD, CANARY], ids=lambda world: world.name)
@pytest.mark.parametrize("seconds_later", [180.0, 1800.0])
def test_what_answers_no_longer_is_stopped_at_once(world: Any, seconds_later: float) -> None:
    hours = (world.dead_after_seconds + seconds_later) / 3600.0
    found = last(replace(world, hours=hours))
    assert found.verdict.kind == "stop"
    assert found.verdict.reasons[0].code == "noGoodAnswer"
    assert found.verdict.reasons[0].facts["variant"] == "treatment"


def test_a_plan_that_was_locked_before_keeps_the_view_of_the_servers() -> None:
    experiment, ledger = worlds.experiment_of(LOST)
    before = Ledger(locked_plan(experiment)).with_entry(ledger.entries[0])
    source = worlds.Counted(LOST, 1)
    found = judge(gather(as_locked(before, experiment), before, source, telemetry(experiment)))
    by_name = {metric.name: metric for metric in found.metrics}
    assert by_name["errors"].comparisons[0].other is None
    histogram = by_name["latency"].selectors["treatment"]["histogram"]
    assert histogram.startswith("ab_request_duration_seconds_bucket")


def test_a_proxy_alone_proves_no_margin_of_users() -> None:
    experiment, _ = worlds.experiment_of(SOUND)
    [_, _, latency] = experiment.metrics
    primary = replace(latency, role="primary", margin=None, mde=latency.margin)
    alone = replace(experiment, source=Source("file", {}, "envoy"), metrics=(primary, latency))
    plan = locked_plan(alone, meaning(alone))
    entry = Entry(worlds.START, "me", None, alone.split, "", "applied")
    ledger = Ledger(plan).with_entry(entry)
    found = judge(gather(alone, ledger, worlds.Counted(SOUND, 1), telemetry(alone)))
    assert found.verdict.kind == "continue"
    assert "usersUnknown" in codes(found)
    [comparison] = found.metrics[1].comparisons
    claim = comparison.claim("non-inferior")
    assert claim is not None
    assert claim.result.rejects  # type: ignore[union-attr]
    assert not comparison.proven("non-inferior")
    # Requests of one user are alike, which nobody can allow for here.
    assert [each.result.alpha for each in comparison.claims if each.says == "harm"] == [0.001]
