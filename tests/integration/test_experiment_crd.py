"""The CRD of experiment files on a real API server: what it takes, and what it refuses and why."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from abctl import plugins
from abctl.core.outcome import MEASURED
from abctl.errors import SpecError
from abctl.spec import crd, load, parse
from abctl.spec.init import starter

pytestmark = pytest.mark.process
ROOT = Path(__file__).parents[2]
NAME = "experiments.abctl.dev"
PLATFORMS = plugins.names("abctl.platforms")
OUTCOME = {"name": "sale", "kind": "binary", "maturity": "2h"}
RETURN = {"kind": "return", "after": "1h"}
OF_SALE = {"name": "sales", "role": "secondary", "of": "sale", "direction": "increase"}
Edit = Callable[[dict[str, Any]], Any]


def metric(i: int, **changes: Any) -> Edit:
    return lambda spec: spec["metrics"][i].update(changes)


def without(i: int, key: str) -> Edit:
    return lambda spec: spec["metrics"][i].pop(key)


def prometheus(**options: Any) -> Edit:
    return lambda spec: spec.update(source={"prometheus": options})


def outcome(measured: dict[str, Any] | None = None, **changes: Any) -> Edit:
    def edit(spec: dict[str, Any]) -> None:
        spec["outcomes"] = [OUTCOME | changes]
        spec["metrics"] += [OF_SALE | measured] if measured else []

    return edit


def cohorts(*rules: dict[str, Any]) -> Edit:
    return lambda spec: spec["assignment"].update(cohorts=list(rules))


def of(part: str, **changes: Any) -> Edit:
    return lambda spec: spec[part].update(changes)


def variant(i: int, **changes: Any) -> Edit:
    return lambda spec: spec["variants"][i].update(changes)


def shadow(**changes: Any) -> Edit:
    made = {"name": "next", "model": {"name": "iris", "version": "v3", "image": "a/b"}}
    return lambda spec: spec.update(shadow=made | changes)


def labelled(what: str, key: str) -> Edit:
    return lambda spec: spec.update(template={"metadata": {what: {key: "x"}}})


def tables(spec: dict[str, Any], **more: Any) -> None:
    """Metrics of tables: rates, ratios and sums of events that nobody declares."""
    rows = {"from": "SELECT * FROM events", "unit": "user_id", "at": "ts"}
    seen = {**rows, "variant": "variant"}
    spec["source"] = {"table": {"exposures": seen, "events": {**rows, "name": "name"}, **more}}
    given = {"kind": "mean", "per": "user", "window": "7d", "before": "14d", "cap": "99.9%"}
    spec["metrics"][0] |= {**given, "of": "sale", "mde": "2%"}
    of = {"role": "secondary", "direction": "increase", "window": "1d", "of": "sale"}
    spec["metrics"] += [
        {**of, "name": "rate", "kind": "rate", "per": "user", "cap": 12.5},
        {**of, "name": "ratio", "kind": "ratio", "over": "visit"},
    ]


TEMPLATE = {
    "replicas": 2,
    "metadata": {"labels": {"example.com/team": "x"}, "annotations": {"cost": "7"}},
    "spec": {
        "terminationGracePeriodSeconds": 60,
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "containers": [{"name": "mlserver", "resources": {"limits": {"nvidia.com/gpu": 1}}}],
    },
}
URL = "http://prometheus:9090"
TO_BETA = {"header": "x-cohort", "value": "beta"}
# What is wrong, and what the API server says of it; the metrics of the starter are accuracy
# (primary, a proportion), errors (a guardrail) and latency (a guardrail, a quantile).
BAD: list[tuple[str, Edit]] = [
    ("must make 100%", variant(1, split="11%")),
    ("must make 100%", variant(1, split="10.01%")),
    ("the name of each variant", variant(1, name="control")),
    ("the first variant is the control", lambda spec: spec["variants"].reverse()),
    ("names of experiment and variant together", variant(1, name="t" * 60)),
    ("the name of each metric", metric(1, name="accuracy")),
    ("at least one metric must be primary", metric(0, role="secondary")),
    ("a guardrail needs a margin", without(1, "margin")),
    ("only a guardrail takes a margin", metric(0, margin="1pp")),
    ("a guardrail takes no mde", metric(1, mde="1pp")),
    ("kind quantile needs a quantile", without(2, "quantile")),
    ("only kind quantile takes a quantile", metric(0, quantile=0.5)),
    ("timeUnit is only for selectors", metric(2, timeUnit="ms")),
    ("mde: must be above 0", metric(0, mde="0pp")),
    ("margin: must be above 0", metric(1, margin="0.0%")),
    ("mde: points are for proportions", metric(0, kind="mean")),
    ("margin: points are for proportions", metric(2, margin="1pp")),
    ("key: needed", lambda spec: spec["assignment"].pop("key")),
    ("salt: needed", lambda spec: spec["assignment"].pop("salt")),
    ("exactly one of variant and split", cohorts(TO_BETA)),
    ("exactly one of variant and split", cohorts(TO_BETA | {"variant": "control", "split": "1/9"})),
    ("no such variant", cohorts(TO_BETA | {"variant": "other"})),
    ("can have one rule only", cohorts(*[TO_BETA | {"variant": "treatment"}] * 2)),
    ("a shadow is not a variant", shadow(name="treatment")),
    ("whole percents above 0", shadow(share="0.5%")),
    ("whole percents above 0", shadow(share=0)),
    ("settle: at most minDuration", of("design", settle="8d")),
    ("minDuration: at most maxDuration", of("design", minDuration="15d")),
    ("exactly one of prometheus, scrape and file", lambda spec: spec.update(source={})),
    ("exactly one of url and service", prometheus()),
    ("exactly one of url and service", prometheus(url=URL, service="prometheus")),
    ("window: of metrics of source.table", metric(0, window="7d", per="user")),
    ("before: of metrics with a window", metric(0, before="7d")),
    ("a key of connection is not", lambda spec: tables(spec, connection={"a b": "x"})),
    ("a key of connectionEnv is not", lambda spec: tables(spec, connectionEnv={"a b": "X"})),
    ("path is only for service", prometheus(url=URL, path="/prometheus")),
    (
        "at most one of basicAuth",
        prometheus(url=URL, bearerTokenEnv="TOKEN", bearerTokenFile="token"),
    ),
    ("service takes no credentials", prometheus(service="prometheus", bearerTokenEnv="TOKEN")),
    ("a secret header", prometheus(url=URL, headers={"Authorization": "me"})),
    ("a key of headers is not", prometheus(url=URL, headers={"not a name": "x"})),
    ("a key of headersEnv is not", prometheus(url=URL, headersEnv={"not a name": "X"})),
    ("a key of selectors is not", metric(1, selectors={"successess": "up"})),
    (
        "exactly one of passwordFile and passwordEnv",
        prometheus(url=URL, basicAuth={"username": "ann"}),
    ),
    ("keyFile needs the certFile", prometheus(url=URL, tlsConfig={"keyFile": "key.pem"})),
    ("the name of each outcome", lambda spec: spec.update(outcomes=[OUTCOME, OUTCOME])),
    *(("counted by the servers", outcome(name=name)) for name in sorted(MEASURED)),
    ("maturity: must be above 0", outcome(maturity="0s")),
    ("maturity: with minDuration", outcome(maturity="8d")),
    ("window: must be above 0", outcome(window="3h")),
    ("the outcome must be among spec.outcomes", metric(0, per="user")),
    (
        "per: user needs users",
        lambda spec: (
            of("assignment", unit="request")(spec),
            outcome({"kind": "mean", "per": "user"})(spec),
        ),
    ),
    ("an outcome has no histogram", outcome({"kind": "quantile", "quantile": 0.5})),
    ("the outcome is a number", outcome({"kind": "proportion"}, kind="number")),
    (
        "or a request may have many of it",
        outcome({"kind": "proportion", "per": "request"}, times="many"),
    ),
    ("labels: by abctl.dev", labelled("labels", "version")),
    ("labels: by abctl.dev", labelled("labels", "abctl.dev/variant")),
    ("annotations: those of abctl.dev", labelled("annotations", "abctl.dev/config")),
    ("a key of labels is not", labelled("labels", "not a key")),
    ("a key of annotations is not", labelled("annotations", "-x")),
    (
        "only envoy and nginx run one",
        lambda spec: (spec.update(platform="istio"), spec.update(proxy={"replicas": 3})),
    ),
    ("greater than or equal to 0", lambda spec: spec.update(template={"replicas": -1})),
    ("rate, but the outcome is a number", outcome({"kind": "rate"}, kind="number")),
    ("retention is of an outcome of kind: return", outcome({"kind": "retention"})),
    ("retention is of an outcome of kind: return", outcome({"kind": "mean"}, **RETURN)),
    ("retention is per user", outcome({"kind": "retention", "per": "request"}, **RETURN)),
    ("must be among spec.outcomes", metric(0, kind="retention")),
    ("kind ratio without selectors needs it", outcome({"kind": "ratio"}, kind="number")),
    ("and nothing else takes it", outcome({"kind": "mean", "over": "sale"})),
    ("of and over must be among", outcome({"kind": "ratio", "over": "orders"})),
    ("a ratio not per request", outcome({"kind": "ratio", "over": "sale", "per": "request"})),
    ("a rate not per user", outcome({"kind": "rate", "per": "user"})),
    ("one of the early ages", outcome({"kind": "proportion", "age": "1h"})),
    ("only a number can be too large", outcome(cap=5)),
    ("early: must rise", outcome(early=["1h", "30m"])),
    ("early: must rise", outcome(early=["2h"])),
    ("after: only for kind return", outcome(after="1h")),
    ("after: must be above 0", outcome(**RETURN | {"after": "2h"})),
    ("a return has no earlier age", outcome(**RETURN, early=["30m"])),
    ("should have at least 2 items", lambda spec: spec["variants"].pop()),
    ("less than 0.5", of("design", alpha=0.5)),
    ("greater than 0", of("design", power=0)),
    ("greater than or equal to 8", of("assignment", buckets=7)),
    ("less than or equal to 1024", of("assignment", buckets=1025)),
    ("should match", variant(1, split="ten percent")),
    ("Unsupported value", lambda spec: spec.update(platform="nonsense")),
]
# Whom the file is for, not what it says: abctl leaves that to the reader.
ONLY_HERE = {"the first variant is the control"}
GOOD: list[Edit] = [
    tables,
    lambda spec: spec.update(template=TEMPLATE, proxy={"replicas": 3}),
    variant(1, template=TEMPLATE),
    shadow(template=TEMPLATE),
    lambda spec: (variant(0, split="87.5%")(spec), variant(1, split="12.5 %")(spec)),
    lambda spec: (variant(0, split="100%")(spec), variant(1, split=0)(spec)),
    lambda spec: (variant(0, name="blue")(spec), variant(1, name="green")(spec)),
    of("design", settle="7d", minDuration="168h", maxDuration="7 d"),
    prometheus(url=URL, basicAuth={"username": "ann", "passwordEnv": "PASSWORD"}),
    prometheus(service="monitoring/prometheus:9090", path="/prometheus"),
    outcome({"kind": "proportion", "per": "user"}, times="many", window="2h"),
    outcome({"kind": "mean", "per": "request"}, kind="number", times="many"),
    outcome({"kind": "retention"}, **RETURN, window="90m"),
    outcome({"kind": "mean", "age": "1h"}, kind="number", early=["10m", "1h"], cap=500),
    outcome({"kind": "ratio", "over": "sale"}, kind="number"),
    cohorts(TO_BETA | {"variant": "treatment"}, {**TO_BETA, "value": "alpha", "split": "50/50"}),
    metric(2, selectors={"histogram": 'a_bucket{variant="$variant"}'}, timeUnit="ms"),
]


def document(edit: Edit = lambda _: None) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(starter("iris", "envoy"))
    edit(found["spec"])
    return copy.deepcopy(found)


@pytest.fixture(scope="module")
def installed(cluster: Any) -> Iterator[Any]:
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=crd.text())
    cluster.await_kinds(NAME)
    for kind in ("NonStructuralSchema", "KubernetesAPIApprovalPolicyConformant"):
        conditions = cluster.read("crd", NAME)["status"]["conditions"]
        assert [c for c in conditions if c["type"] == kind] == []
    yield cluster
    cluster.kubectl("delete", "crd", NAME)


def created(cluster: Any, given: object, *words: str) -> Any:
    text = given if isinstance(given, str) else json.dumps(given)
    create = ("create", "--dry-run=server", "-f", "-", *words)
    return cluster.kubectl(*create, stdin=text, check=False)


@pytest.mark.parametrize("path", sorted(ROOT.glob("k8s/experiments/*.yaml")), ids=lambda p: p.stem)
def test_the_examples_are_taken(installed: Any, path: Path) -> None:
    # As text: kubectl reads some words of YAML otherwise than Python does.
    own = f"namespace: {load(path).namespace}"
    assert own in path.read_text()
    done = created(installed, path.read_text().replace(own, "namespace: default"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_init_writes_is_taken(installed: Any, platform: str) -> None:
    assert created(installed, starter("iris", platform)).returncode == 0


@pytest.mark.parametrize("edit", GOOD)
def test_what_abctl_reads_is_taken_and_nothing_is_added(installed: Any, edit: Edit) -> None:
    given = document(edit)
    assert parse(yaml.safe_dump(given), "iris.yaml")
    done = created(installed, given, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["spec"] == given["spec"]


@pytest.mark.parametrize(("said", "edit"), BAD, ids=[said for said, _ in BAD])
def test_what_is_wrong_is_refused_with_the_rules_message(
    installed: Any, said: str, edit: Edit
) -> None:
    given = document(edit)
    done = created(installed, given)
    assert done.returncode == 1
    assert said in done.stderr
    if said not in ONLY_HERE:
        with pytest.raises(SpecError):
            parse(yaml.safe_dump(given), "iris.yaml")


def test_a_name_that_a_service_cannot_have_is_refused(installed: Any) -> None:
    given = document()
    given["metadata"]["name"] = "1iris"
    assert "metadata.name: at most 63" in created(installed, given).stderr


def test_an_unknown_key_is_refused(installed: Any) -> None:
    done = created(installed, document(metric(0, mdee="2pp")))
    assert 'unknown field "spec.metrics[0].mdee"' in done.stderr


def test_no_rule_is_without_a_case() -> None:
    def messages(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from (each["message"] for each in part.get("x-kubernetes-validations", ()))
            for value in part.values():
                yield from messages(value)
        elif isinstance(part, list):
            for value in part:
                yield from messages(value)

    tried = [said for said, _ in BAD] + ["metadata.name: at most 63"]
    tried.append("is locked since the start")  # see test_cluster_controller
    every = set(messages(json.loads(crd.text())))
    assert [each for each in sorted(every) if not any(said in each for said in tried)] == []
