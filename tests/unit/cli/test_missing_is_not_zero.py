"""What is missing is told in words by `abctl analyze`; it is never a zero, never a traceback."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from abctl.cli.main import run

METRICS = """\
  metrics:
    - {name: accuracy, role: primary, kind: proportion, of: accuracy, direction: increase, mde: 5pp}
    - {name: errors, role: guardrail, kind: proportion, of: errors, direction: decrease,
       margin: 5pp}
    - {name: latency, role: guardrail, kind: quantile, quantile: 0.5, of: latency,
       direction: decrease, margin: 20%}
  design: {minDuration: 30s, maxDuration: 1d, settle: 1s}
"""
SECONDS = 60

Line = tuple[str, object]
Change = Callable[[int, str, str, float], Line | None]


def page(variant: str, second: int) -> Iterator[tuple[str, float]]:
    """The counters of a variant after some seconds."""
    for bucket in range(8):
        n = 20 * second + (bucket * second) % 7
        mine = f'variant="{variant}",bucket="{bucket}"'
        yield f'ab_requests_total{{{mine},code="2xx"}}', n
        yield f'ab_requests_total{{{mine},code="5xx"}}', second // 20
        yield f'ab_outcome_count_total{{{mine},outcome="accuracy"}}', n
        yield f'ab_outcome_sum_total{{{mine},outcome="accuracy",sign="positive"}}', n * 3 // 4
    for le, share in (("0.001", 0.7), ("0.01", 0.9), ("+Inf", 1.0)):
        name = f'ab_request_duration_seconds_bucket{{variant="{variant}",le="{le}"}}'
        yield name, int(170 * second * share)


def as_it_is(_: int, __: str, name: str, value: float) -> Line:
    return name, value


def only(change: Callable[[str, float], Line | None], *where: str) -> Change:
    """A change of the lines whose names hold all of some texts."""

    def changed(_: int, __: str, name: str, value: float) -> Line | None:
        return change(name, value) if all(text in name for text in where) else (name, value)

    return changed


def gone(_: str, __: float) -> None:
    return None


def zero(name: str, _: float) -> Line:
    return name, 0


def renamed(text: str, other: str) -> Callable[[str, float], Line]:
    return lambda name, value: (name.replace(text, other), value)


def at(second: int, value: object) -> Change:
    return lambda i, variant, name, was: (name, value if i == second else was)


@dataclass(frozen=True)
class Case:
    """What is wrong, and what is said of it.

    Attributes:
        code: of the exit with `--exit-code`.
        says: each of these is in the answer.
        change: of the lines of the pages.
        seconds: whose pages there are.
        edit: what is replaced in the experiment file after the start.
        started: how many seconds ago.
        jobs: that scrape each target.
    """

    code: int
    says: tuple[str, ...]
    change: Change = as_it_is
    seconds: range = range(SECONDS + 6)
    edit: tuple[str, str] = ("", "")
    started: float = SECONDS
    jobs: tuple[str, ...] = ("scrape",)


CASES: Mapping[str, Case] = {
    "nothing is missing": Case(10, ("primary accuracy of treatment: not proven better yet",)),
    "no traffic": Case(
        10,
        (
            "accuracy of treatment: not estimable yet: control has no feedback of accuracy since",
            "only those count",
            "split: not checked, no traffic that counts",
        ),
        only(zero),
    ),
    "no traffic in one variant": Case(
        12,
        (
            "does not follow the split",
            "treatment has no requests since",
            "only those count",
        ),
        only(zero, '"treatment"'),
    ),
    "a variant without series": Case(
        12,
        (
            "treatment: has a share, but the source has no request counters of it",
            "split: not checked, the source has no request counters of treatment",
        ),
        only(gone, '"treatment"'),
    ),
    "no series at all": Case(
        6, ("has no sample of ab_requests_total{", "do they call the variants by"), only(gone)
    ),
    "other names of both variants": Case(
        6,
        ("has no sample of ab_requests_total{", "do they call the variants by these names?"),
        only(renamed('variant="', 'variant="x-')),
    ),
    "another name of one variant": Case(
        12,
        ("treatment: has a share, but the source has no request counters of it",),
        only(renamed('"treatment"', '"v2"')),
    ),
    "another name in the file": Case(
        12,
        (
            "variants: differ from the plan that was locked",
            "the ledger is of control and treatment, the experiment of control and candidate",
        ),
        edit=("name: treatment", "name: candidate"),
    ),
    "NaN": Case(
        12, ("its requests cannot be counted", "value nan, a counter is finite"), at(40, "NaN")
    ),
    "infinity": Case(12, ("value inf, a counter is finite",), at(40, "+Inf")),
    "less than nothing": Case(12, ("value -1, a counter is finite and not negative",), at(40, -1)),
    "no number": Case(10, ("not proven better yet",), at(40, "seven")),
    "an outcome that nobody has reported": Case(
        10,
        (
            "accuracy of treatment: not estimable yet: control has no feedback of accuracy since",
            "only those count",
        ),
        only(zero, "outcome"),
    ),
    "an outcome that nobody counts": Case(
        10,
        ("has no series of ab_outcome_count_total{", "none was counted yet, or the names differ"),
        only(gone, "outcome"),
    ),
    "an outcome that only one variant has": Case(
        10,
        ('has no series of ab_outcome_count_total{variant="treatment"',),
        only(gone, "outcome", "treatment"),
    ),
    "an outcome that was reported of one variant only": Case(
        10,
        ("treatment has no feedback of accuracy since", "only those count"),
        only(zero, "outcome", "treatment"),
    ),
    "gaps": Case(
        12,
        ("control: scrapes cover", "of the time, must be 90%"),
        seconds=range(0, SECONDS + 6, 1)[:20],
    ),
    "samples of the last half only": Case(
        12,
        ("of the time, must be 90%", "control: the first ", "keep less than"),
        seconds=range(SECONDS // 2 + 5, SECONDS + 6),
    ),
    "one sample": Case(
        10,
        ("were counted before the first scrape, at an unknown time",),
        seconds=range(SECONDS, SECONDS + 1),
    ),
    "stale": Case(
        12,
        ("last scraped", "ago, so the evidence is stale"),
        seconds=range(SECONDS + 6),
        started=SECONDS + 240,
    ),
    "more successes than trials": Case(
        10,
        ("contradict each other: more successes than trials", "both must be counted by the same"),
        only(lambda name, value: (name, 2 * value), "sum_total"),
    ),
    "a histogram that falls": Case(
        10,
        ("a bucket holds less than the one below it",),
        only(lambda name, value: (name, 2 * value), 'le="0.001"'),
    ),
    "a histogram without an end": Case(
        10, ('a histogram needs le="+Inf" and at least one finite',), only(gone, 'le="+Inf"')
    ),
    "two series where one was meant": Case(
        12, ("control is scraped twice", "let only one job scrape it"), jobs=("a", "b")
    ),
    "buckets of another number": Case(
        10,
        ("bucket='8', must be 0 to 7", "the variance between users is not known"),
        only(renamed('bucket="7"', 'bucket="8"')),
    ),
    "no buckets": Case(
        10, ("bucket='', must be 0 to 7",), only(renamed('bucket="7"', 'bucket=""'))
    ),
    "it has just begun": Case(10, ("nothing counts yet: requests count from",), started=0.5),
}


@pytest.fixture
def arrange(start_experiment: Callable[..., None]) -> Callable[[Case], None]:
    """Makes the experiment as it started, the pages, and the file as it is now."""

    def arranged(case: Case) -> None:
        now = time.time()
        start_experiment(METRICS, now - case.started, edits=[("buckets: 16", "buckets: 8")])
        # Pages end with now, unless the experiment is older than they are.
        write_pages(case, now - max(SECONDS, case.started) - 5)
        file = Path("iris.yaml")
        file.write_text(file.read_text().replace(*case.edit))

    return arranged


def write_pages(case: Case, begin: float) -> None:
    with Path("pages.jsonl").open("w") as file:
        for second in case.seconds:
            for variant in ("control", "treatment"):
                lines = [
                    f"{line[0]} {line[1]}"
                    for name, value in page(variant, second)
                    if (line := case.change(second, variant, name, value))
                ]
                for job in case.jobs:
                    target = {"at": begin + second, "job": job, "instance": variant}
                    file.write(json.dumps(target | {"samples": lines}) + "\n")


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_is_missing_is_told(
    case: Case, arrange: Callable[[Case], None], capsys: pytest.CaptureFixture[str]
) -> None:
    arrange(case)
    code = run(["analyze", "iris.yaml", "--state", "state", "--exit-code"])
    out, err = capsys.readouterr()
    assert code == case.code, out + err
    said = " ".join((out + err).split())
    for text in case.says:
        assert text in said
    assert err.startswith("error: " if code == 6 else "hint: ")
    assert (out == "") == (code == 6)
    if code != 6:
        assert run(["analyze", "iris.yaml", "--state", "state", "-o", "json"]) == 0
        check(json.loads(capsys.readouterr().out))


def check(found: dict[str, Any]) -> None:
    """No number stands for something that is not known."""
    for variant in found["variants"]:
        if not variant["requests"]:
            assert variant["errorRatio"] is None
            assert variant["latencyP95Seconds"] is None or variant["requests"] == 0
    for metric in found["metrics"]:
        for comparison in metric["comparisons"]:
            if "reason" in comparison["effect"]:
                assert comparison["effect"]["reason"]
                assert not any(claim["proven"] for claim in comparison["claims"])
