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
    "actor": "ann",
    "age_seconds": 5.0,
    "ahead_seconds": 60.0,
    "alpha": 0.05,
    "answered": {"control": 70, "": 1},
    "answered_by": "treatment",
    "answered_count": 120,
    "answers_count": 40,
    "apart_seconds": 0.1,
    "asked_count": 80,
    "assignment_unit": "user",
    "at": "2026-11-14T23:46:40Z",
    "control_value": 0.50,
    "counts_from": "2026-11-14T23:47:40Z",
    "covered_ratio": 0.596,
    "detail": "under half of the buckets have data in both variants",
    "doubtful_ratio": 0.31,
    "effect": 0.02,
    "ended": {"mlserver-treatment": "was ended by SIGKILL"},
    "epoch": 0,
    "error": "SourceError",
    "expected_count": 12_353.0,
    "expected_seconds": 540.0,
    "experiment": NAMES,
    "failed_count": 9,
    "failure": None,
    "falls_count": 2,
    "first": "treatment",
    "going": ["candidate-b"],
    "gone_count": 1,
    "header": "x-ab-variant",
    "how": "inside the model server, of every request that was randomized",
    "interval_seconds": 15.0,
    "kept_seconds": 86_400.0,
    "key": "x-user-id",
    "labels": ["exported_variant"],
    "ledger": ["control", "candidate-b"],
    "ledger_split": {"control": 0.9, "treatment": 0.1},
    "left_seconds": 40.0,
    "margin": 0.005,
    "margin_is_relative": False,
    "max_duration_seconds": 604_800.0,
    "may": ["look", "shift"],
    "may_not": {"apply": ["create/patch HTTPRoute"]},
    "method": "ratio_sequence",
    "metric": "errors",
    "min_duration_seconds": 100.0,
    "missing": [{"variant": "treatment", "selector": "ab_requests_total"}],
    "missing_seconds": 259_200.0,
    "moved_count": 3,
    "needed_count": 1_000.0,
    "needed_ratio": 0.9,
    "observed_ratio": {"control": 0.712, "treatment": 0.288},
    "p": 0.0123,
    "p_is_adjusted": False,
    "parts": ["metrics", "design"],
    "place": "http://prometheus:9090",
    "present": ["configmap/iris-envoy"],
    "reached_count": 100.0,
    "requests_count": 1_000,
    "restarts_count": 1,
    "role": "guardrail",
    "series_count": 64,
    "settle_seconds": 20.0,
    "split": {"control": 0.7, "treatment": 0.3},
    "stale_seconds": 600.0,
    "stopped": ["treatment"],
    "targets_count": 2,
    "total_count": 17_647.0,
    "treatment": "treatment",
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
    "wrong_count": 5,
}
OTHERWISE: Mapping[str, dict[str, Any]] = {
    "betterProven": {"metric": "accuracy", "role": "primary"},
    "diskFull": {"detail": "no space is left for .abctl/iris"},
    "effectUnknown": {"detail": "pods/proxy is forbidden"},
    "failed": {"detail": "nothing answers at http://prometheus:9090"},
    "keylessToControl": {"answered_by": "control"},
    "mayShipToo": {"treatment": "candidate-b", "metric": "accuracy"},
    "notYetProven": {"p": 0.08},
    "objectsMissing": {"missing": ["httproute/iris"], "unreadable": ["service/iris"]},
    "overrideHeeded": {"header": "x-variant"},
    "overrideIgnored": {"header": "x-variant"},
    "permitted": {"may_not": {}},
    "requestsFailed": {"failure": "HTTP 503"},
    "retentionEnough": {"kept_seconds": 1_296_000.0},
    "sharesOff": {"p": 1e-5},
    "sizeNotReached": {"metric": "accuracy"},
    "splitMismatch": {"requests_count": 11_000.0, "p": 1e-9, "alpha": 0.001},
    "splitNotInEffect": {"detail": "the route has not been accepted"},
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
