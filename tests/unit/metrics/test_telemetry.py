"""Which selectors stand for a metric."""

import dataclasses

import pytest

from abctl.core.experiment import PARTS, Kind, Metric
from abctl.core.selector import Selector
from abctl.errors import SourceError
from abctl.metrics import presets
from abctl.metrics.queries import MetricQueries

ACCURACY = Metric("quality", "primary", "proportion", "accuracy", "increase")
LATENCY = dataclasses.replace(ACCURACY, of="latency", kind="quantile", quantile=0.95)
ERRORS = dataclasses.replace(ACCURACY, of="errors")


def telemetry(name: str) -> MetricQueries:
    same = {"experiment": ("iris",), "namespace": ("models",), "model": ("iris",)}
    names = {v: {"variant": (v,), "upstream": (f"up-{v}",), **same} for v in ("a", "b")}
    return MetricQueries(name, presets.preset(name), names)


ABCTL = telemetry("abctl")
_OF_GRPC = "envoy_cluster_grpc_"


def test_what_a_client_did_wrong_counts_neither_as_error_nor_as_request() -> None:
    errors = ABCTL.parts(ERRORS, "a")
    assert 'code="5xx"' in errors["successes"]
    counted = Selector.parse(errors["n"])
    labels = {"__name__": "ab_requests_total", "variant": "a", "bucket": "3"}
    assert [counted.matches({**labels, "code": f"{c}xx"}) for c in (2, 4, 5)] == [True, False, True]


@pytest.mark.parametrize("of", ["latency", "errors", "revenue"])
def test_requests_outside_of_the_experiment_are_in_no_metric(of: str) -> None:
    for kind in PARTS:
        metric = dataclasses.replace(ACCURACY, of=of, kind=kind, over="orders")
        for selector in ABCTL.parts(metric, "a").values() if ABCTL.measures(metric) else ():
            assert 'bucket!="none"' in selector or "ab_request_duration" in selector


def test_labels_of_another_experiment_keep_its_counters_out() -> None:
    counted = Selector.parse(ABCTL.requests("a"))
    labels = {"__name__": "ab_requests_total", "variant": "a", "bucket": "3"}
    assert counted.matches(labels)  # a local stack has but one experiment
    assert counted.matches({**labels, "experiment": "iris", "namespace": "models"})
    assert not counted.matches({**labels, "experiment": "rose"})
    assert not counted.matches({**labels, "experiment": "iris", "namespace": "others"})


