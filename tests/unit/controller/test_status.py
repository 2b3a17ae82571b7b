"""The status of an experiment, and the Events of what is new in it."""

from dataclasses import replace

import pytest

from abctl.controller.events import events
from abctl.controller.metrics import page
from abctl.controller.reconcile import Found
from abctl.controller.seen import Seen
from abctl.controller.status import conditions, phase, status_of
from abctl.core.analysis import Analysis
from abctl.core.next_action import Action
from abctl.core.reasons import Reason
from abctl.core.split import Split
from abctl.core.verdict import Verdict
from abctl.errors import (
    ConflictError,
    NotReadyError,
    SourceAwayError,
    SpecError,
    UnreachableError,
)
from abctl.session.declared import Declared
from abctl.session.run import Turn

AT = 1_800_000_000.0
SPLIT = Split(("control", "treatment"), (9500, 500))
META = {"name": "iris", "namespace": "models", "uid": "7", "generation": 3}
OBJ = {"metadata": META, "spec": {"platform": "envoy"}}
BY_ANN = {"actor": "ann", "at": "noon", "why": "a holiday"}


def analysis(kind="continue", *reasons):
    whole = {"started": AT, "elapsed_seconds": 60.0, "min_duration_seconds": 60.0}
    return Analysis(
        "iris",
        at=AT,
        source="prometheus",
        preset="abctl",
        unit="user",
        test="sequential",
        alpha=0.05,
        max_duration_seconds=600.0,
        epochs=(),
        variants=(),
        metrics=(),
        srm=None,
        notes=(),
        verdict=Verdict(kind, None, reasons),
        **whole,
    )


def found(*reasons, kind="hold", **more):
    given = {"analysis": analysis(), "failure": None, "blind": None} | more
    done = Turn("iris", AT, SPLIT, Action(kind, reasons), **given)
    return Found(AT, AT - 60.0, done, None, SPLIT, "the last shift")


GATE = Reason("rampGate", {"gate": "50%"})
SHIPPED = Reason("rampPromoted", {"treatment": "x"})
OVER = found(Reason("rampOver"), kind="finish")
CASES = {
    "starting": (Found(AT, failure=NotReadyError("slow", "x")), "Starting", "Starting"),
    "refused": (Found(AT, failure=SpecError("no path", "none")), "Refused", "Refused"),
    "rivals": (Found(AT, failure=ConflictError("taken", "x")), "Starting", "NotStarted"),
    "holding": (found(Reason("rampAtLast")), "Progressing", "Driven"),
    "gate": (found(GATE), "Waiting", "Driven"),
    "harm": (found(Reason("rampHarm")), "Waiting", "Driven"),
    "ships": (found(Reason("rampShips", {"treatment": "x"})), "Waiting", "Driven"),
    "paused": (found(Reason("rampPaused", BY_ANN)), "Paused", "Driven"),
    "shipped": (found(SHIPPED, kind="finish"), "Completed", "Driven"),
    "aborted": (replace(OVER, aborted=True), "Completed", "Driven"),
    "stopped": (OVER, "Completed", "Driven"),
    "not done": (found(failure=NotReadyError("no pod", "x")), "Progressing", "NotDone"),
    "fought": (found(failure=ConflictError("put back", "x")), "Progressing", "Conflict"),
}


def told(case):
    return {each.type: each for each in conditions(CASES[case][0])}


@pytest.mark.parametrize("case", CASES)
def test_the_phase_and_whether_the_spec_is_done(case):
    look, where, reason = CASES[case]
    assert (phase(look), told(case)["Ready"].reason) == (where, reason)
    assert (told(case)["Ready"].status == "True") is (look.error is None)
    assert (told(case)["Progressing"].status == "True") is (where in ("Starting", "Progressing"))
    assert (told(case)["Stalled"].status == "True") is (where == "Refused")
    assert (told(case)["Paused"].status == "True") is (where in ("Waiting", "Paused"))
    assert (told(case)["Completed"].status == "True") is (where == "Completed")
    conflict = case in ("rivals", "fought")
    assert (told(case)["Conflicted"].status == "True") is conflict


def test_how_it_ended_and_who_is_waited_for():
    ends = {each: told(each)["Completed"].reason for each in ("shipped", "aborted", "stopped")}
    assert ends == {"shipped": "Shipped", "aborted": "Aborted", "stopped": "Stopped"}
    waits = {each: told(each)["Paused"].reason for each in ("gate", "harm", "ships", "paused")}
    assert [*waits.values()] == ["GateWaits", "HarmWaits", "ShipWaits", "Paused"]


