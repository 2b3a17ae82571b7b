"""The words of every code, by examples, as docs/reasons.md has them."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from abctl.core.reasons import WORDS, Reason, camel, facts_of

PAGE = Path(__file__).parents[2] / "docs" / "reasons.md"
START = "| code | facts | in words, for example |\n|---|---|---|\n"
NAMES = ["control", "treatment"]
FACTS: dict[str, Any] = {
    "absent_seconds": 1_800.0,
    "actor": "ann",
    "after_seconds": 86_400.0,
    "age_seconds": 5.0,
    "accepted": "bornUnknown",
    "ahead_seconds": 60.0,
    "earlier_actor": "bob",
    "earlier_at": "2026-11-15T00:46:40Z",
    "alpha": 0.05,
    "before_seconds": 1_209_600.0,
    "behind_seconds": 259_200.0,
    "cap_ratio": 0.999,
    "event": "purchase",
    "latest": "2026-11-20T12:00:00Z",
    "table": "exposures",
    "window_seconds": 604_800.0,
    "amendments_count": 2,
    "answered": {"control": 70, "": 1},
    "answered_by": "treatment",
    "answered_count": 120,
    "answers_count": 40,
    "differ_count": 118,
    "labelled_count": 80,
    "pairs_count": 2_353,
    "repeated_count": 2,
    "without_control_count": 0,
    "without_treatment_count": 12,
    "apart_seconds": 0.1,
    "asked_count": 80,
    "assignment_unit": "user",
    "at": "2026-11-14T23:46:40Z",
    "buckets_count": 7,
    "cap": 500.0,
    "cause": "severalProcesses",
    "control_count": 64,
    "clients_count": 1_000.0,
    "example": "n/a",
    "infinite_count": 1,
    "instance": "10.0.0.7:8082",
    "instance_value": 0.31,
    "owner": "Flux Kustomization shop",
    "others_count": 60_000.0,
    "others_value": 0.11,
    "rivals": [{"who": "virtualservice/site in shop", "what": "iris.example.com"}],
    "selector": "ab_requests_total",
    "target": "httproute/iris",
    "servers_count": 970.0,
    "control_ratio": 0.0,
    "control_value": 0.50,
    "counted": "requests",
    "counts_from": "2026-11-14T23:47:40Z",
    "covered_ratio": 0.596,
    "detail": ("the sums are made up by too few of the buckets, needs 10 (or half of them)"),
    "differing": "job 'models', 'pods'",
    "doubtful_ratio": 0.31,
    "edge": 10.0,
    "effect": 0.02,
    "effect_before": -0.0012,
    "direction": "lower",
    "column": "user_id",
    "values_count": 3,
    "effective_count": 9_100.0,
    "ended": {"mlserver-treatment": "was ended by SIGKILL"},
    "largest_ratio": 0.87,
    "epoch": 0,
    "epochs_count": 1,
    "error": "SourceError",
    "expected_count": 12_353.0,
    "expected_seconds": 540.0,
    "experiment": NAMES,
    "failed_count": 9,
    "slow": "treatment",
    "slow_seconds": 120.0,
    "fast": "control",
    "fast_seconds": 15.0,
    "failure": None,
    "falls_count": 2,
    "first": "treatment",
    "others_good_count": 90.0,
    "silent_seconds": 12.0,
    "view": "clients",
    "hit": True,
    "outcome": "spent",
    "refused_count": 120.0,
    "within_seconds": 450.0,
    "going": ["candidate-b"],
    "gone_count": 1,
    "header": "x-ab-variant",
    "high": 0.1,
    "highest": 63,
    "how": "inside the model server, of every request that was randomized",
    "in_effect": True,
    "interval_seconds": 15.0,
    "kept_seconds": 86_400.0,
    "key": "x-user-id",
    "label": "",
    "labels": ["exported_variant"],
    "ledger": ["control", "candidate-b"],
    "ledger_split": {"control": 0.9, "treatment": 0.1},
    "left_seconds": 40.0,
    "low": 0.05,
    "margin": 0.005,
    "margin_is_relative": False,
    "judged_through": "2026-11-23T12:00:00Z",
    "reports_count": 900.0,
    "maturity_seconds": 7200.0,
    "max_duration_seconds": 604_800.0,
    "may": ["look", "shift"],
    "may_not": {"apply": ["create/patch HTTPRoute"]},
    "method": "ratio_sequence",
    "metric": "errors",
    "min_duration_seconds": 100.0,
    "missing": [{"variant": "treatment", "selector": "ab_requests_total"}],
    "missing_seconds": 259_200.0,
    "moved_count": 3,
    "limit_ratio": 0.005,
    "lines_count": 40.0,
    "counted_count": 3_000.0,
    "lost_count": 60.0,
    "n_count": 12.0,
    "null_count": 120,
    "rows_count": 24_000,
    "text_count": 3,
    "units_count": 40.0,
    "nearest": 0.1,
    "needed_count": 1_000.0,
    "needed_ratio": 0.9,
    "observed_ratio": {"control": 0.712, "treatment": 0.288},
    "p": 0.0123,
    "p_is_adjusted": False,
    "parts": ["metrics", "design"],
    "per": "user",
    "place": "http://prometheus:9090",
    "present": ["configmap/iris-envoy"],
    "preset": "envoy",
    "problem": "more successes than trials",
    "reached_count": 100.0,
    "reason": {"code": "tooFewBucketsFilled", "facts": {"neededCount": 10}},
    "reduced_ratio": 0.68,
    "requests_count": 1_000,
    "restarts_count": 1,
    "role": "guardrail",
    "seen": {"control": 0.9, "treatment": 0.1},
    "selectors": ["n_total", "hits_total"],
    "series_count": 64,
    "settle_seconds": 20.0,
    "split": {"control": 0.7, "treatment": 0.3},
    "stale_seconds": 600.0,
    "stopped": ["treatment"],
    "targets_count": 2,
    "threshold": 0.12,
    "total_count": 17_647.0,
    "treatment": "treatment",
    "treatment_count": 16,
    "treatment_ratio": 0.2011,
    "treatment_value": 0.52,
    "unit": "share",
    "unreadable": [],
    "unsent_count": 120,
    "users_count": 200,
    "variant": "treatment",
    "variants": NAMES,
    "wanted": "control",
    "wanted_ratio": {"control": 0.7, "treatment": 0.3},
    "was_within_margin": False,
    "wrong": [{"variant": "treatment", "answeredBy": None, "failure": "HTTP 503"}],
    "why": "the margin was a typing error",
    "wrong_count": 5,
    "yates_p": 0.042,
    "budget_count": 300.0,
    "gate": "25%",
    "most_count": 312.0,
    "polls_count": 1,
    "share_ratio": 0.102,
    "worst_ratio": 4.9,
}
FEW = {"expected_count": 3.2, "needed_count": 10.0}
OTHERWISE: Mapping[str, dict[str, Any]] = {
    "segmentMismatch": {"column": "country", "value": "DE"},
    "segmentsFew": {"column": "country", "needed_count": 100.0},
    "segmentsRare": {"column": "country", "most_count": 20},
    "segmentsSeveral": {"column": "country"},
    "rampAborted": {"why": "errors in the shop"},
    "rampPaused": {"why": "a holiday"},
    "rampWaits": {"needed_count": 2},
    "labelsChanged": {"labels": ["instance", "pod_template_hash"]},
    "approximate": FEW | {"needed_count": 5.0},
    "betterProven": {"metric": "accuracy", "role": "primary"},
    "contradictory": {"detail": "more successes than trials"},
    "doubtAccepted": {"why": "these errors are of the load test before"},
    "diskFull": {"detail": "no space is left for .abctl/iris"},
    "oneInstance": {"unit": "seconds"},
    "byServers": {"preset": "abctl"},
    "effectUnknown": {"detail": "pods/proxy is forbidden"},
    "chiSquared": {"expected_count": 115.0},
    "failed": {"detail": "nothing answers at http://prometheus:9090"},
    "keylessToControl": {"answered_by": "control"},
    "mayShipToo": {"treatment": "candidate-b", "metric": "accuracy"},
    "notYetProven": {"p": 0.08},
    "notACounter": {"detail": "n_total: value -1, a counter is not negative"},
    "objectsMissing": {"missing": ["httproute/iris"], "unreadable": ["service/iris"]},
    "overrideHeeded": {"header": "x-variant"},
    "overrideIgnored": {"header": "x-variant"},
    "permitted": {"may_not": {}},
    "requestsUncountable": {"detail": "several processes answer behind one address, 10.0.0.7:8082"},
    "requestsFailed": {"failure": "HTTP 503"},
    "retentionEnough": {"kept_seconds": 1_296_000.0},
    "sharesOff": {"p": 1e-5},
    "sizeNotReached": {"metric": "accuracy"},
    "splitMismatch": {"requests_count": 11_000.0, "p": 1e-9, "alpha": 0.001},
    "splitNotInEffect": {"detail": "the route has not been accepted"},
    "methodUnknown": {"problem": "unknown method 'welsh'"},
    "directionAssumed": {"metric": "latency"},
    "missingDiffers": {"control_ratio": 0.012, "treatment_ratio": 0.084, "p": 1e-9},
    "rowsRepeated": {"rows_count": 12},
    "rowsWithoutUnit": {"rows_count": 120},
    "rowsWithoutVariant": {"rows_count": 120, "column": "model_version"},
    "tooLarge": {"detail": "sum: a value that is not a finite number"},
    "unitsMismatch": {"requests_count": 11_000.0, "p": 1e-9, "alpha": 0.001},
    "unitsMixed": {"units_count": 400.0},
    "closedDaysChanged": {"rows_count": 12, "days_count": 2, "first": "2026-11-03"},
    "unitsAroundChanges": {"units_count": 40},
    "unitsMoved": {"units_count": 400},
    "unitsOpen": {"units_count": 1_200},
    "unitsSeveral": {"units_count": 400.0},
    "unitsWrong": {"units_count": 400.0},
    "exposuresOfOthers": {"variants": ["candidate-b"], "rows_count": 120},
    "rowsBeforeStart": {"rows_count": 120},
    "rowsOfFuture": {"rows_count": 12},
    "rowsOfNobody": {"rows_count": 12},
    "rowsWithoutTime": {"rows_count": 12},
    "rowsWithoutVariantName": {"rows_count": 12},
    "eventsRepeated": {"rows_count": 12},
    "unitsMixedDiffer": {"control_ratio": 0.0005, "treatment_ratio": 0.0045, "p": 1e-6},
    "valuesMissing": {"metric": "accuracy"},
    "variantsUnknown": {"variants": ["candidate-b"], "rows_count": 120},
    "tooFewBeyondQuantile": FEW,
    "noShareDifference": {"null": 2.0},
    "harmSince": {"since": "2026-11-08T10:00:00Z"},
    "harmedLately": {"since": "2026-11-08T10:00:00Z"},
    "memoryLost": {"since": "2026-11-08T10:00:00Z"},
    "tooFewBuckets": {"needed_count": 8},
    "fewUnitsHoldAll": {"effective_count": 2.3, "needed_count": 8},
    "tooFewBucketsFilled": {"needed_count": 10},
    "tooFewEffectiveUsers": {"users_count": 3.1, "needed_count": 10.0},
    "tooFewExpected": FEW | {"needed_count": 5.0},
    "tooFewPolls": {"needed_count": 16},
    "tooFewUnitsExpected": FEW,
    "tooFewValues": {"needed_count": 30},
    "tooFewValuesForNormal": {"needed_count": 100},
    "collectorNotReady": {"detail": "deployment/iris-collector: not Available (no volume)"},
    "contested": {"unread": []},
    "uncontested": {"unread": ["listing configmaps is forbidden"]},
    "variantNotReady": {"detail": "deployment/iris-v2: not Available (too few pods)"},
    "variantUnknown": {"variant": "stranger"},
    "variantsDiffer": {"detail": "the file is of a and b, the ledger of a and c"},
}


def example(code: str, **facts: Any) -> Reason:
    given = FACTS | OTHERWISE.get(code, {}) | facts
    return Reason(code, {name: given[name] for name in facts_of(code)})


def rows() -> Iterator[str]:
    for code in WORDS:
        facts = ", ".join(f"`{camel(name)}`" for name in facts_of(code))
        yield f"| `{code}` | {facts} | {example(code).text} |\n"


def test_the_page_has_every_code_with_its_facts_and_words() -> None:
    before, start, _ = PAGE.read_text(encoding="utf-8").partition(START)
    assert start
    expected = before + start + "".join(rows())
    if os.environ.get("ABCTL_GOLDEN") == "write":
        PAGE.write_text(expected, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == expected


class Read(dict[str, Any]):
    """Facts that know which of them were read."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__(facts)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


