"""The page opens as HTML has to be, whatever is in it, and shows what the analysis says."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from analyses import analyses
from hypothesis import given
from laws import law
from pages import parsed, require_sound, said, values

from abctl.analysis.history import Counted, History, Latencies, history
from abctl.analysis.judge import judge
from abctl.core.analysis import Analysis, Verdict
from abctl.core.ledger import Entry, Ledger
from abctl.core.reasons import Reason
from abctl.core.split import TOTAL_BP, Split
from abctl.evidence import saved
from abctl.forms.document import document
from abctl.report.page.page import LOOKS, page
from abctl.stats.estimate import Estimate

SAVED = Path(__file__).parents[2] / "golden" / "saved_evidence.json.gz"
EVIL = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "\u202eevil\u2066 \x1b[31m\x00",
    "<!-- <script> ]]> &lt;svg onload=alert(1)>",
    "javascript:alert(1)",
]


@pytest.fixture(scope="module")
def kept() -> tuple[Analysis, History]:
    evidence = saved.load(SAVED)
    found = judge(evidence, looks=LOOKS)
    return found, history(evidence, found)


@pytest.mark.slow
def test_a_page_is_sound_and_has_every_value(kept: tuple[Analysis, History]) -> None:
    found, happened = kept
    root = parsed(page(found, happened, "abctl promote iris.yaml"))
    require_sound(root)
    assert values(root)["analysis"] == json.loads(json.dumps(document(found)))
    assert [each["why"] for each in values(root)["ledger"]] == ["start", "ö: why not?"]
    text = said(root)
    for reason in (*found.verdict.reasons, *found.notes):
        assert reason.text in text
    for metric in found.metrics:
        for selectors in metric.selectors.values():
            assert all(each in text for each in selectors.values())
    assert "abctl promote iris.yaml" in text
    pictures = [str(svg.get("aria-labelledby")).split("-t")[0] for svg in root.iter("svg")]
    effects = [f"effect-{i}" for i in range(len(found.metrics))]
    assert pictures == [*effects, "split", "traffic", "latency"]


def drawn(root: Element, name: str, class_: str) -> list[Element]:
    (svg,) = [e for e in root.iter("svg") if e.get("aria-labelledby") == f"{name}-t {name}-d"]
    return [each for each in svg.iter() if class_ in str(each.get("class")).split()]


def places(element: Element) -> list[tuple[float, float]]:
    found = [tuple(map(float, each.split(","))) for each in str(element.get("points")).split()]
    return [(x, y) for x, y in found]


def test_the_picture_has_each_look_margin_and_mde_where_they_belong(
    kept: tuple[Analysis, History],
) -> None:
    found, happened = kept
    root = parsed(page(found, happened))
    at = [metric.name for metric in found.metrics].index("accuracy")
    metric, (comparison,) = found.metrics[at], found.metrics[at].comparisons
    assert comparison.path is not None
    assert metric.mde is not None
    line = places(drawn(root, f"effect-{at}", "line")[0])
    assert len(line) == len(comparison.path)
    zero, mde = (float(str(drawn(root, f"effect-{at}", c)[0].get("y1"))) for c in ("zero", "mde"))
    pixels_per_unit = (zero - mde) / metric.mde.value
    for (_, y), look in zip(line, comparison.path, strict=True):
        assert zero - y == pytest.approx(look.effect * pixels_per_unit, abs=0.2)
    latency = [metric.name for metric in found.metrics].index("latency")
    assert drawn(root, f"effect-{latency}", "margin")
    low, high = comparison.path[-1].interval
    ends = [y for x, y in places(drawn(root, f"effect-{at}", "band")[0]) if x == line[-1][0]]
    assert zero - max(ends) == pytest.approx(low * pixels_per_unit, abs=0.2)
    assert zero - min(ends) == pytest.approx(high * pixels_per_unit, abs=0.2)


def test_two_variants_and_three_metrics_take_under_200_kb(
    kept: tuple[Analysis, History],
) -> None:
    found, happened = kept
    text = page(replace(found, metrics=found.metrics[:3]), happened)
    assert len(text.encode()) < 200_000


def many(found: Analysis) -> Analysis:
    """The same with twenty variants."""
    names = ["control", *(f"candidate-{i}" for i in range(19))]
    split = Split(tuple(names), (TOTAL_BP - 19 * 500, *[500] * 19))
    of = found.variants[1]
    metrics = [
        replace(
            each, comparisons=tuple(replace(each.comparisons[0], treatment=n) for n in names[1:])
        )
        for each in found.metrics
    ]
    return replace(
        found,
        metrics=tuple(metrics),
        variants=(found.variants[0], *(replace(of, name=name) for name in names[1:])),
        epochs=tuple(replace(each, split=split) for each in found.epochs),
    )


@pytest.mark.slow
def test_twenty_variants_have_a_sound_page(kept: tuple[Analysis, History]) -> None:
    found, happened = kept
    traffic = tuple(replace(e, requests=(e.requests[0], *[7.0] * 19)) for e in happened.traffic)
    latencies = tuple(
        Latencies(v.name, happened.latencies[0].up_to, 100.0) for v in many(found).variants
    )
    happened = replace(happened, traffic=traffic, latencies=latencies)
    root = parsed(page(many(found), happened))
    require_sound(root)
    assert len([*root.iter("svg")]) == 19 * len(found.metrics) + 3


def test_an_experiment_without_evidence_has_a_page() -> None:
    evidence = replace(saved.load(SAVED), samples=None, recent=None)
    began = evidence.ledger.entries[0]
    waiting = Ledger(evidence.ledger.plan, (replace(began, at=evidence.now - 0.5),))
    nothing = replace(evidence, ledger=waiting)
    found = judge(nothing, looks=LOOKS)
    root = parsed(page(found, history(nothing, found)))
    require_sound(root)
    assert not [*root.iter("svg")]
    assert "no picture" in said(root)


def test_what_is_invalid_says_why(kept: tuple[Analysis, History]) -> None:
    found, happened = kept
    why = Reason("otherVariants", {"ledger": ["a"], "experiment": ["b"]})
    root = parsed(page(replace(found, verdict=Verdict("invalid", None, (why,))), happened))
    require_sound(root)
    (first,) = [each for each in root.iter("section") if each.get("id") == "verdict"]
    assert said(first).startswith("INVALID")
    assert why.text in said(first)


def everywhere(found: Analysis, evil: str) -> Analysis:
    """The analysis with a text of somebody else wherever there can be one."""
    a, b = found.variants
    names = (f"a{evil}", f"b{evil}")
    selectors = {name: {evil: evil} for name in names}
    splits = Split(names, (5_000, 5_000))
    metrics = [
        replace(
            each,
            name=f"{each.name}{evil}",
            selectors=selectors,
            comparisons=tuple(
                replace(
                    c,
                    treatment=names[1],
                    effect=replace(c.effect, assumptions=(evil,))
                    if isinstance(c.effect, Estimate)
                    else c.effect,
                )
                for c in each.comparisons
            ),
        )
        for each in found.metrics
    ]
    values = {each.name: 1.0 for each in metrics}
    why = Reason("otherVariants", {"ledger": [evil], "experiment": [evil]})
    return replace(
        found,
        experiment=evil,
        source=evil,
        metrics=tuple(metrics),
        variants=(
            replace(a, name=names[0], values=values),
            replace(b, name=names[1], values=values),
        ),
        epochs=tuple(replace(each, split=splits) for each in found.epochs),
        remarks={"latency": evil},
        notes=(why,),
        verdict=Verdict("stop", names[1], (why,), (Verdict("stop", names[1], (why,)),) * 2),
    )


@pytest.mark.slow
@pytest.mark.parametrize("evil", EVIL)
def test_foreign_text_is_never_markup(evil: str, kept: tuple[Analysis, History]) -> None:
    found, happened = kept
    half = Split((f"a{evil}", f"b{evil}"), (5_000, 5_000))
    entry = Entry(0.0, evil, half, half, evil, "amended", user=evil, parts=(evil,))
    told = replace(
        happened,
        entries=(entry,),
        plan=json.dumps({"format": 2, "spec": {"name": evil}}),
        latencies=tuple(replace(e, variant=f"a{evil}") for e in happened.latencies[:1]),
    )
    text = page(everywhere(found, evil), told, f"abctl rollback {evil}")
    root = parsed(text)
    require_sound(root)
    assert values(root)["ledger"][0]["why"] == evil
    assert not set(text) & set("\x00\x1b\u202e\u2066")
    plain = parsed(page(found, happened))
    tags = {each.tag for each in plain.iter() if isinstance(each.tag, str)}
    assert {each.tag for each in root.iter() if isinstance(each.tag, str)} <= tags | {"b", "code"}


@law(10)
@given(found=analyses())
def test_any_analysis_has_a_sound_page(found: Analysis) -> None:
    later = (replace(each, start=each.start + 1.0, end=each.end + 1.0) for each in found.epochs)
    found = replace(found, epochs=tuple(later))
    require_sound(parsed(page(found, History())))


def test_shares_of_traffic_are_of_all_variants() -> None:
    assert Counted(0.0, 1.0, (0.0, 0.0)).shares == ()
    assert sum(Counted(0.0, 1.0, (3.0, 1.0, 4.0)).shares) == pytest.approx(1.0)


def test_history_counts_what_the_analysis_counts(kept: tuple[Analysis, History]) -> None:
    found, happened = kept
    of: list[Any] = [sum(e.requests[i] for e in happened.traffic) for i in range(2)]
    assert of == [variant.requests for variant in found.variants]
    assert all(len(happened.traffic) <= 100 and e.end > e.start for e in happened.traffic)
    for each, variant in zip(happened.latencies, found.variants, strict=True):
        edges, shares = zip(*each.up_to, strict=True)
        assert list(edges) == sorted(edges)
        assert list(shares) == sorted(shares)
        median = variant.latency_p50_seconds
        assert median is not None
        below = max(s for edge, s in each.up_to if edge <= max(median, edges[0]))
        assert below <= 0.5 or edges[0] >= median
