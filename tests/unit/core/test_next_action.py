"""What a ramp does next: the table of cases, and laws that hold whatever is known."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws import law
from ramps import HOLD, MARGIN, RAMP, analysis, experiment, ledger, said, split

from abctl.core.analysis import Analysis
from abctl.core.ledger import Entry, Ledger
from abctl.core.next_action import Action, next_action, open_gate
from abctl.core.ramp import Budget, Ramp
from abctl.core.reasons import Reason

LATE = 1e6
DEAD = Reason(
    "noGoodAnswer",
    {
        "variant": "treatment",
        "view": "clients",
        "silent_seconds": 12.0,
        "failed_count": 40.0,
        "others_good_count": 90.0,
    },
)
AT_5 = ledger(split(0), split(100), split(500))


def act(
    known: Ledger,
    found: Analysis | Reason,
    ramp: Ramp = RAMP,
    now: float = LATE,
    treatments: int = 1,
) -> Action:
    return next_action(experiment(ramp, treatments), known, found, now)


def codes(action: Action) -> list[str]:
    return [reason.code for reason in action.reasons]


@pytest.mark.parametrize(
    ("worst", "share_bp"),
    [
        (-3.0, 5000),
        (1.0, 5000),
        (1.01, 2500),
        (2.0, 2500),
        (2.1, 1000),
        (9.9, 500),
        (50.0, 100),
        (1e9, 100),
    ],
)
def test_the_share_follows_the_worst_bound(worst: float, share_bp: int) -> None:
    found = act(AT_5, analysis(AT_5, {"treatment": (worst, -1.0)}))
    if share_bp == 500:
        assert (found.kind, codes(found)) == ("hold", ["rampBound"])
    else:
        assert (found.kind, found.split, codes(found)) == ("shift", split(share_bp), ["rampBound"])


def test_it_begins_at_the_floor_without_any_evidence_of_a_treatment() -> None:
    begun = ledger(split(0))
    unknown = analysis(begun, {"treatment": (None, None)}, polls=0, epochs=(), counts_from=None)
    found = act(begun, unknown, replace(RAMP, least_bp=500), now=1.0)
    assert (found.kind, found.split, codes(found)) == ("shift", split(500), ["rampStarts"])


@pytest.mark.parametrize(
    ("now", "polls", "kind"),
    [(0.0, 9, "hold"), (HOLD - 1, 9, "hold"), (HOLD, 1, "hold"), (HOLD, 2, "shift")],
)
def test_a_step_holds_for_its_time_and_two_polls(now: float, polls: int, kind: str) -> None:
    begun = AT_5.entries[-1].at
    found = act(AT_5, analysis(AT_5, {"treatment": (0.5, 0.5)}, polls=polls), now=begun + now)
    assert found.kind == kind
    if kind == "hold":
        assert codes(found) == ["rampWaits", "rampBound"]
        assert found.until == begun + HOLD


def test_down_it_goes_at_once() -> None:
    at_25 = ledger(split(100), split(2500))
    found = act(at_25, analysis(at_25, {"treatment": (3.0, 8.0)}, polls=1), now=3600.0)
    assert (found.kind, found.split) == ("shift", split(500))
    assert found.reasons[0].facts["metric"] == "errors"


def test_what_is_not_known_holds_the_share() -> None:
    found = act(AT_5, analysis(AT_5, {"treatment": (0.1, None)}))
    assert (found.kind, codes(found)) == ("hold", ["rampUnbounded"])
    assert found.reasons[0].facts["metric"] == "errors"


@pytest.mark.parametrize(
    ("phases", "kind"),
    [
        ((), "shift"),
        (("paused",), "hold"),
        (("paused", "resumed"), "shift"),
        (("aborted",), "rollback"),
        (("aborted", "resumed"), "shift"),
        (("paused", "aborted"), "rollback"),
    ],
)
def test_what_people_say_holds_until_they_say_otherwise(phases: tuple[Any, ...], kind: str) -> None:
    known = AT_5
    for phase in phases:
        known = said(known, phase)
    assert act(known, analysis(known, {"treatment": (0.5, 0.5)})).kind == kind


def test_a_pause_hinders_no_way_down() -> None:
    at_25 = said(ledger(split(100), split(2500)), "paused")
    assert act(at_25, analysis(at_25, {"treatment": (9.0, 9.0)})).split == split(500)
    dead = analysis(at_25, {"treatment": (1.0, 1.0)}, stopped={"treatment": DEAD})
    assert act(at_25, dead).kind == "rollback"


def test_gates_wait_for_a_person() -> None:
    ramp = replace(RAMP, gates=("10%", "promote"), on_ship="promote")
    fine = analysis(AT_5, {"treatment": (0.5, 0.5)})
    found = act(AT_5, fine, ramp)
    assert (found.kind, codes(found)) == ("hold", ["rampBound", "rampGate"])
    assert open_gate(ramp, AT_5) == "10%"
    known = said(AT_5, "approved", "10%")
    assert act(known, fine, ramp).split == split(5000)
    assert open_gate(ramp, known) == "promote"
    at_1 = ledger(split(0), split(100))
    assert act(at_1, analysis(at_1, {"treatment": (0.5, 0.5)}), ramp).split == split(500)
    ready = analysis(known, {"treatment": (0.5, 0.5)}, kind="ship")
    assert codes(act(known, ready, ramp)) == ["rampGate"]
    known = said(known, "approved", "promote")
    assert (act(known, ready, ramp).kind, open_gate(ramp, known)) == ("promote", None)


def test_a_step_may_not_be_too_large() -> None:
    ramp = replace(RAMP, max_step_bp=2500)
    assert act(AT_5, analysis(AT_5, {"treatment": (0.5, 0.5)}), ramp).split == split(2500)


@pytest.mark.parametrize(("on_ship", "kind"), [("promote", "promote"), ("pause", "hold")])
def test_what_may_ship(on_ship: Any, kind: str) -> None:
    ready = analysis(AT_5, {"treatment": (0.5, 0.5)}, kind="ship")
    found = act(AT_5, ready, replace(RAMP, on_ship=on_ship))
    assert found.kind == kind
    assert found.split == (split(10_000) if kind == "promote" else None)


def test_harm_goes_before_evidence_that_cannot_be_trusted() -> None:
    dead = analysis(AT_5, {"treatment": (0.5, 0.5)}, stopped={"treatment": DEAD})
    found = act(AT_5, dead)
    assert (found.kind, found.split, codes(found)) == ("rollback", split(0), ["noGoodAnswer"])


def test_where_a_person_decides_the_share_goes_to_the_floor() -> None:
    ramp = replace(RAMP, on_harm="pause")
    dead = analysis(AT_5, {"treatment": (0.5, 0.5)}, stopped={"treatment": DEAD})
    found = act(AT_5, dead, ramp)
    assert (found.kind, found.split) == ("shift", split(100))
    assert codes(found) == ["noGoodAnswer", "rampHarm"]
    at_1 = ledger(split(0), split(100))
    dead = analysis(at_1, {"treatment": (0.5, 0.5)}, stopped={"treatment": DEAD})
    assert act(at_1, dead, ramp).kind == "hold"


def test_of_several_only_the_harmful_one_goes_and_stays_out() -> None:
    both = ledger(split(0, 0), split(500, 500))
    fine = {"treatment": (0.5, 0.5), "other": (0.5, 0.5)}
    ramp = replace(RAMP, steps_bp=(100, 500, 3333))
    dead = analysis(both, fine, stopped={"treatment": DEAD})
    found = act(both, dead, ramp, treatments=2)
    assert (found.kind, found.split) == ("shift", split(0, 500))
    alone = ledger(split(0, 0), split(500, 500), split(0, 500))
    after = analysis(alone, {"other": (0.5, 0.5)})
    assert act(alone, after, ramp, treatments=2).split == split(0, 3333)


@pytest.mark.parametrize("ended", [split(0), split(10_000)])
def test_at_the_end_there_is_nothing_to_do(ended: Any) -> None:
    over = ledger(split(0), split(500), ended)
    for phase in (None, "paused", "aborted"):
        known = said(over, phase) if phase else over  # type: ignore[arg-type]
        assert act(known, Reason("scrapedOnce")).kind == "finish"


def test_who_aborts_before_it_begins_has_nothing_to_send_back() -> None:
    begun = said(ledger(split(0)), "aborted", why="not today")
    found = act(begun, Reason("scrapedOnce"))
    assert (found.kind, codes(found)) == ("finish", ["rampAborted"])


def test_evidence_that_cannot_be_trusted_or_is_not_there_holds() -> None:
    bad = analysis(AT_5, {"treatment": (0.1, 9.0)}, kind="invalid")
    found = act(AT_5, bad)
    assert (found.kind, codes(found)) == ("hold", ["rampInvalid", "planChanged"])
    found = act(AT_5, Reason("scrapedOnce"))
    assert (found.kind, codes(found)) == ("hold", ["rampBlind"])


def test_what_was_begun_is_finished_unless_somebody_aborts() -> None:
    intent = Entry(AT_5.entries[-1].at + 9, "ann", split(500), split(1000), "", "intent")
    known = AT_5.with_entry(intent)
    found = act(known, Reason("scrapedOnce"))
    assert (found.kind, found.split, codes(found)) == ("shift", split(1000), ["rampUnfinished"])
    assert act(said(known, "paused"), Reason("scrapedOnce")).split == split(1000)
    assert act(said(known, "aborted"), Reason("scrapedOnce")).kind == "rollback"


@pytest.mark.parametrize("on_harm", ["rollback", "pause"])
def test_a_way_up_that_was_begun_is_left_when_harm_is_proven(on_harm: Any) -> None:
    intent = Entry(AT_5.entries[-1].at + 9, "ann", split(500), split(1000), "", "intent")
    bad = analysis(AT_5, {"treatment": (9.0, 9.0)}, stopped={"treatment": DEAD})
    found = act(AT_5.with_entry(intent), bad, replace(RAMP, on_harm=on_harm))
    least = split(0) if on_harm == "rollback" else split(RAMP.floor_bp)
    assert (found.split, codes(found)[0]) == (least, "noGoodAnswer")
    back = replace(intent, after=split(0))
    found = act(AT_5.with_entry(back), bad, replace(RAMP, on_harm=on_harm))
    assert (found.split, codes(found)) == (split(0), ["rampUnfinished"])


@pytest.mark.parametrize("holds_bp", [100, 500])
def test_at_the_floor_too_what_was_begun_is_undone_when_harm_is_proven(holds_bp: int) -> None:
    at = ledger(split(0), split(100)) if holds_bp == 100 else AT_5
    intent = Entry(at.entries[-1].at + 9, "ann", split(holds_bp), split(1000), "", "intent")
    bad = analysis(at, {"treatment": (9.0, 9.0)}, stopped={"treatment": DEAD})
    found = act(at.with_entry(intent), bad, replace(RAMP, on_harm="pause"))
    assert (found.kind, found.split) == ("shift", split(RAMP.floor_bp))


@pytest.mark.parametrize(("most", "kind"), [(1000.0, "shift"), (4.0, "rollback")])
def test_a_budget_that_may_be_spent_ends_it(most: float, kind: str) -> None:
    # 1,000 requests, and 1% of the 1,200 to come, at most half a point worse.
    ramp = replace(RAMP, budget=Budget("errors", most))
    assert act(AT_5, analysis(AT_5, {"treatment": (1.0, 1.0)}), ramp).kind == kind


def test_without_a_ramp_there_is_nothing_to_ask() -> None:
    bare = replace(experiment(), ramp=None)
    with pytest.raises(ValueError, match="no ramp"):
        next_action(bare, AT_5, Reason("scrapedOnce"), LATE)


ratios = st.one_of(st.none(), st.floats(-100.0, 1e6))
steps = st.lists(st.integers(1, 4999), min_size=1, max_size=6, unique=True).map(sorted)


@st.composite
def situations(draw: st.DrawFn) -> tuple[Ramp, Ledger, Analysis | Reason, float]:
    shares = tuple(draw(steps))
    ramp = Ramp(
        shares,
        hold_seconds=draw(st.sampled_from([0.0, HOLD])),
        on_harm=draw(st.sampled_from(["rollback", "pause"])),
        on_ship=draw(st.sampled_from(["promote", "pause"])),
        least_bp=draw(st.one_of(st.none(), st.sampled_from(shares))),
        max_step_bp=draw(st.sampled_from([10_000, 5000])),
    )
    past = draw(st.lists(st.integers(0, 4999), max_size=4))
    known = ledger(split(0), *(split(each) for each in past))
    for phase in draw(st.lists(st.sampled_from(["paused", "resumed", "aborted"]), max_size=2)):
        known = said(known, phase)
    found: Analysis | Reason = Reason("scrapedOnce")
    if draw(st.booleans()):
        found = analysis(
            known,
            {"treatment": (draw(ratios), draw(ratios))},
            kind=draw(st.sampled_from(["continue", "ship", "invalid"])),
            stopped=draw(st.sampled_from([None, None, {"treatment": DEAD}])),
            polls=draw(st.integers(0, 3)),
        )
    return ramp, known, found, draw(st.sampled_from([0.0, HOLD, LATE]))


def share_of(known: Ledger) -> int:
    return known.present["treatment"] if known.present else 0


@given(situations())
@law(300)
def test_beyond_the_floor_share_times_bound_is_within_what_is_allowed(case: Any) -> None:
    """After each action on evidence that can be trusted; a step that is 100 of it is 1%."""
    ramp, known, found, now = case
    action = act(known, found, ramp, now)
    if isinstance(found, Reason) or found.verdict.kind == "invalid":
        return
    after = action.split["treatment"] if action.split else share_of(known)
    bounds = [c.worst.ratio for m in found.metrics for c in m.comparisons if c.worst]
    if action.kind == "promote" or action.done or None in bounds or after <= ramp.floor_bp:
        return
    assert after * max(bounds) <= ramp.last_bp * (1 + 1e-9) or after <= ramp.floor_bp
    assert MARGIN.value > 0


@given(situations())
@law(300)
def test_it_never_grows_without_trust_and_never_while_it_is_paused(case: Any) -> None:
    ramp, known, found, now = case
    action = act(known, found, ramp, now)
    grows = action.split is not None and action.split["treatment"] > share_of(known)
    paused = [e.phase for e in known.words][-1:] in (["paused"], ["aborted"])
    untrusted = isinstance(found, Reason) or found.verdict.kind in ("invalid", "stop")
    assert not (grows and (paused or untrusted))


@given(situations())
@law(200)
def test_harm_is_never_held_above_the_floor(case: Any) -> None:
    ramp, known, found, now = case
    action = act(known, found, ramp, now)
    harmed = not isinstance(found, Reason) and found.verdict.kind == "stop"
    if harmed and share_of(known) and not action.done:
        assert action.kind in ("rollback", "shift") or share_of(known) <= ramp.floor_bp


@given(situations(), st.floats(1.0, 100.0))
@law(200)
def test_worse_bounds_never_allow_more(case: Any, factor: float) -> None:
    ramp, known, found, now = case
    if isinstance(found, Reason):
        return
    worse = replace(
        found,
        metrics=tuple(
            replace(
                m,
                comparisons=tuple(
                    replace(c, worst=replace(c.worst, harm=_more(c.worst.harm, factor)))
                    for c in m.comparisons
                    if c.worst
                ),
            )
            for m in found.metrics
        ),
    )
    one, other = (act(known, each, ramp, now) for each in (found, worse))
    before, after = ((a.split or known.wanted)["treatment"] for a in (one, other))
    assert after <= before


def _more(harm: float | None, factor: float) -> float | None:
    return harm if harm is None else harm + (factor - 1.0) * MARGIN.value


@given(situations())
@law(100)
def test_the_same_is_always_answered_alike(case: Any) -> None:
    ramp, known, found, now = case
    assert act(known, found, ramp, now) == act(known, found, ramp, now)