@pytest.mark.parametrize("code", WORDS)
def test_the_words_of_a_code_use_facts_that_it_has(code: str) -> None:
    facts = Read(example(code).facts)
    text = Reason(code, facts).text
    assert facts.read <= set(facts_of(code))
    assert text
    assert text == text.strip()
    assert not set("{}\n") & set(text)
    assert "None" not in text
    document = example(code).document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document


@pytest.mark.parametrize(
    ("code", "facts", "text"),
    [
        (
            "harmProven",
            {"margin": None, "margin_is_relative": None, "role": "primary", "metric": "accuracy"},
            "primary accuracy of treatment is worse: +2.00pp (50.00% to 52.00%, p = 0.012)",
        ),
        (
            "harmProven",
            {"was_within_margin": True, "p_is_adjusted": True},
            (
                "guardrail errors of treatment is worse than its margin of +0.50pp: "
                "+2.00pp (50.00% to 52.00%, p = 0.012 by Holm); "
                "another look proved it within the margin: cold starts, bursts?"
            ),
        ),
        (
            "notYetProven",
            {"margin": None, "margin_is_relative": None, "role": "primary", "p": 0.08},
            (
                "primary errors of treatment: not proven better yet: +2.00pp (50.00% to 52.00%, "
                "p = 0.08, must be 0.05 or less)"
            ),
        ),
        (
            "sizeNotReached",
            {"expected_seconds": None},
            "accuracy: 100 in the smaller variant, about 1,000 needed to find its mde",
        ),
        (
            "clocksApart",
            {"ahead_seconds": -60.0},
            (
                "the clock of the evidence is 1 min behind that of the ledger: changes of the "
                "split are misplaced; use NTP on both, and start anew"
            ),
        ),
        (
            "requestsFailed",
            {"unsent_count": 0, "answered": {}},
            "9 of 80 requests failed (HTTP 503); none answered",
        ),
        (
            "keylessElsewhere",
            {"answered_by": None, "failure": "HTTP 503"},
            "a request without x-user-id was answered by no variant (HTTP 503)",
        ),
        (
            "keylessElsewhere",
            {"answered_by": None, "failure": ""},
            "a request without x-user-id was answered by no variant in time",
        ),
        (
            "keylessElsewhere",
            {"answered_by": None},
            "a request without x-user-id was answered by an unknown variant",
        ),
        ("notPermitted", {"may": []}, "you may not apply (create/patch HTTPRoute)"),
        (
            "splitSetElsewhere",
            {"ledger_split": None},
            "control 70%, treatment 30% was set without abctl, the ledger has none",
        ),
    ],
)
def test_words_that_depend_on_the_facts(code: str, facts: dict[str, Any], text: str) -> None:
    assert example(code, **facts).text == text