def test_own_selectors_replace_the_preset_whole() -> None:
    mine = {"n": 'n{v="$variant",x="$experiment"}', "successes": 's{v="$variant",o="$outcome"}'}
    own = dataclasses.replace(ACCURACY, selectors=mine)
    expected = {"n": 'n{v="a",x="iris"}', "successes": 's{v="a",o="accuracy"}'}
    assert ABCTL.parts(own, "a") == expected
    assert list(ABCTL.remarks(own)) == []
    assert ABCTL.late(own) == frozenset()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"selectors": {"n": "n", "successes": "s"}}, "the same for all variants"),
        ({"selectors": {"m": 'n{v="$variant"}'}}, "no part 'm'"),
        ({"selectors": {"n": 'n{v="$variant"}'}}, "nothing selects 'successes'"),
        ({"selectors": {"n": 'n{v="$variant",a="$b"}', "successes": 's{v="$variant"}'}}, "metric "),
        ({"kind": "quantile"}, "nothing selects 'histogram' of accuracy as quantile in preset"),
    ],
)
def test_a_metric_that_nothing_selects_is_an_error(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        ABCTL.parts(dataclasses.replace(ACCURACY, **changes), "a")


@pytest.mark.parametrize(
    ("preset", "metric", "hint"),
    [
        ("istio", dataclasses.replace(LATENCY, kind="mean"), "istio has latency as kind quantile"),
        ("seldon2", LATENCY, "seldon2 has errors; else give it selectors: {histogram"),
        ("envoy", ACCURACY, "envoy has errors and latency; else give it selectors: {n: "),
    ],
)
def test_what_a_preset_does_not_have_is_told_with_what_it_has(
    preset: str, metric: Metric, hint: str
) -> None:
    with pytest.raises(SourceError) as caught:
        telemetry(preset).parts(metric, "a")
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("name", presets.names())
def test_errors_that_are_no_series_yet_are_zeros_where_that_is_known(name: str) -> None:
    late = telemetry(name).late(ERRORS)
    assert late == (frozenset() if name in ("abctl", "access-log") else {"successes", "events"})
    assert telemetry(name).late(LATENCY) == frozenset()


@pytest.mark.parametrize("name", presets.names())
def test_users_need_buckets_to_be_compared(name: str) -> None:
    asked = telemetry(name)
    asked.require_units(ERRORS, "request")
    asked.require_units(LATENCY, "user")  # by request, and a remark says so
    own = dataclasses.replace(ERRORS, selectors={"n": "x", "successes": "y"})
    asked.require_units(own, "user")
    if name in ("abctl", "access-log"):
        asked.require_units(ERRORS, "user")
        return
    with pytest.raises(SourceError, match=f"preset {name} does not tell one user from another"):
        asked.require_units(ERRORS, "user")


@pytest.mark.parametrize("name", presets.names())
def test_latency_is_carried_in_seconds(name: str) -> None:
    asked = telemetry(name)
    if not asked.measures(LATENCY):
        return
    (selector,) = asked.parts(LATENCY, "a").values()
    unit = 1.0 if "seconds" in selector.replace("milliseconds", "") else 0.001
    assert asked.unit_seconds(LATENCY) == unit
    assert asked.unit_seconds(ERRORS) == 1.0
    own = dataclasses.replace(LATENCY, selectors={"histogram": "x"}, unit_seconds=0.5)
    assert asked.unit_seconds(own) == 0.5


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(SourceError, match="no 'nope'") as caught:
        presets.preset("nope")
    assert "abctl, access-log, envoy" in caught.value.hint


@pytest.mark.parametrize("kind", PARTS)
def test_the_parts_of_a_kind_are_all_there_or_none(kind: Kind) -> None:
    for name in presets.names():
        preset = presets.preset(name)
        for kinds in (*preset.named.values(), preset.outcome):
            assert set(PARTS[kind]) <= set(kinds.get(kind, PARTS[kind]))


@pytest.mark.parametrize("of", ["errors", "latency"])
def test_what_is_said_of_the_server_is_its_own_counters(of: str) -> None:
    plain = dataclasses.replace(ERRORS, of=of, kind="quantile" if of == "latency" else "proportion")
    inside = dataclasses.replace(plain, of=f"server_{of}")
    assert ABCTL.parts(inside, "a") == ABCTL.parts(plain, "a")
    assert ABCTL.unit_seconds(inside) == ABCTL.unit_seconds(plain)
    with pytest.raises(SourceError, match=f"server_{of}"):
        telemetry("envoy").parts(inside, "a")


@pytest.mark.parametrize("kind", ["good", "refused", "failed"])
@pytest.mark.parametrize("name", [n for n in presets.names() if presets.preset(n).answers])
def test_every_answer_is_of_one_class(name: str, kind: str) -> None:
    code = {"good": "200", "refused": "404", "failed": "503"}[kind]
    labels = {
        "code": f"{code[0]}xx" if name in ("abctl", "access-log", "nginx") else code,
        "envoy_response_code_class": code[0],
        "response_code": code,
        "http_response_status_code": code,
        "grpc_response_status": "",
    }
    found = telemetry(name).answers("a")
    assert {each for each in found if each != "unanswered" and _any(found[each], labels)} == {kind}


@pytest.mark.parametrize("status", range(17))
def test_every_status_of_grpc_is_of_one_class_where_each_has_a_counter(status: int) -> None:
    names = {
        kind: {Selector.parse(each).name for each in selectors}
        for kind, selectors in telemetry("envoy").answers("a").items()
    }
    refused = (1, 3, 5, 6, 7, 9, 11, 16)
    kind = "good" if status == 0 else "refused" if status in refused else "failed"
    found = [each for each, of in names.items() if f"{_OF_GRPC}{status}" in of]
    assert found == ([kind, "unanswered"] if status == 14 else [kind])


def _any(selectors: tuple[str, ...], labels: dict[str, str]) -> bool:
    """Whether one of them fits, as far as it asks for these labels; not of those of gRPC alone."""
    parsed = [Selector.parse(s) for s in selectors if not s.startswith(_OF_GRPC)]
    asked = (tuple(m for m in each.matchers if m[0] in labels) for each in parsed)
    return any(Selector("x", each).matches({"__name__": "x", **labels}) for each in asked)


def test_every_proxy_tells_answers_apart() -> None:
    proxies = {name for name in presets.names() if presets.preset(name).proxy}
    assert proxies >= {"envoy", "envoy-gateway", "istio", "nginx", "knative", "seldon", "seldon2"}
    assert all(presets.preset(name).answers for name in proxies)