def test_evidence_is_trusted_or_not_or_nobody_knows():
    stale = Reason("rampInvalid")
    invalid = found(stale, analysis=analysis("invalid", stale))
    blind = found(analysis=None, blind=SourceAwayError("no answer", "x"))
    all_of = [{c.type: c for c in conditions(each)} for each in (found(), invalid, blind)]
    seen = [each["Trusted"] for each in all_of]
    assert [(c.status, c.reason) for c in seen] == [
        ("True", "Trusted"),
        ("False", "rampInvalid"),
        ("Unknown", "NoEvidence"),
    ]
    assert seen[2].message == "no answer"


def test_the_whole_status():
    status = status_of(Declared(OBJ), found(GATE))
    assert {key: status[key] for key in ("phase", "split", "verdict", "gate", "codes")} == {
        "phase": "Waiting",
        "split": "95/5",
        "verdict": "continue",
        "gate": "50%",
        "codes": ["rampGate"],
    }
    assert status["reason"].endswith("abctl approve abx/iris -n models")
    assert status["shares"] == {"control": "95%", "treatment": "5%"}
    assert status["startedAt"] == "2027-01-15T07:59:00Z"
    assert {each["observedGeneration"] for each in status["conditions"]} == {3}


def test_a_condition_keeps_the_time_at_which_it_became_so():
    before = status_of(Declared(OBJ), found())
    later = replace(found(GATE), at=AT + 60.0)
    after = {
        c["type"]: c for c in status_of(Declared(OBJ | {"status": before}), later)["conditions"]
    }
    first = before["conditions"][0]["lastTransitionTime"]
    assert after["Ready"]["lastTransitionTime"] == first
    assert after["Paused"]["lastTransitionTime"] != first


def test_what_is_known_stays_when_a_look_finds_nothing():
    known = Declared(OBJ | {"status": status_of(Declared(OBJ), found(GATE))})
    for failure, where in (
        (UnreachableError("away", "x"), "Waiting"),
        (SpecError("x", "y"), "Refused"),
    ):
        status = status_of(known, Found(AT, failure=failure))
        assert status["phase"] == where
        kept = ("startedAt", "split", "shares", "verdict")
        assert {key: status[key] for key in kept} == {key: known.status[key] for key in kept}
        assert status["conditions"][0]["status"] == "False"


def news(look, before):
    declared = Declared(OBJ | {"status": before})
    status = status_of(declared, look)
    return [(e["type"], e["reason"]) for e in events(declared, status, AT)], status


def test_events_are_of_what_is_new_alone():
    first, status = news(CASES["starting"][0], {})
    assert first == [("Normal", "Starting")]
    begun, status = news(found(), status)
    assert begun == [("Normal", "SplitChanged"), ("Normal", "Driven"), ("Normal", "Trusted")]
    assert news(found(), status)[0] == []
    waits, status = news(found(GATE), status)
    assert waits == [("Normal", "GateWaits")]
    fought, status = news(CASES["fought"][0], status)
    assert fought == [("Warning", "Conflict"), ("Normal", "Goes"), ("Warning", "Conflict")]
    assert news(CASES["refused"][0], {})[0] == [("Warning", "Refused")]


def test_an_event_is_one_that_the_api_server_takes():
    long = found(failure=NotReadyError("x" * 5000, "y"))
    for event in events(Declared(OBJ), status_of(Declared(OBJ), long), AT):
        assert len(event["note"]) <= 1024
        assert event["regarding"]["uid"] == "7"
        assert event["eventTime"].endswith("Z")


def test_metrics_are_of_what_is_there_alone():
    seen = Seen()
    seen.looked(Declared(OBJ), found(GATE), 0.5)
    seen.looked(Declared({**OBJ, "metadata": META | {"uid": "8", "name": "wine"}}), found(), 1.5)
    seen.failed(NotReadyError("x", "y"))
    text = page(seen, lambda: {"models": True}).decode()
    of = 'experiment="iris",namespace="models"'
    for line in (
        f'abctl_experiment_share_ratio{{{of},variant="treatment"}} 0.05',
        f'abctl_experiment_verdict{{{of},verdict="continue"}} 1.0',
        f'abctl_experiment_verdict{{{of},verdict="ship"}} 0.0',
        f'abctl_experiment_condition{{{of},status="True",type="Paused"}} 1.0',
        f'abctl_experiment_info{{{of},platform="envoy",test="sequential",unit="user"}} 1.0',
        f"abctl_experiment_last_look_timestamp_seconds{{{of}}} 1.8e+09",
        'abctl_leader{namespace="models"} 1.0',
        'abctl_reconcile_errors_total{reason="NotReadyError"} 1.0',
        "abctl_look_duration_seconds_count 2.0",
        "abctl_look_duration_seconds_sum 2.0",
    ):
        assert line in text.splitlines()
    assert "wine" in text
    seen.keep({"7"})
    assert "wine" not in page(seen, lambda: {"models": True}).decode()
    # Another controller has taken the namespace over: what it says is newer.
    other = page(seen, lambda: {"models": False}).decode()
    assert 'abctl_leader{namespace="models"} 0.0' in other
    assert "iris" not in other
